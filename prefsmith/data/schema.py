"""From rows to groups: recognise what a file holds, say so, and check every row at this border.

Formats:
    preference   prompt, chosen, rejected: texts or lists of messages; the sides may repeat the prompt
    dialogue     chosen, rejected without a prompt: both hold the whole dialogue up to their last answer
    rating       prompt, completion, label: thumbs up or down
    completion   prompt, completion: plain examples, as desirable completions
In the last two, `messages` may stand for prompt and completion: its last message is the completion.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from prefsmith.data import dialogue
from prefsmith.data.read import Row, read_rows
from prefsmith.data.rejects import Rejects
from prefsmith.errors import ConfigError, DataError, nearest
from prefsmith.records import ROLES, Comparison, Completion, Group, Message, Rating

Prompt = str | tuple[Message, ...]

REQUIRED = {
    "preference": ("prompt", "chosen", "rejected"),
    "dialogue": ("chosen", "rejected"),
    "rating": ("prompt", "completion", "label"),
    "completion": ("prompt", "completion"),
}
OPTIONAL = ("id", "system", "tools", "prob", "weight", "tags")
# What files call these columns, beside our own names. Anything else is told through data.columns.
SYNONYMS = {
    "prob": ("probability", "preference_prob", "preference_probability"),
    "prompt": ("question", "instruction", "conversations"),
    "messages": ("conversations",),
    "completion": ("response", "answer"),
}
FOREIGN_ROLES = {"human": "user", "gpt": "assistant"}  # ShareGPT's names


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file's rows are.

    Args:
        format: a key of `REQUIRED`.
        columns: our name of a column -> the file's.
        unused: columns of the first row that nothing reads.
    """

    format: str
    columns: Mapping[str, str]
    unused: tuple[str, ...] = ()

    def describe(self) -> str:
        """What was recognised, in a line."""
        renamed = [f"{ours} from {theirs}" for ours, theirs in self.columns.items() if ours != theirs]
        parts = [f"{self.format} rows ({', '.join(self.columns)})"]
        parts += [f"{', '.join(renamed)}"] if renamed else []
        parts += [f"not read: {', '.join(self.unused)}"] if self.unused else []
        return "; ".join(parts)


@dataclass(slots=True)
class Reading:
    """What came of reading a file. `rows` is the number of groups plus the number of refused rows."""

    schema: Schema | None = None
    groups: list[Group] = field(default_factory=list)
    rows: int = 0
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, what: str) -> None:
        """Count something that was done to a row."""
        self.notes[what] = self.notes.get(what, 0) + 1


def read_groups(
    path: str | Path,
    *,
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    rejects: Rejects | None = None,
) -> Reading:
    """Read a preference file to its end, or to `limit` rows.

    Args:
        path: .jsonl or .json, plain or .gz.
        format: a format's name, or `auto` to recognise it from the first row.
        columns: our name of a column -> the file's, where they differ.
        limit: most rows that are read.
        rejects: collects the rows that cannot be used. Without it the first one raises.

    Raises:
        DataError: the file cannot be read, holds no usable row, or holds a bad row and `rejects` does not skip.
        ConfigError: `columns` names something we do not know.
    """
    path, rejects = Path(path), rejects if rejects is not None else Rejects()
    reading, seen = Reading(), dict[str, str]()
    refused_before = len(rejects.rows)
    for row in islice(read_rows(path, rejects), limit):
        reading.rows += 1
        if reading.schema is None:
            reading.schema = recognise(row, format, columns or {})
        try:
            group = parse_row(row, reading.schema, reading)
            _first_of_its_id(group, seen)
        except DataError as error:
            rejects.refuse(error, row.values)
            continue
        reading.groups.append(group)
    unread = len(rejects.rows) - refused_before - (reading.rows - len(reading.groups))
    reading.rows += unread  # lines that were no rows at all count as read
    if not reading.groups:
        what = f"no row can be used; {reading.rows} were read" if reading.rows else "the file has no rows"
        raise DataError("data.no_rows", what, where=str(path), fix="without data.skip_bad the first bad row is named")
    return reading


def recognise(row: Row, format: str, columns: Mapping[str, str]) -> Schema:
    """What the file's rows are, from the columns of its first.

    Raises:
        ConfigError: `columns` maps a name that we do not have.
        DataError: the columns of no format are there.
    """
    ours = {name for names in REQUIRED.values() for name in names} | {*OPTIONAL, "messages"}
    for name in columns:
        if name not in ours:
            raise ConfigError("data.columns", f"we have no column {name}", where=f"data.columns.{name}",
                              fix=nearest(name, sorted(ours)))  # fmt: skip
        if columns[name] not in row.values:
            what = f"missing {columns[name]}, which data.columns.{name} names; the row has {', '.join(row.values)}"
            raise DataError("data.column", what, where=row.source, fix=nearest(columns[name], row.values))
    found: dict[str, str] = {}
    for name in sorted(ours):
        names = (columns[name],) if name in columns else (name, *SYNONYMS.get(name, ()))
        if (theirs := next((candidate for candidate in names if candidate in row.values), None)) is not None:
            found[name] = theirs
    kind = _kind(found, row, format, columns)
    used = _used(kind, found)
    kept = {name: found[name] for name in (*used, *OPTIONAL) if name in found}
    unused = tuple(name for name in row.values if name not in kept.values())
    return Schema(kind, kept, unused)


