"""Datasets of the `datasets` library: folders that `save_to_disk` wrote, and datasets of the hub.

No code that comes with a dataset is ever run, and no pickle read: the library has neither any more.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from prefsmith.data.columnar import ROWS_AT_ONCE, batch_rows, refuse_equal_names
from prefsmith.data.excerpt import excerpt, excerpt_names
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import Row
from prefsmith.errors import DataError, nearest
from prefsmith.files import digest_of_files, stamp_of

if TYPE_CHECKING:
    from datasets import Dataset

Side = Literal["train", "eval"]
PREFIX = "hub:"
SYNTAX = "hub:org/name, with what is needed of ,config=NAME ,split=NAME ,revision=COMMIT behind it"

_ID = re.compile(r"[\w.-]+/[\w.-]+")
_OPTIONS = ("config", "split", "revision")
_OBVIOUS = {"train": ("train",), "eval": ("test", "validation", "valid", "eval", "dev")}


@dataclass(frozen=True, slots=True)
class Saved:
    """One split of a dataset, on disk in Arrow files.

    Args:
        name: what messages call it.
        dataset: memory-mapped.
        facts: what data.json says of it beside its digest: split, configuration, revision.
    """

    name: str
    dataset: "Dataset"
    facts: Mapping[str, str] = field(default_factory=dict)

    def rows(self, rejects: Rejects) -> Iterator[Row]:
        """Yield the rows in order, in batches.

        Raises:
            DataError: two columns have one name, or the Arrow files are damaged.
        """
        import pyarrow as pa

        refuse_equal_names(self.dataset.column_names, self.name)
        try:
            yield from batch_rows(self._batches(), self.name, rejects)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.name, error) from error

    def digest(self) -> dict[str, str]:
        """sha256 of the Arrow files, and the facts."""
        files = [Path(each["filename"]) for each in self.dataset.cache_files]
        return {"sha256": digest_of_files(files), **self.facts}

    def stamp(self) -> list[tuple[int, int, int]]:
        """What changes when somebody writes to the files."""
        return [stamp_of(Path(each["filename"])) for each in self.dataset.cache_files]

    def describe(self) -> str:
        """What was chosen, in words."""
        return ", ".join(f"{name} {value}" for name, value in self.facts.items())

    def _batches(self) -> "Iterator[Any]":
        for table in self.dataset.with_format("arrow").iter(batch_size=ROWS_AT_ONCE):
            cast("Any", table).validate(full=True)  # damaged offsets would end the process, not raise
            yield table


def may_be_id(name: str) -> bool:
    """Whether a dataset of the hub could have this name."""
    return _ID.fullmatch(name) is not None and not name.startswith(".")


def open_folder(folder: Path, side: Side) -> Saved:
    """The dataset that `save_to_disk` wrote to a folder.

    Args:
        folder: of a Dataset, or of a DatasetDict, which has a folder per split.
        side: what it is read for, which decides the split.

    Raises:
        DataError: the folder holds no dataset, a damaged one, or several splits and none that is meant for this side.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(each.parent.name for each in folder.glob("*/state.json"))
        split = _choose(
            splits, side, str(folder), f"name its folder, for example {folder}/{splits[0] if splits else ''}"
        )
        return Saved(str(folder / split), _load_folder(folder / split), {"split": split})
    if not (folder / "state.json").is_file() or not (folder / "dataset_info.json").is_file():
        raise _no_dataset(folder)
    return Saved(str(folder), _load_folder(folder))


