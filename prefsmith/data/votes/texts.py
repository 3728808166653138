"""Texts of answers that a file of votes only names."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prefsmith.data.containers import open_container
from prefsmith.data.excerpt import excerpt, excerpt_names
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import Row
from prefsmith.data.votes.judgements import JudgedPair
from prefsmith.errors import DataError
from prefsmith.records import Completion


@dataclass(frozen=True, slots=True)
class Text:
    """An answer.

    Args:
        text: of it.
        prompt: what it answers; empty where the file does not say.
        source: `file:line`.
    """

    text: str
    prompt: str
    source: str


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a file by their ids.

    Args:
        name: of the file, for messages.
        by_id: each of them.
        digest: of the file.
    """

    name: str
    by_id: Mapping[str, Text]
    digest: Mapping[str, str]

    def of(self, pair: JudgedPair) -> JudgedPair:
        """The pair with its texts, and with their prompt where they have one.

        Raises:
            DataError: an answer is not in the file, or the two answer different prompts.
        """
        where = pair.group.source
        if pair.names is None:
            what = "this row holds its answers, and names none that could be looked up"
            raise DataError("votes.text", what, where=where, fix="leave --texts out")
        missing = [name for name in pair.names if name not in self.by_id]
        if missing:
            what = f"no text has the id {excerpt_names(missing)} in {excerpt(self.name, 200)}"
            fix = "name the file that has them with --texts; --skip-bad counts such pairs and leaves them out"
            raise DataError("votes.text", what, where=where, fix=fix)
        first, second = (self.by_id[name] for name in pair.names)
        if first.prompt != second.prompt:
            what = f"the two answers have different prompts: {first.source} and {second.source}"
            raise DataError("votes.text", what, where=where, fix="compare answers to one prompt, or drop the row")
        completions = Completion(text=first.text), Completion(text=second.text)
        group = replace(pair.group, completions=completions, prompt=first.prompt or pair.group.prompt)
        return replace(pair, group=group, lengths=(len(first.text.split()), len(second.text.split())))


def read_texts(path: str | Path) -> Texts:
    """Read a file of texts, each with an id.

    The prompt is in `prompt`; without it, `title` and `stance` make one; without them it is what the votes say.

    Raises:
        DataError: the file cannot be read, a row has no id or no text, or two rows have one id.
    """
    container = open_container(path)
    by_id: dict[str, Text] = {}
    for row in container.rows(Rejects()):
        name = _name(row)
        if name in by_id:
            what = f"the id {excerpt(name)} is that of {by_id[name].source} too"
            raise DataError("votes.text", what, where=row.source, fix="give every text an id of its own")
        by_id[name] = Text(_text(row), _prompt(row), row.source)
    if not by_id:
        raise DataError("data.no_rows", "the file has no rows", where=str(path), fix="is it the right file?")
    return Texts(str(path), by_id, container.digest())


def _name(row: Row) -> str:
    value = row.values.get("id")
    if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        return str(value)
    raise _bad("id", row)


def _text(row: Row) -> str:
    value = row.values.get("text")
    if isinstance(value, str):
        return value
    raise _bad("text", row)


def _prompt(row: Row) -> str:
    if "prompt" in row.values:
        value = row.values["prompt"]
        if isinstance(value, str):
            return value
        raise _bad("prompt", row)
    parts = [row.values.get(name) for name in ("title", "stance")]
    return ": ".join(part for part in parts if isinstance(part, str) and part)


def _bad(name: str, row: Row) -> DataError:
    what = f"{name} is {excerpt(repr(row.values.get(name)))}; the row has {excerpt_names(row.values)}"
    fix = "a text is a row with id and text, and with prompt, or title and stance, where it has them"
    return DataError("votes.text", what, where=row.source, fix=fix)
