"""Pages by name of the runs: the report of one, the comparison of several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefsmith.errors import ConfigError
from prefsmith.report.card import write_card
from prefsmith.report.compare import differing_settings, write_comparison
from prefsmith.report.facts import facts
from prefsmith.report.gathered import Gathered, gathered
from prefsmith.report.page import page, write_page
from prefsmith.report.run import RecordedRun, read_run


@dataclass(frozen=True, slots=True)
class Drawn:
    """A page that was written, the runs it is of, and the evidence in the folder of a single one."""

    path: Path
    runs: tuple[RecordedRun, ...]
    evidence: tuple[Gathered, ...] = ()

    def facts(self) -> dict[str, object]:
        """What the page says, as values of JSON."""
        if len(self.runs) == 1:
            return facts(self.runs[0], self.path, self.evidence)
        differences = {
            key: {str(run.folder): run.settings.get(key) for run in self.runs}
            for key, _ in differing_settings(self.runs)
        }
        return {
            "comparison": str(self.path),
            "differences": differences,
            "runs": [facts(run) for run in self.runs],
        }


def draw(folders: Sequence[Path], out: Path | None = None) -> Drawn:
    """Draw the report of one run into its folder, or compare several; nothing else in their folders is touched.

    Args:
        folders: of the runs.
        out: the file, in the place of report.html or comparison.html.

    Raises:
        ConfigError: no run is named, one of them is none or is named twice, or the page cannot be written.
    """
    if not folders:
        what, fix = "no run is named", "name the folder of a run: prefsmith report runs/first"
        raise ConfigError("report.none", what, fix=fix)
    runs = [read_run(folder) for folder in folders]
    if len(runs) > 1:
        return Drawn(write_comparison(runs, out), tuple(runs))
    path = out or folders[0] / "report.html"
    return Drawn(path, tuple(runs), _write(runs[0], path))


def write(folder: Path) -> Path:
    """Write what a run that has come to its end leaves beside its weights: report.html, and model/README.md.

    Raises:
        ConfigError: there is no run in the folder, or it cannot be written to.
    """
    run = read_run(folder)
    path = folder / "report.html"
    _write(run, path)
    write_card(run)
    return path


def _write(run: RecordedRun, path: Path) -> tuple[Gathered, ...]:
    found = gathered(run.folder)
    write_page(path, page(run, [(each, each.link(path)) for each in found]))
    return found
