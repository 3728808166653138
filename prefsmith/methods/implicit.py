"""What the implicit reward of a trained model knows: files of pairs, scored by it and its reference, and judged.

The implicit reward of an answer is beta log(policy / reference): DPO trains it as a reward model is trained, so it is
measured as one is.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import prefsmith.report.implicit as report
from prefsmith.assembly import objective_of
from prefsmith.data.groups import Reading
from prefsmith.data.held_out import read_held_out
from prefsmith.data.rejects import Rejects
from prefsmith.errors import ConfigError, DataError, TrainingError
from prefsmith.evaluate.bootstrap import DRAWS
from prefsmith.evaluate.inspection import inspect, warnings
from prefsmith.evaluate.reader import Reader, open_reader, result_of
from prefsmith.evaluate.scored import encode_pairs, score_pairs
from prefsmith.evaluate.side_by_side import reference_of
from prefsmith.files import digest_of_files, model_files, write_durably
from prefsmith.model.load import digest
from prefsmith.report.join import join
from prefsmith.settings import load_settings
from prefsmith.train.folder import free_folder

Say = Callable[[str], None]
BETA = 0.1
"""Taken where nobody says with which beta the model was trained: the default of dpo."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured.

    Args:
        model: folder of a model, an adapter or a run, or a hub id.
        data: preference files or benchmarks of pairs.
        reference: another model; None for what the run was trained from, or the base under the adapter.
        beta: what turns nats into reward; None for the run's.
        columns: our name of a column -> the files'.
        limit: most rows of each file.
        token_budget: most tokens that are scored together.
        template: `auto`, `plain`, or a Jinja file.
        device: `auto` takes a GPU where there is one.
        trust_remote_code: run code that comes with the models.
        seed: of the draws of the intervals.
    """

    model: str
    data: tuple[str, ...]
    reference: str | None = None
    beta: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    token_budget: int = 8192
    template: str = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError("eval.data", "no file of pairs is named", where="--data", fix="--data pairs.jsonl")
        twice = next((name for name in self.data if self.data.count(name) > 1), None)
        if twice is not None:
            what = "a file is named twice, and its pairs would count twice"
            raise ConfigError("eval.data", what, where=twice, fix="name each file once")
        wrong = (
            ("beta", "above 0", self.beta is None or 0 < self.beta < float("inf")),
            ("limit", "at least 1", self.limit is None or self.limit >= 1),
            ("token-budget", "at least 1", self.token_budget >= 1),
            ("seed", "0 or above", self.seed >= 0),
        )
        for name, wanted, holds in wrong:
            if not holds:
                what = f"--{name} is {getattr(self, name.replace('-', '_'))}, and must be {wanted}"
                raise ConfigError("eval.value", what, where=f"--{name}", fix=f"--{name}: {wanted}")


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it: the numbers as evidence.json has them, the page, and a line for each run that shows it too."""

    evidence: dict[str, object]
    page: Path
    joined: tuple[str, ...]


def implicit(asked: Asked, out: Path | None, *, say: Say = print) -> Found:
    """Measure, and write evidence.json, report.html and, where rows were refused, rejected.jsonl.

    A run's own page shows it too.

    Args:
        asked: what is to be measured.
        out: the folder. Default: the first free eval/implicit-<name>.
        say: is given a line at a time.

    Raises:
        ConfigError: a model cannot be loaded, there is no reference, or memory ran out.
        DataError: a file cannot be read, or no pair of it can be used.
        TrainingError: a log-probability is not finite, or the disk is full.
    """
    rejects = Rejects(skip=True)
    readings = [_read(name, asked, rejects, say) for name in asked.data]
    beta, whence = _beta(asked)
    policy = open_reader(
        asked.model, device=asked.device, template=asked.template, trust_remote_code=asked.trust_remote_code
    )
    reference = _reference(asked, policy)
    encoded = [encode_pairs(policy.encoder, reading.groups, rejects) for reading in readings]
    pairs = score_pairs(policy.model, reference.model, encoded, token_budget=asked.token_budget)
    if not pairs.decided.any():
        what = "no label prefers an answer, so there is nothing to be right about"
        raise DataError("data.no_pairs", what, where=", ".join(asked.data), fix="give pairs that are not all ties")
    evidence: dict[str, object] = {
        "kind": "implicit",
        "model": {**_facts(asked.model, policy), "folder_sha256": _folder_digest(asked.model)},
        "reference": _facts(asked.reference or reference.origin, reference),
        "beta": {"value": beta, "from": whence},
        "seed": asked.seed,
        "draws": DRAWS,
        "data": [_file(name, reading) for name, reading in zip(asked.data, readings, strict=True)],
        "refused": rejects.counts(),
        "encoding": dict(sorted(policy.encoder.counts.kinds.items())),
        **inspect(pairs, beta, files=asked.data, seed=asked.seed),
    }
    evidence["warnings"] = [*_about_rows(evidence), *warnings(evidence), *_about_beta(whence)]
    folder = free_folder(out, f"eval/implicit-{_name(asked.model)}")
    page = _write(folder, evidence, rejects)
    return Found(evidence, page, join(folder, [asked.model]))


