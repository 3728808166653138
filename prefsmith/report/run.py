"""A run's folder as values: whatever is there is read, and what is missing or torn is said."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError
from prefsmith.report.evidence import Evidence
from prefsmith.report.state import State, state_of
from prefsmith.settings import build, read_yaml
from prefsmith.train.findings import Row, Sample, number, sample_of
from prefsmith.wording import counted

SIGNS = ("run.yaml", "environment.json", "data.json", "metrics.jsonl", "rejected.jsonl", "crash.log")
"""Files of which a run's folder has at least one."""
PLAIN_NAMES = {"", "run", "out", "output", "train", "dpo", "ipo", "kto", "sft"}
REJECTED_SHOWN = 20
CRASH_SHOWN = 4000
"""Characters of crash.log that are kept, from its end: the error itself is what it ends with."""

Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Refused:
    """Rows that were refused: how many, by code, and the first of them."""

    count: int = 0
    codes: Mapping[str, int] = field(default_factory=dict)
    first: tuple[Facts, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What a run has left on disk so far.

    Args:
        folder: as it was named.
        state: what became of the last start.
        config: the settings; None where run.yaml is missing, torn or of another version.
        settings: the same by dotted key, as far as they can be read.
        environment: of the last start; `before` has the earlier ones.
        data: counts and digests of the rows.
        model: what was trained; empty for a run that did not come so far.
        outcome: of the last start that came to its end.
        train: metrics of the steps, in order.
        evaluations: metrics of the evaluations, in order.
        samples: drawn before and after training.
        refused: rows that could not be used.
        evidence: what a program added.
        crash: the end of crash.log.
        adapter: whether model/ holds an adapter.
        gaps: what is missing or cannot be read, a sentence each.
    """

    folder: Path
    state: State
    config: RunConfig | None
    settings: Facts
    environment: Facts
    data: Facts
    model: Facts
    outcome: Facts
    train: tuple[Row, ...]
    evaluations: tuple[Row, ...]
    samples: tuple[Sample, ...]
    refused: Refused
    evidence: Evidence | None
    crash: str
    adapter: bool
    gaps: tuple[str, ...]

    @property
    def name(self) -> str:
        """Short name of the run: its folder's, with the folder above where that says little by itself."""
        place = self.folder.resolve()
        return f"{place.parent.name}/{place.name}" if place.name in PLAIN_NAMES else place.name


def read_run(folder: Path) -> RecordedRun:
    """Read the folder of a run that is finished, going on, stopped or failed.

    Raises:
        ConfigError: there is no such folder, or no run in it.
    """
    _require_run(folder)
    gaps: list[str] = []
    environment, outcome = _object(folder / "environment.json", gaps), _object(folder / "outcome.json", gaps, False)
    state = state_of(folder, environment, outcome)
    settings, config = _settings(folder / "run.yaml", gaps)
    metrics = [row for row in _lines(folder / "metrics.jsonl", gaps) if number(row, "step") is not None]
    drawn = [sample_of(row) for row in _lines(folder / "samples.jsonl", gaps, needed=False)]
    if None in drawn:
        gaps.append(f"{drawn.count(None)} rows of samples.jsonl are no samples and are left out.")
    return RecordedRun(
        folder=folder,
        state=state,
        config=config,
        settings=settings,
        environment=environment,
        data=_object(folder / "data.json", gaps),
        model=_object(folder / "model.json", gaps),
        outcome=outcome,
        train=tuple(row for row in metrics if row.get("split") != "eval"),
        evaluations=tuple(row for row in metrics if row.get("split") == "eval"),
        samples=tuple(each for each in drawn if each is not None),
        refused=_refused(folder / "rejected.jsonl", gaps),
        evidence=_evidence(folder / "evidence.json", gaps),
        crash=_crash(folder / "crash.log") if state == "failed" else "",
        adapter=(folder / "model" / "adapter_config.json").is_file(),
        gaps=tuple(gaps),
    )


def flat(values: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Nested settings by dotted key; a list entry's key is its number."""
    pairs: list[tuple[str, object]] = []
    if isinstance(values, Mapping):
        pairs = [(str(key), value) for key, value in values.items()]
    elif isinstance(values, list) and any(isinstance(each, Mapping) for each in values):
        pairs = [(str(index), value) for index, value in enumerate(values)]
    if not pairs:
        yield path, values
    for key, value in pairs:
        yield from flat(value, f"{path}.{key}" if path else key)


def _require_run(folder: Path) -> None:
    fix = "name the folder that `prefsmith train` wrote to (its --out)"
    if not folder.exists():
        raise ConfigError("report.folder", "there is no such folder", where=str(folder), fix=fix)
    if not folder.is_dir():
        raise ConfigError("report.folder", "this is a file, not a run's folder", where=str(folder), fix=fix)
    try:
        there = {each.name for each in folder.iterdir()}
    except OSError as error:
        what = f"the folder cannot be read: {error.strerror}"
        raise ConfigError("report.folder", what, where=str(folder), fix="check its permissions") from error
    if not there & set(SIGNS):
        what = "the folder is empty" if not there else "the folder holds no run"
        inside = sorted(each.name for each in folder.iterdir() if (each / "run.yaml").is_file())
        hint = f"; there are runs in it: {', '.join(inside[:5])}" if inside else ""
        raise ConfigError("report.no_run", what, where=str(folder), fix=fix + hint)


def _object(path: Path, gaps: list[str], needed: bool = True) -> Facts:
    """The JSON object in a file; empty where there is none, which is said where the file is needed."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        if needed:
            gaps.append(f"{path.name} is not there (yet).")
        return {}
    except (OSError, ValueError, RecursionError):
        value = None
    if not isinstance(value, Mapping):
        gaps.append(f"{path.name} is torn or unreadable and is left out.")
        return {}
    return value


def _lines(path: Path, gaps: list[str], *, needed: bool = True) -> Iterator[Facts]:
    """The JSON objects of a file of lines. A torn last line is what a killed writer leaves."""
    try:
        with path.open("rb") as file:
            bad, torn = 0, False
            for line in file:
                row = _parsed(line)
                torn = row is None and not line.endswith(b"\n")
                if row is not None:
                    yield row
                elif not torn and line.strip():
                    bad += 1
    except FileNotFoundError:
        if needed:
            gaps.append(f"{path.name} is not there (yet).")
        return
    except OSError as error:
        gaps.append(f"{path.name} cannot be read: {error.strerror}.")
        return
    if torn:
        gaps.append(f"The last line of {path.name} is torn, because its writing was cut off; it is left out.")
    if bad:
        gaps.append(f"{counted(bad, 'line')} of {path.name} cannot be read and are left out.")


def _parsed(line: bytes) -> Facts | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, Mapping) else None


def _settings(path: Path, gaps: list[str]) -> tuple[Facts, RunConfig | None]:
    if not path.is_file():
        gaps.append("run.yaml is not there (yet), so the settings are not known.")
        return {}, None
    try:
        read = read_yaml(path)
    except ConfigError as error:
        gaps.append(f"run.yaml cannot be read ({error.what}), so the settings are not known.")
        return {}, None
    values = dict(flat(read.values)) if read.values else {}
    try:
        return values, build(read)
    except ConfigError as error:
        gaps.append(f"run.yaml has settings that this version does not take ({error.what}); they are shown as written.")
        return values, None


def _refused(path: Path, gaps: list[str]) -> Refused:
    first: list[Facts] = []
    codes: Counter[str] = Counter()
    for row in _lines(path, gaps, needed=False):
        codes[str(row.get("code", "unknown"))] += 1
        if len(first) < REJECTED_SHOWN:
            first.append(row)
    return Refused(codes.total(), dict(codes.most_common()), tuple(first))


def _evidence(path: Path, gaps: list[str]) -> Evidence | None:
    try:
        return Evidence.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = error.strerror or "it cannot be opened"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = f"{place}: {first['msg']}" if place else first["msg"]
    gaps.append(f"evidence.json is not as it should be ({reason}), so nothing of it is shown.")
    return None


def _crash(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-CRASH_SHOWN:]
    except OSError:
        return ""
