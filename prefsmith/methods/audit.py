"""From preference files to findings, audit.yaml, evidence.json and a page: `prefsmith audit`."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from prefsmith.audit.audited import Audited, AuditedFile, Part
from prefsmith.audit.checks import all_checks
from prefsmith.audit.finding import Finding
from prefsmith.audit.proposals import as_yaml, proposed, within_reason
from prefsmith.audit.reading import HowToRead
from prefsmith.audit.run import audit
from prefsmith.audit.severity import SEVERITIES
from prefsmith.config import DataConfig
from prefsmith.data.votes.texts import read_texts
from prefsmith.errors import ConfigError
from prefsmith.files import write_durably

KIND = "audit"
READ, READ_WITH_A_MODEL = ("format", "columns", "limit", "workers"), ("max_length", "template")
"""Settings of `data` that an audit goes by."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is audited.

    Args:
        files: to train on.
        held_out: held-out rows.
        others: files that must not be trained on, such as those of a benchmark.
        texts: file of the answers that files of votes only name.
        config: what rows are; of its settings, those in `READ`, and with a model in `READ_WITH_A_MODEL`.
        seed: of samples and intervals.
        model: folder or hub id of a model that the data are to fit; empty for none.
        model_rows: most rows that it scores.
    """

    files: Sequence[str]
    held_out: str | None = None
    others: Sequence[str] = ()
    texts: str | None = None
    config: DataConfig = field(default_factory=DataConfig)
    seed: int = 0
    model: str = ""
    model_rows: int = 500

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("audit.value", f"--seed is {self.seed}, below 0", where="--seed", fix="--seed 0 or more")
        if self.model_rows < 1:
            what, fix = f"--model-rows is {self.model_rows}, and must be at least 1", "--model-rows 1 or more"
            raise ConfigError("audit.value", what, where="--model-rows", fix=fix)
        for name in sorted(self.config.model_fields_set - {*READ, *(READ_WITH_A_MODEL if self.model else ())}):
            where = f"data.{name}"
            if name in READ_WITH_A_MODEL:
                what, fix = f"without a model an audit does not go by data.{name}", "--model MODEL, or leave it out"
                raise ConfigError("audit.setting", what, where=where, fix=fix)
            what, known = f"an audit does not go by data.{name}", "data.format, data.columns, data.limit, data.workers"
            fix = "--eval FILE" if name == "eval" else f"leave it out; it goes by {known}"
            raise ConfigError("audit.setting", what, where=where, fix=fix)

    def parts(self) -> list[tuple[str, Part]]:
        """Every file with what its rows are for.

        Raises:
            ConfigError: none is named, or one twice.
        """
        named: list[tuple[str, Part]] = [(name, "train") for name in self.files]
        if self.held_out is not None:
            named.append((self.held_out, "eval"))
        named.extend((name, "other") for name in self.others)
        if not self.files:
            what, fix = "no file is named", "prefsmith audit pairs.jsonl"
            raise ConfigError("audit.files", what, fix=fix)
        seen: set[str] = set()
        for name, _ in named:
            place = name if name.startswith("hub:") else str(Path(name).expanduser().resolve())
            if place in seen:
                what, fix = "the same file is named twice", "name each file once: to train on, held out, or other"
                raise ConfigError("audit.files", what, where=name, fix=fix)
            seen.add(place)
        return named


@dataclass(frozen=True, slots=True)
class Audit:
    """What came of it.

    Args:
        findings: the worst first.
        evidence: as evidence.json has it.
        folder: what was written to.
        page: that was written, if it was asked for.
    """

    findings: tuple[Finding, ...]
    evidence: dict[str, object]
    folder: Path
    page: Path | None

    @property
    def counts(self) -> dict[str, int]:
        """Findings by severity."""
        return _counts(self.findings)


def audit_files(asked: Asked, out: Path | None = None, *, html: bool = False, say: Say = lambda line: None) -> Audit:
    """Audit files and write down what was found.

    Args:
        asked: which files.
        out: folder for evidence.json and audit.yaml. Default: audit/<name of the first file>.
        html: write report.html too; one that is there already is always written anew.
        say: is told what is done now.

    Raises:
        ConfigError: no file is named, one twice, the folder holds something else, or a package is missing.
        DataError: a file cannot be read.
    """
    parts = asked.parts()
    folder = out or Path("audit") / _stem(parts[0][0])
    html = _has_page(folder) or html  # an older page would show other numbers than those beside it
    config = asked.config
    texts = read_texts(asked.texts) if asked.texts is not None else None
    how = HowToRead(config.format, config.columns, config.limit, texts)
    checks = all_checks(tokens=_control_tokens(asked.model) if asked.model else (), seed=asked.seed)
    result = audit(parts, checks, how=how, workers=config.workers, say=say)
    findings = list(result.findings)
    if asked.model:
        findings += _fit(asked, result.data, say)
        findings.sort(key=lambda each: SEVERITIES.index(each.severity))
    findings = within_reason(findings, result.data)
    evidence = evidence_of(findings, result.data, seed=asked.seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(folder / "audit.yaml", as_yaml(proposed(findings, result.data)).encode())
        write_durably(folder / "evidence.json", json.dumps(evidence, indent=1, allow_nan=False).encode())
    except OSError as error:
        what = f"the audit cannot be written: {error.strerror}"
        raise ConfigError("eval.out", what, where=str(folder), fix="name a folder with --out that can be") from error
    return Audit(tuple(findings), evidence, folder, _page(folder) if html else None)


def _control_tokens(model: str) -> list[str]:
    """The control tokens of a model's tokenizer."""
    from prefsmith.data.render import control_tokens
    from prefsmith.evaluate.reader import result_of
    from prefsmith.model.load import load_tokenizer

    return control_tokens(load_tokenizer(result_of(model), trust_remote_code=False))


