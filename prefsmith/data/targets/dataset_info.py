"""LLaMA-Factory's dataset_info.json: what it says of a file that is read, and the entry of one that was written."""

import json
from collections.abc import Mapping
from pathlib import Path

from prefsmith.data.excerpt import excerpt
from prefsmith.errors import ConfigError
from prefsmith.files import write_durably

NAME = "dataset_info.json"
_OURS = {
    "prompt": "prompt", "query": "input", "response": "completion", "history": "history", "system": "system",
    "tools": "tools", "chosen": "chosen", "rejected": "rejected", "kto_tag": "label",
}  # fmt: skip
_KNOWN_TAGS = {
    "role_tag": ("from", "role"), "content_tag": ("value", "content"), "user_tag": ("human", "user"),
    "assistant_tag": ("gpt", "assistant"), "observation_tag": ("observation", "tool"),
    "function_tag": ("function_call",), "system_tag": ("system",),
}  # fmt: skip


def columns_beside(path: Path) -> dict[str, str]:
    """Our names of a file's columns, where a dataset_info.json in its folder names the file; nothing elsewhere.

    Raises:
        ConfigError: it names the file, and turns of the file have other marks than we read.
    """
    info = _read(path.parent / NAME) if path.is_file() else None
    plain = path.name.removesuffix(".gz").removesuffix(".xz")
    entries = [each for each in (info or {}).values() if isinstance(each, dict) and each.get("file_name") == plain]
    if not entries:
        return {}
    entry = entries[0]
    _check_tags(entry.get("tags"), str(path.parent / NAME))
    named = entry.get("columns")
    columns = named if isinstance(named, dict) else {}
    found = {ours: str(columns[theirs]) for theirs, ours in _OURS.items() if theirs in columns}
    if "messages" in columns:
        found["prompt" if entry.get("ranking") else "messages"] = str(columns["messages"])
    return found


def with_entry(folder: Path, name: str, entry: Mapping[str, object]) -> dict[str, object]:
    """What the folder's dataset_info.json will hold: its entries and the new one.

    Raises:
        ConfigError: the file cannot be read, or says something else of a data set with this name.
    """
    path = folder / NAME
    info = _read(path) if path.exists() else {}
    if info is None:
        what, fix = "this is no JSON object of data sets", "mend it, or write to another folder with --out"
        raise ConfigError("convert.info", what, where=str(path), fix=fix)
    if info.get(name, entry) != entry:
        what = f"it says something else of a data set called {excerpt(name)}"
        raise ConfigError("convert.info", what, where=str(path), fix="give the new file another name with --out")
    return {**info, name: entry}


def write_info(folder: Path, info: Mapping[str, object]) -> None:
    """Write a folder's dataset_info.json.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps(info, indent=2, ensure_ascii=False) + "\n"
    write_durably(folder / NAME, text.encode("utf-8", "backslashreplace"))


def _read(path: Path) -> dict[str, object] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _check_tags(tags: object, where: str) -> None:
    for name, known in _KNOWN_TAGS.items():
        tag = tags.get(name) if isinstance(tags, dict) else None
        if tag is not None and tag not in known:
            what = f"{name} is {excerpt(repr(tag))}, and turns with such marks are not read"
            raise ConfigError("convert.tags", what, where=where, fix=f"turns are read where it is {' or '.join(known)}")
