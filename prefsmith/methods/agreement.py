"""From files of judgements to evidence.json and a page: `prefsmith eval agreement`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from prefsmith.data.votes.read import read_judgements
from prefsmith.errors import ConfigError
from prefsmith.evaluate.agreement import Agreement, measure
from prefsmith.evaluate.agreement.figure import Gauge
from prefsmith.files import write_durably
from prefsmith.report.agreement import write_agreement_page
from prefsmith.report.join import is_run, join

KIND = "agreement"


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of it.

    Args:
        agreements: of each file.
        evidence: as evidence.json has it.
        page: that was written.
        joined: a line where `out` lies in a run's folder, whose page shows it too.
    """

    agreements: tuple[Agreement, ...]
    evidence: dict[str, object]
    page: Path
    joined: tuple[str, ...]


def compare_annotators(
    files: Sequence[Path], out: Path | None = None, *, seed: int = 0, skip_bad: bool = False
) -> Compared:
    """Measure the agreement in each file, and write it down.

    Args:
        files: of judgements; each has a section of its own.
        out: folder for evidence.json and report.html. Default: eval/agreement-<name of the first file>.
        seed: of the draws behind the intervals.
        skip_bad: count rows that cannot be used and go on.

    Raises:
        ConfigError: no file is named, one twice, or the folder holds something else.
        DataError: a file cannot be read, or is no file of judgements.
    """
    _refuse_names(files)
    folder = out or Path("eval") / f"{KIND}-{_stem(files[0])}"
    _refuse_other(folder)
    gauge = Gauge(seed=seed)
    agreements = tuple(measure(read_judgements(file, skip_bad=skip_bad), gauge) for file in files)
    evidence: dict[str, object] = {
        "kind": KIND,
        "version": version("prefsmith"),
        "seed": seed,
        "draws": gauge.draws,
        "files": [each.as_dict() for each in agreements],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(folder / "evidence.json", json.dumps(evidence, indent=1, allow_nan=False).encode())
    except OSError as error:
        what = f"the evidence cannot be written: {error.strerror}"
        raise ConfigError("eval.out", what, where=str(folder), fix="name a folder with --out that can be") from error
    page = write_agreement_page(folder)
    return Compared(agreements, evidence, page, join(folder, ()))


def _stem(file: Path) -> str:
    """The name of a file without its endings."""
    return file.name.removeprefix(".").split(".", 1)[0] or "votes"


def _refuse_names(files: Sequence[Path]) -> None:
    if not files:
        what, fix = "no file is named", "prefsmith eval agreement votes.jsonl"
        raise ConfigError("eval.files", what, fix=fix)
    places = [file.expanduser().resolve() for file in files]
    for index, place in enumerate(places):
        if place in places[:index]:
            what, fix = "the same file is named twice", "name each file once"
            raise ConfigError("eval.files", what, where=str(files[index]), fix=fix)


def _refuse_other(folder: Path) -> None:
    """An older agreement is written over, as a report is; anything else stays."""
    path = folder / "evidence.json"
    fix = "name another folder with --out"
    if folder.exists() and not folder.is_dir():
        raise ConfigError("eval.out", "this is a file", where=str(folder), fix=fix)
    if is_run(folder):
        fix = f"a folder in it joins its page: --out {folder}/eval/{KIND}"
        raise ConfigError("eval.out", "this is a run's folder, which has a page of its own", where=str(folder), fix=fix)
    try:
        older = json.loads(path.read_bytes()) if path.exists() else {"kind": KIND}
    except (OSError, ValueError):
        older = None
    if not isinstance(older, dict) or older.get("kind") != KIND:
        raise ConfigError("eval.out", "evidence of something else stands there", where=str(path), fix=fix)