def _fit(asked: Asked, data: Audited, say: Say) -> Iterator[Finding]:
    """How a sample of the rows looks to the model."""
    from prefsmith.audit.fit import fit_findings
    from prefsmith.evaluate.fit import Fitting, measure_fit

    longest = asked.config.max_length
    fitting = Fitting(asked.model, asked.model_rows, longest, template=asked.config.template, seed=asked.seed)
    fit = measure_fit(fitting, data, say=say)
    if fit is None:
        say(f"warning: {asked.model}: no training row prefers an answer, so there is nothing to score")
    else:
        yield from fit_findings(fit, data)


def evidence_of(findings: Sequence[Finding], data: Audited, *, seed: int) -> dict[str, object]:
    """What evidence.json holds."""
    return {
        "kind": KIND,
        "version": version("prefsmith"),
        "seed": seed,
        "files": [_file(file) for file in data.files],
        "counts": _counts(findings),
        "findings": [finding.to_json() for finding in findings],
    }


def _file(file: AuditedFile) -> Mapping[str, object]:
    return {
        "name": file.name,
        "part": file.part,
        "digest": dict(file.digest),
        "rows": file.rows,
        "usable": len(file.groups),
        "refused": dict(file.codes),
        "recognised": file.recognised,
        "notes": dict(file.notes),
    }


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    counts = Counter(finding.severity for finding in findings)
    return {severity: counts[severity] for severity in SEVERITIES}


def _page(folder: Path) -> Path:
    from prefsmith.report.audit import write_audit_page

    return write_audit_page(folder)


def _stem(name: str) -> str:
    """The name of a file without its endings."""
    return Path(name.removeprefix("hub:").split("?")[0]).name.removeprefix(".").split(".", 1)[0] or "data"


def _has_page(folder: Path) -> bool:
    """Whether an older audit there has a page. It is written over, as a report is; anything else stays.

    Raises:
        ConfigError: there is something else.
    """
    path = folder / "evidence.json"
    fix = "name another folder with --out"
    if folder.exists() and not folder.is_dir():
        raise ConfigError("eval.out", "this is a file", where=str(folder), fix=fix)
    try:
        older = json.loads(path.read_bytes()) if path.exists() else {"kind": KIND}
    except (OSError, ValueError):
        older = None
    if not isinstance(older, dict) or older.get("kind") != KIND:
        raise ConfigError("eval.out", "evidence of something else stands there", where=str(path), fix=fix)
    return path.exists() and (folder / "report.html").exists()