def _kind(found: Mapping[str, str], row: Row, format: str, columns: Mapping[str, str]) -> str:
    for kind in REQUIRED if format == "auto" else [format]:
        if all(name in found for name in _used(kind, found)):
            return kind
    wanted = REQUIRED[format] if format != "auto" else _likeliest(found)
    missing = [name for name in wanted if name not in found]
    hints = [f"{name}: {nearest(columns.get(name, name), row.values)}" for name in missing]
    example = f"data.columns.{missing[0]}=<your column>"
    raise DataError(
        "data.column",
        f"missing {', '.join(columns.get(name, name) for name in missing)}; the row has {', '.join(row.values)}",
        where=row.source,
        fix=f"name your column with {example} ({'; '.join(hints)})",
    )


def _used(kind: str, found: Mapping[str, str]) -> tuple[str, ...]:
    """The columns that make a row of this kind; one list of messages may stand for prompt and completion."""
    if kind in ("rating", "completion") and "messages" in found and "completion" not in found:
        return ("messages", *(name for name in REQUIRED[kind] if name not in ("prompt", "completion")))
    return REQUIRED[kind]


def _likeliest(found: Mapping[str, str]) -> tuple[str, ...]:
    """The format that lacks the fewest columns."""
    return min(REQUIRED.values(), key=lambda names: sum(name not in found for name in names) / len(names))


def parse_row(row: Row, schema: Schema, reading: Reading) -> Group:
    """Check one row and make it a group.

    Raises:
        DataError: with the row's place, what is wrong in it and how to mend it.
    """
    cell = _Cells(row, schema.columns)
    _refuse_late_columns(row, schema)
    if schema.format in ("preference", "dialogue"):
        prompt, completions = _two_sides(cell, schema, reading)
        comparison = Comparison(0, 1, prob=cell.number("prob", 1.0, 0.0, 1.0), weight=cell.weight())
        return _group(cell, prompt, completions, comparisons=(comparison,))
    if "messages" in schema.columns:
        prompt, completion = _split_messages(cell.messages("messages"), row.source)
    else:
        prompt, completion = cell.prompt(), cell.completion("completion")
    value = _label(cell) if schema.format == "rating" else 1.0
    return _group(cell, prompt, (completion,), ratings=(Rating(0, value, cell.weight()),))


def _refuse_late_columns(row: Row, schema: Schema) -> None:
    """Columns are those of the first row; a probability or system prompt that begins later would be lost in silence."""
    for name in (name for name in OPTIONAL if name not in schema.columns):
        for theirs in (name, *SYNONYMS.get(name, ())):
            if row.values.get(theirs) is not None and theirs not in (*schema.columns.values(), *schema.unused):
                what, fix = f"the row has {theirs}, which the first row lacks", "give the first row this column too"
                raise DataError("data.column", what, where=row.source, fix=fix)


def _group(
    cell: "_Cells",
    prompt: Prompt,
    completions: tuple[Completion, ...],
    *,
    comparisons: tuple[Comparison, ...] = (),
    ratings: tuple[Rating, ...] = (),
) -> Group:
    system = cell.optional_text("system")
    if system:
        prompt = (Message("user", prompt),) if isinstance(prompt, str) else prompt
        prompt = (Message("system", system), *prompt)
    for completion in completions:
        if not completion.content.strip() and not any(message.extra for message in completion.messages):
            name = cell.name_of(completions.index(completion))
            fix = "drop the row, or data.skip_bad=true"
            raise DataError("data.empty", f"{name} is empty, so there is nothing to score", where=cell.source, fix=fix)
    return Group(
        id=cell.identity(),
        source=cell.source,
        prompt=prompt,
        completions=completions,
        comparisons=comparisons,
        ratings=ratings,
        tags=cell.tags(),
        tools=cell.tools(),
    )


