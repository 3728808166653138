"""The sides of a comparison: a model, a model's reference, or a file of answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prefsmith.data.completions import Completions, read_completions
from prefsmith.errors import ConfigError, DataError
from prefsmith.evaluate.reader import result_of
from prefsmith.evaluate.side_by_side import reference_path
from prefsmith.files import digest_of_files, file_digest, model_files
from prefsmith.model.adapters import named_base
from prefsmith.model.load import check_origin
from prefsmith.records import Group

REFERENCE = "reference"
"""The word for what the first method was trained from."""


@dataclass(frozen=True, slots=True)
class Side:
    """Who answers.

    Args:
        name: on the chart.
        place: a model's folder or hub id, an adapter's folder, a run's folder; or a file of answers; of a reference,
            the model whose reference it is.
        kind: which of them.
    """

    name: str
    place: str
    kind: Literal["model", "file", "reference"]

    def identity(self) -> dict[str, object]:
        """What it is: two sides of one identity answer alike.

        Raises:
            ConfigError: a run has no model yet or cannot be read, or an adapter does not name its base.
        """
        if self.kind == "file":
            return {"kind": self.kind, "sha256": file_digest(Path(self.place).expanduser())}
        known = {"kind": self.kind, **_weights(self.place)}
        if self.kind == "reference" and (trained_from := reference_path(self.place)) is not None:
            known["reference"] = _weights(trained_from)
        return known


def _weights(place: str) -> dict[str, object]:
    """The files that decide what a model answers; with an adapter those of its base too. A hub id stands for itself."""
    folder = Path(result_of(place)).expanduser()
    known = _files(str(folder) if folder.is_dir() else place)
    if (folder / "adapter_config.json").is_file():
        known["base"] = _files(named_base(str(folder)))
    return known


def _files(place: str) -> dict[str, object]:
    folder = Path(place).expanduser()
    if not folder.is_dir():
        return {"hub": place}
    files = model_files(folder)
    return {"files": [path.name for path in files], "sha256": digest_of_files(files)}


def method_side(word: str) -> Side:
    """A method of a command line: `PLACE` or `NAME=PLACE`.

    Raises:
        ConfigError: there is nothing behind the name, or no name; or a local path that does not exist.
    """
    name, equals, place = word.partition("=")
    if not equals or Path(word).exists():
        name, place = word, word
    if not name or not place:
        what, fix = f"{word!r} names no side", "a model, a file of answers, or NAME=MODEL"
        raise ConfigError("winrate.side", what, fix=fix)
    if not Path(place).expanduser().exists():
        check_origin(place, "the path of the side")
    return Side(name, place, "file" if Path(place).expanduser().is_file() else "model")


def baseline_side(word: str, first: Side) -> Side:
    """What methods are compared with: as a method, or `reference` for that of the first one.

    Raises:
        ConfigError: a file of answers has no reference.
    """
    if word != REFERENCE or Path(word).exists():
        return method_side(word)
    if first.kind == "file":
        what, fix = "a file of answers has no reference", "--against MODEL, or a file of answers"
        raise ConfigError("winrate.side", what, where=first.place, fix=fix)
    return Side(REFERENCE, first.place, "reference")


@dataclass(frozen=True, slots=True)
class Asked:
    """The prompts that all sides answer.

    Args:
        groups: in order, without completions.
        files: the answers of the sides that are files, by name.
        left_out: prompts of a file, or of the data, that another side has no answer to.
    """

    groups: tuple[Group, ...]
    files: dict[str, Completions]
    left_out: int


def shared_prompts(
    sides: Sequence[Side], data: Sequence[Group] | None, *, skip_missing: bool, most: int | None
) -> Asked:
    """The prompts of the data, or of the first file; every file must have an answer to each.

    Args:
        sides: all of them.
        data: prompts of a file of prompts; None takes those of the first file of answers.
        skip_missing: leave out and count what a file has no answer to.
        most: prompts that are taken.

    Raises:
        ConfigError: no side and no file says what is asked.
        DataError: a file lacks an answer, or none is shared.
    """
    files = {side.name: read_completions(Path(side.place).expanduser()) for side in sides if side.kind == "file"}
    if data is None and not files:
        what, fix = "there are no prompts", "--data FILE with prompts, or a file of answers as a side"
        raise ConfigError("winrate.prompts", what, fix=fix)
    asked = list(data) if data is not None else list(next(iter(files.values())).prompts)
    if data is None:
        asked += _others(asked, files)
    kept = [group for group in asked if all(group.prompt_key() in each.texts for each in files.values())]
    if len(kept) < len(asked) and not skip_missing:
        raise _missing(asked, sides, files)
    if not kept:
        what, fix = "no prompt is answered by all sides", "the sides must answer the same prompts, word for word"
        raise DataError("winrate.missing", what, fix=fix)
    return Asked(tuple(kept[:most]), files, len(asked) - len(kept))


def _others(asked: Sequence[Group], files: dict[str, Completions]) -> list[Group]:
    """Prompts of further files that the first one does not have: they are missing there."""
    known = {group.prompt_key(): group for group in asked}
    more = [group for each in files.values() for group in each.prompts if group.prompt_key() not in known]
    return list({group.prompt_key(): group for group in more}.values())


def _missing(asked: Sequence[Group], sides: Sequence[Side], files: dict[str, Completions]) -> DataError:
    lacking = {
        side.place: [group.source for group in asked if group.prompt_key() not in files[side.name].texts]
        for side in sides
        if side.name in files
    }
    place, sources = next((place, sources) for place, sources in lacking.items() if sources)
    what = f"there is no answer to {len(sources):,} of {len(asked):,} prompts, the first of them that of {sources[0]}"
    fix = "write the missing answers, or leave those prompts out with --skip-missing"
    return DataError("winrate.missing", what, where=place, fix=fix)