def open_hub(name: str, side: Side) -> Saved:
    """A dataset of the hub, downloaded to the cache of `datasets` where it is not there yet.

    Args:
        name: `hub:org/name`, with options behind it.
        side: what it is read for, which decides the split unless the name does.

    Raises:
        DataError: the name is none, the hub or the dataset cannot be reached, or the split is not clear.
    """
    repository, options = _parse_name(name)
    datasets = _library()
    place = f"hf://datasets/{repository}"  # without it a folder of that name would be read
    config = options.get("config")
    try:
        builder = datasets.load_dataset_builder(place, config, revision=options.get("revision"))
        revision = str(builder.hash or "")  # the commit, also where the hub is not there and the cache is read
        cached = type(builder).__name__ == "Cache"
        if cached and options.get("revision") not in (None, revision):
            raise _other_revision(revision, name)
        loaded = datasets.load_dataset(place, config, revision=revision or None)
    except DataError:
        raise
    except Exception as error:  # whatever the network, the hub and its libraries raise
        raise _unreachable(name, error) from error
    splits = sorted(loaded)
    split = options.get("split")
    if split is None:
        split = _choose(splits, side, name, f"add one to the name: {name},split={splits[0] if splits else '...'}")
    elif split not in splits:
        what, fix = f"there is no split {split}; the dataset has {', '.join(splits)}", nearest(split, splits)
        raise DataError("data.split", what, where=name, fix=fix)
    facts = {"split": split, "config": config or "", "revision": revision, "source": "cache" if cached else ""}
    return Saved(name, loaded[split], {key: value for key, value in facts.items() if value})


def _parse_name(name: str) -> tuple[str, dict[str, str]]:
    repository, *parts = name.removeprefix(PREFIX).split(",")
    options: dict[str, str] = {}
    for part in parts:
        key, _, value = part.partition("=")
        options[key] = value
    known = all(key in _OPTIONS and value for key, value in options.items()) and len(options) == len(parts)
    if not _ID.fullmatch(repository) or not known:
        raise DataError("data.hub", f"{excerpt(name, 200)} names no dataset of the hub", fix=SYNTAX)
    return repository, options


def _choose(splits: Sequence[str], side: Side, where: str, fix: str) -> str:
    """The split that is meant: the only one, or the only one with an obvious name."""
    obvious = [split for split in splits if split in _OBVIOUS[side]] if len(splits) > 1 else list(splits)
    if len(obvious) == 1:
        return obvious[0]
    what = f"there are several splits, and none is clearly meant for data.{side}: {', '.join(splits)}"
    if not splits:
        what = "the dataset has no split"
    raise DataError("data.split", what, where=where, fix=fix)


def _load_folder(folder: Path) -> "Dataset":
    try:
        return cast("Dataset", _library().load_from_disk(str(folder)))
    except Exception as error:  # its JSON files may lack anything, its Arrow files may be cut off
        raise _damaged(str(folder), error) from error


def _library() -> Any:  # noqa: ANN401
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    return datasets


def _damaged(where: str, error: Exception) -> DataError:
    what = f"the dataset in the folder cannot be read: {_first_line(error)}"
    return DataError("data.folder", what, where=where, fix="save it again with `save_to_disk`")


def _no_dataset(folder: Path) -> DataError:
    files = sorted(each.name for each in folder.iterdir())
    what = f"the folder holds no dataset saved by `datasets`, but {excerpt_names(files)}"
    fix = "name one file in it, or the folder that `save_to_disk` wrote"
    if "config.json" in files:
        what, fix = "this is the folder of a model", "the model is named with --model, the data with --data"
    return DataError("data.folder", what, where=str(folder), fix=fix)


def _other_revision(found: str, name: str) -> DataError:
    """Where the hub cannot be reached, `datasets` takes what it has in its cache, of whatever revision."""
    what = f"the hub cannot be reached, and the cache has another revision: {found}"
    return DataError("data.hub", what, where=name, fix="go on-line, or name the commit that the cache has")


def _unreachable(name: str, error: Exception) -> DataError:
    what = f"the dataset cannot be loaded: {_first_line(error)}"
    fix = "check its name on the hub and the network; a private one needs `hf auth login`"
    if "Config name is missing" in str(error):
        what = f"the dataset has several configurations: {excerpt(' '.join(str(error).split()), 400)}"
        fix = f"add one to the name: {name},config=..."
    return DataError("data.hub", what, where=name, fix=fix)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return excerpt(lines[0], 200) if lines else type(error).__name__