def _two_sides(cell: "_Cells", schema: Schema, reading: Reading) -> tuple[Prompt, tuple[Completion, ...]]:
    """The prompt and both answers, wherever the prompt stands."""
    chosen, rejected = cell.content("chosen"), cell.content("rejected")
    if chosen == rejected:
        raise DataError(
            "data.identical",
            "chosen and rejected are the same, so the pair teaches nothing",
            where=cell.source,
            fix="drop the row, or data.skip_bad=true",
        )
    if isinstance(chosen, str) != isinstance(rejected, str):
        what = "chosen is a text and rejected a list of messages, or the reverse"
        raise DataError("data.type", what, where=cell.source, fix="give both sides in one form")
    if schema.format == "dialogue":
        return _split_pair(chosen, rejected, cell.source, reading)
    prompt = cell.prompt()
    sides = [_without_prompt(side, prompt, cell.source) for side in (chosen, rejected)]
    if isinstance(prompt, str) and isinstance(sides[0].messages, tuple) and sides[0].text is None:
        prompt = (Message("user", prompt),)
    return prompt, (sides[0], sides[1])


def _split_pair(
    chosen: Prompt, rejected: Prompt, source: str, reading: Reading
) -> tuple[Prompt, tuple[Completion, ...]]:
    """Split whole dialogues at their last answer; what stands before it must be the same on both sides."""
    if isinstance(chosen, tuple) and isinstance(rejected, tuple):
        (prompt, better), (other, worse) = _split_messages(chosen, source), _split_messages(rejected, source)
        _same_prompt(prompt, other, source)
        return prompt, (better, worse)
    assert isinstance(chosen, str) and isinstance(rejected, str)  # both sides have one form, checked above
    for name, text in (("chosen", chosen), ("rejected", rejected)):
        if not dialogue.is_dialogue(text):
            raise DataError(
                "data.dialogue",
                f"{name} is not a dialogue with turns marked Human: and Assistant:",
                where=source,
                fix="add a prompt column, or give chosen and rejected as lists of messages",
            )
    (prompt, answer), (other, worse_answer) = (
        dialogue.split_last_answer(chosen),
        dialogue.split_last_answer(rejected),
    )
    _same_prompt(prompt, other, source)
    messages = dialogue.to_messages(prompt)
    if messages is None or not all(text[:1] in ("", " ") for text in (answer, worse_answer)):
        reading.note("dialogues kept as plain text")
        return prompt, (Completion(answer), Completion(worse_answer))
    sides = [Completion(messages=(Message("assistant", text[1:]),)) for text in (answer, worse_answer)]
    return messages, (sides[0], sides[1])


def _same_prompt(prompt: Prompt, other: Prompt, source: str) -> None:
    if prompt != other:
        raise DataError(
            "data.diverge",
            "chosen and rejected differ before their last answer, so they do not share a prompt",
            where=source,
            fix="drop the row: its sides answer different questions; data.skip_bad=true does",
        )


def _split_messages(messages: tuple[Message, ...], source: str) -> tuple[tuple[Message, ...], Completion]:
    """Everything before the last message, which must be the assistant's, and that message as the completion."""
    if len(messages) < 2 or messages[-1].role != "assistant":
        what = f"the messages end with {messages[-1].role if messages else 'nothing'}, not with an answer to something"
        fix = "the last message is the assistant's, and at least one stands before it"
        raise DataError("data.messages", what, where=source, fix=fix)
    return messages[:-1], Completion(messages=messages[-1:])


def _without_prompt(side: Prompt, prompt: Prompt, source: str) -> Completion:
    """One side as a completion; a list of messages may repeat the prompt in front of its answer."""
    if isinstance(side, str):
        return Completion(text=side) if isinstance(prompt, str) else Completion(messages=(Message("assistant", side),))
    asked = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    if len(side) > 1 and side[:-1] != asked:
        what = "a side holds messages before its answer that are not the prompt's"
        raise DataError("data.diverge", what, where=source, fix="leave the prompt out of the sides, or drop its column")
    if not side or side[-1].role != "assistant":
        what = "a side given as messages is one message of the assistant"
        raise DataError(
            "data.messages", what, where=source, fix='for example [{"role": "assistant", "content": "..."}]'
        )
    return Completion(messages=side[-1:])


def _label(cell: "_Cells") -> float:
    value = cell.required("label")
    if isinstance(value, bool) or value in (0, 1):
        return float(bool(value))
    what = f"label is {value!r}; it is true for a desirable answer and false for an undesirable one"
    raise DataError("data.label", what, where=cell.source, fix="give true or false")


def _first_of_its_id(group: Group, seen: dict[str, str]) -> None:
    if group.id in seen:
        what = f"the id {group.id!r} is also that of {seen[group.id]}"
        raise DataError(
            "data.id", what, where=group.source, fix="ids name rows, so each stands once; or drop the column"
        )
    seen[group.id] = group.source


