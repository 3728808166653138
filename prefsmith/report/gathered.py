"""Evidence that lies in a run's folder, read back and put into a few words for the run's own page.

What `prefsmith eval` measures lies in RUN/eval/<name>/evidence.json, there by --out or as a copy. Weights change and
evidence does not: what was measured on other weights than those in RUN/model says so.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from prefsmith.files import digest_of_files, model_files
from prefsmith.report.agreement import agreement_excerpt
from prefsmith.report.contested import WinRateEvidence
from prefsmith.report.excerpt import Excerpt
from prefsmith.report.experiment import ExperimentEvidence, experiment_excerpt
from prefsmith.report.implicit import implicit_excerpt
from prefsmith.report.inspected import inspected
from prefsmith.report.judged import JudgedEvidence
from prefsmith.report.winrate import winrate_excerpt

EVIDENCE, PAGE = "evidence.json", "report.html"
PLACES = (f"eval/*/{EVIDENCE}", f"*/{EVIDENCE}")
"""Where evidence lies in a run's folder."""
KINDS: dict[str, Callable[[str, str], Excerpt]] = {
    "winrate": lambda text, name: winrate_excerpt(WinRateEvidence.model_validate_json(text), name),
    "implicit": lambda text, name: implicit_excerpt(inspected(json.loads(text)), name),
    "agreement": lambda text, name: agreement_excerpt(JudgedEvidence.model_validate_json(text), name),
    "frontier": lambda text, name: experiment_excerpt(ExperimentEvidence.model_validate_json(text), name),
}
"""What `prefsmith eval` writes, by `kind`."""
STALE = "This is about other weights than those in model/ now: measure it again."
NO_WEIGHTS = "The run has no model/ now, so nothing says whether this is about its weights."
NAMELESS = "This compares files of answers, and does not say which weights wrote them."


@dataclass(frozen=True, slots=True)
class Gathered:
    """Some evidence about a run.

    Args:
        folder: that it lies in.
        kind: what it is evidence of, as it says itself; empty where it cannot be read.
        excerpt: the main part of it; None where it cannot be read, or is of a kind that is only linked to.
        doubt: why it may not be about the run as it is now, or cannot be shown; empty where all is well.
    """

    folder: Path
    kind: str
    excerpt: Excerpt | None
    doubt: str

    def link(self, page: Path) -> str:
        """The way from a page to the page of the evidence; empty where it has none."""
        target = self.folder / PAGE
        if not target.is_file():
            return ""
        return quote(Path(os.path.relpath(target.resolve(), page.resolve().parent)).as_posix())

    def as_dict(self) -> dict[str, object]:
        """As `prefsmith report --json` has it; the numbers are in the folder."""
        said = self.excerpt
        return {
            "kind": self.kind,
            "folder": str(self.folder),
            "title": "" if said is None else said.title,
            "results": [] if said is None else list(said.results),
            "warnings": [] if said is None else list(said.warnings),
            "doubt": self.doubt or None,
        }


def gathered(run: Path) -> tuple[Gathered, ...]:
    """All evidence in a run's folder, by name. What cannot be read is there with the reason.

    Args:
        run: the run's folder.
    """
    paths = dict.fromkeys(path for place in PLACES for path in sorted(run.glob(place)))

    @cache
    def present() -> str | None:
        """sha256 of the run's weights; read only where evidence is about weights, since they may be large."""
        return weights_of(run / "model")

    return tuple(_read(path, f"evidence-{number}", present) for number, path in enumerate(paths))


def weights_of(folder: Path) -> str | None:
    """sha256 of the files of a model's folder; None where there are none, or they cannot be read."""
    try:
        files = model_files(folder)
        return digest_of_files(files) if files else None
    except OSError:
        return None


def _read(path: Path, name: str, present: Callable[[], str | None]) -> Gathered:
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text)
        kind = values.get("kind") if isinstance(values, Mapping) else None
        if not isinstance(kind, str):
            return Gathered(path.parent, "", None, f"{EVIDENCE} does not say what it is evidence of.")
        if kind not in KINDS:  # of another program: its own page says what it is
            return Gathered(path.parent, kind, None, "")
        excerpt = KINDS[kind](text, name)
    except OSError as error:
        return Gathered(path.parent, "", None, f"{EVIDENCE} cannot be read: {error.strerror}.")
    except ValidationError as error:
        return Gathered(path.parent, "", None, f"{EVIDENCE} is not as it should be ({_first(error)}).")
    except (ValueError, RecursionError):
        return Gathered(path.parent, "", None, f"{EVIDENCE} is torn or no JSON.")
    return Gathered(path.parent, kind, excerpt, _doubt(excerpt, present))


def _doubt(excerpt: Excerpt, present: Callable[[], str | None]) -> str:
    if excerpt.weights is None:
        return ""
    if not excerpt.weights:
        return NAMELESS
    now = present()
    if now is None:
        return NO_WEIGHTS
    return "" if now in excerpt.weights else STALE


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, without repeating what stands there."""
    details: Any = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in details["loc"])
    return f"{place}: {details['msg']}" if place else str(details["msg"])