def _read(name: str, asked: Asked, rejects: Rejects, say: Say) -> Reading:
    reading = read_held_out(name, columns=asked.columns, limit=asked.limit, rejects=rejects)
    assert reading.schema is not None  # there is at least one row
    say(f"{name}: {reading.rows:,} rows; {reading.schema.describe()}")
    return reading


def _beta(asked: Asked) -> tuple[float, str]:
    """What turns nats into reward, and who says so."""
    if asked.beta is not None:
        return asked.beta, "--beta"
    stored = Path(asked.model).expanduser() / "run.yaml"
    if stored.is_file() and (beta := objective_of(load_settings(stored)).beta) is not None:
        return beta, "run.yaml"
    return BETA, "default"


def _reference(asked: Asked, policy: Reader) -> Reader:
    """What the policy is compared with; it has to read the same ids."""
    if asked.reference is None:
        try:
            found = reference_of(asked.model, policy, device=asked.device, template=asked.template)
        except ConfigError as error:
            if error.code != "generate.reference":
                raise
            raise ConfigError("eval.reference", error.what, where=error.where, fix="--reference MODEL") from None
    else:
        found = open_reader(
            asked.reference, device=asked.device, template=asked.template, trust_remote_code=asked.trust_remote_code
        )
    own, others = policy.encoder.tokenizer.get_vocab(), found.encoder.tokenizer.get_vocab()
    different = sum(others.get(token) != number for token, number in own.items())
    if different:
        what = f"the reference's tokenizer gives {different} of the policy's tokens another id"
        fix = "take a reference that shares the policy's tokenizer"
        raise ConfigError("reference.vocabulary", what, where=found.origin, fix=fix)
    return found


def _facts(name: str, reader: Reader) -> dict[str, object]:
    return {"path": name, "origin": reader.origin, "sha256": digest(reader.model.scorer.model)}


def _folder_digest(name: str) -> str | None:
    """sha256 of the files that were loaded, by which a run's page tells whether they are its own; None for a hub id."""
    folder = Path(result_of(name)).expanduser()
    return digest_of_files(model_files(folder)) if folder.is_dir() else None


def _file(name: str, reading: Reading) -> dict[str, object]:
    assert reading.schema is not None  # there is at least one row
    return {
        "path": name,
        **reading.container.digest(),
        "rows": reading.rows,
        "groups": len(reading.groups),
        "recognised": reading.schema.describe(),
        "notes": dict(reading.notes),
    }


def _about_rows(evidence: Mapping[str, object]) -> list[str]:
    found: list[str] = []
    refused, ties = evidence["refused"], evidence["ties"]
    if isinstance(refused, Mapping) and refused:
        codes = ", ".join(f"{code} {count}" for code, count in refused.items())
        found.append(f"{sum(refused.values())} rows cannot be used ({codes}); rejected.jsonl has each with its reason.")
    if isinstance(ties, int) and ties:
        found.append(f"{ties} labels are ties: they count in the calibration, as one half, and in no accuracy.")
    encoding = evidence["encoding"]
    if isinstance(encoding, Mapping):
        found += [f"{count} rows {kind}." for kind, count in encoding.items() if "cut" in kind or "dropped" in kind]
    return found


def _about_beta(whence: str) -> list[str]:
    if whence != "default":
        return []
    why = "Nothing says with which beta the model was trained, or its loss has a reward per token"
    return [f"{why}: rewards and probabilities are for {BETA:g} (--beta)."]


def _name(model: str) -> str:
    """Short name for a folder: the last part of the path that says something."""
    parts = [part for part in Path(model).parts if part not in ("model", "/", ".", "..")]
    return parts[-1] if parts else "model"


def _write(folder: Path, evidence: dict[str, object], rejects: Rejects) -> Path:
    page = folder / "report.html"
    try:
        write_durably(folder / "evidence.json", json.dumps(evidence, indent=1, allow_nan=False).encode())
        write_durably(page, report.page(evidence).encode())
        rejects.write(folder / "rejected.jsonl")
    except OSError as error:
        what = f"the evidence cannot be written: {error.strerror}"
        raise TrainingError("run.write", what, where=str(folder), fix="make room, or give another --out") from error
    return page