class _Cells:
    """The cells of one row under our names, each checked when it is taken."""

    def __init__(self, row: Row, columns: Mapping[str, str]) -> None:
        self.row, self.columns, self.source = row, columns, row.source

    def name_of(self, index: int) -> str:
        return ("chosen", "rejected")[index] if "chosen" in self.columns else "completion"

    def required(self, name: str) -> object:
        theirs = self.columns[name]
        if theirs not in self.row.values:
            raise DataError(
                "data.column",
                f"missing {theirs}; the row has {', '.join(self.row.values)}",
                where=self.source,
                fix=f"every row has the columns of the first one ({nearest(theirs, self.row.values)})",
            )
        return self.row.values[theirs]

    def optional(self, name: str) -> object:
        return self.row.values.get(self.columns[name]) if name in self.columns else None

    def content(self, name: str) -> Prompt:
        value = self.required(name)
        if isinstance(value, list):
            return self._as_messages(value, name)
        if isinstance(value, dict):
            return self._as_messages([value], name)
        return self._as_text(value, name)

    def prompt(self) -> Prompt:
        return self.content("prompt")

    def messages(self, name: str) -> tuple[Message, ...]:
        value = self.content(name)
        if isinstance(value, str):
            what, fix = f"{name} is a text, not a list of messages", 'for example [{"role": "user", "content": "..."}]'
            raise DataError("data.type", what, where=self.source, fix=fix)
        return value

    def completion(self, name: str) -> Completion:
        return _without_prompt(self.content(name), self.prompt(), self.source)

    def optional_text(self, name: str) -> str:
        value = self.optional(name)
        return "" if value is None else self._as_text(value, name)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        value = self.optional(name)
        if name in self.columns and self.columns[name] not in self.row.values:
            self.required(name)
        if value is None and name not in self.columns:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            what = f"{self.columns[name]} is {value!r}, not a number"
            raise DataError("data.type", what, where=self.source, fix="give a number in every row")
        if not low <= value <= high:  # NaN is in no range
            code = "data.probability" if name == "prob" else "data.weight"
            what = f"{self.columns[name]} is {value}, outside [{low:g}, {high:g}]"
            fix = "it is the probability that chosen is better" if name == "prob" else "give a finite number >= 0"
            raise DataError(code, what, where=self.source, fix=fix)
        return float(value)

    def weight(self) -> float:
        return self.number("weight", 1.0, 0.0, 1e12)

    def identity(self) -> str:
        value = self.optional("id")
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else self.source

    def tags(self) -> tuple[str, ...]:
        value = self.optional("tags")
        values = value if isinstance(value, list) else [] if value is None else [value]
        return tuple(str(tag) for tag in values)

    def tools(self) -> tuple[Mapping[str, object], ...]:
        value = self.optional("tools")
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
            what, fix = "tools is not a list of JSON schemas", "give a list of objects, or null"
            raise DataError("data.type", what, where=self.source, fix=fix)
        return tuple(value)

    def _as_text(self, value: object, name: str) -> str:
        if not isinstance(value, str):
            what = f"{self.columns.get(name, name)} is {_kind_of(value)}, not a text"
            raise DataError("data.type", what, where=self.source, fix="give a text, or a list of messages")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            what = f"{self.columns.get(name, name)} holds a lone surrogate, which is no character, at {error.start}"
            fix = "the text was cut inside an emoji or read with a wrong encoding; write it anew"
            raise DataError("data.encoding", what, where=self.source, fix=fix) from None
        return value

    def _as_messages(self, values: list[object], name: str) -> tuple[Message, ...]:
        return tuple(self._message(value, f"{name}[{index}]") for index, value in enumerate(values))

    def _message(self, value: object, name: str) -> Message:
        if not isinstance(value, dict):
            what = f"{name} is {_kind_of(value)}, not a message"
            raise DataError("data.type", what, where=self.source, fix='a message is {"role": "user", "content": "..."}')
        fields = dict(value)
        role = fields.pop("role", fields.pop("from", None))
        role = FOREIGN_ROLES.get(role, role) if isinstance(role, str) else role
        if not isinstance(role, str) or role not in ROLES:
            raise DataError("data.role", f"{name} has the role {role!r}", where=self.source,
                            fix=nearest(str(role), ROLES))  # fmt: skip
        content = fields.pop("content", fields.pop("value", None))
        if content is None and fields:
            content = ""  # a message that only calls tools
        return Message(role, self._as_text(content, f"{name}.content"), fields)


def _kind_of(value: object) -> str:
    names = {bool: f"the boolean {str(value).lower()}", type(None): "null", dict: "an object", list: "a list"}
    return names.get(type(value), f"the number {value}")


def iter_texts(group: Group) -> Iterator[str]:
    """Every text of the group that a person wrote."""
    yield from ([group.prompt] if isinstance(group.prompt, str) else [message.content for message in group.prompt])
    for completion in group.completions:
        yield completion.content
