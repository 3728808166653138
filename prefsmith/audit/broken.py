"""Rows that cannot be used, and texts that are damaged or hold what belongs to a template."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from prefsmith.audit.audited import Audited, AuditedFile
from prefsmith.audit.finding import EXAMPLES, Example, Finding, Proposal
from prefsmith.audit.judged import UNREAD
from prefsmith.audit.texts import has_texts, prompt_text
from prefsmith.data.excerpt import excerpt
from prefsmith.records import Completion, Group

# What the readers refuse: of each code the kind of finding it is, and what is seen.
_REFUSED = {
    "data.identical": ("identical", "Chosen and rejected are the same"),
    "data.empty": ("empty", "An answer is empty"),
    "data.diverge": ("diverge", "The sides do not share a prompt"),
    "data.type": ("type", "A cell is of a wrong type"),
    "data.messages": ("messages", "Messages are not something said and an answer to it"),
    "data.role": ("messages", "Messages are not something said and an answer to it"),
    "data.dialogue": ("dialogue", "A side is no dialogue"),
    "data.encoding": ("encoding", "Bytes or characters are no text"),
    "data.json": ("unreadable", "A row cannot be read"),
    "data.csv": ("unreadable", "A row cannot be read"),
    "data.long_line": ("unreadable", "A row cannot be read"),
    "data.column": ("column", "A column is missing, or is not in the first row"),
    "data.id": ("id", "An id stands twice"),
    "data.probability": ("label", "A label is none"),
    "data.weight": ("label", "A label is none"),
    "data.label": ("label", "A label is none"),
    "data.winner": ("label", "A label is none"),
    "data.scores": ("label", "A label is none"),
    "data.ranking": ("ranking", "A list of answers is not as it should be"),
}
_VOTES = ("votes", "The votes of a row cannot be read")  # codes votes.…
_ELSE = ("refused", "A row cannot be used")
_STOPS = "training stops at the first of these rows, or with data.skip_bad=true goes on without them"
_READING_VOTES = "eval agreement and label aggregate stop at the first of these rows, or with --skip-bad leave them out"
_LEAVE = "mend the rows, or leave them out"
# What the readers of votes say they did, where it is a fault of the file.
_NOT_TEXT = "answers that are JSON values and not texts"
_NO_SIDE = "that name no side"

_CONTROL = re.compile(
    r"<\|[A-Za-z0-9_]{2,40}\|>|<\uff5c[^\uff5c<>\n]{2,40}\uff5c>|</?(?:bos|eos|pad|unk)>|</s>|\A\s*<s>|<(?:start|end)_of_turn>"
    r"|\[/?INST\]|<</?SYS>>|\[(?:PAD|CLS|SEP|MASK|UNK|BOS|EOS)\]"
)
_STRUCK = re.compile(r"<s>.*?</s>", re.DOTALL)  # struck-out text in HTML

# Bytes of UTF-8 that were read as Windows-1252: a leading byte, then bytes of 0x80 to 0xBF as that page shows them.
_HIGH = "\x80-\xbf" + re.escape(bytes(range(0x80, 0xA0)).decode("cp1252", errors="ignore"))
_MOJIBAKE = re.compile(rf"[\xe0-\xef][{_HIGH}]{{2}}|[\xf0-\xf4][{_HIGH}]{{3}}")
_MOJIBAKE_OF_TWO = re.compile(rf"[\xc2\xc3][{_HIGH}]")  # may stand in capitals before a quotation mark
_STRANGE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")
_SPACES = re.compile(r"\s+")

_DAMAGE = {
    "replacement": ("U+FFFD stands where characters were lost", "the model learns to write it"),
    "mojibake": ("UTF-8 that was read as another encoding", "the model learns garbled characters"),
    "control_character": ("Control characters such as NUL", "the model learns to write them"),
}
_MEND_TEXT = {
    "replacement": "write the file again from its source with the right encoding; what is lost cannot be repaired",
    "mojibake": "read the source as UTF-8; text.encode('cp1252').decode('utf-8') undoes most of it",
    "control_character": "delete them where the file is written",
}


@dataclass(slots=True)
class Seen:
    """Rows of a block by what was seen in them.

    Args:
        rows: places in the block, by kind.
        tokens: of control tokens, in how many rows each is.
        one_sided: rows in which only one side of a pair has control tokens.
        size: rows of the block.
    """

    rows: dict[str, list[int]] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    one_sided: int = 0
    size: int = 0

    def add(self, kind: str, place: int) -> None:
        """Note a row."""
        self.rows.setdefault(kind, []).append(place)


class Broken:
    """Identical or empty sides, wrong types, sides without a shared prompt, control tokens, damaged texts.

    Args:
        tokens: further control tokens, such as those of a model's tokenizer.
    """

    kind = "broken"

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        self.tokens = tuple(sorted({token for token in tokens if len(token.strip()) > 2}))

    def look(self, groups: Sequence[Group]) -> Seen:
        """Look through every text."""
        seen = Seen(size=len(groups))
        for place, group in enumerate(groups):
            texts = [prompt_text(group), *(completion.content for completion in group.completions)]
            self._look_for_tokens(texts, place, seen)
            for kind in damage("\n".join(texts)):
                seen.add(kind, place)
            if _same_words(texts[1:]):
                seen.add("same_words", place)
            if has_texts(group) and any(_has_no_text(each) for each in group.completions):
                seen.add("empty_answer", place)
        return seen

    def findings(self, blocks: Sequence[Seen], data: Audited) -> Iterator[Finding]:
        """What the readers refuse, then what they take and should not stand there."""
        other = data.part("other")
        blocks = [Seen() if other[start] else block for block, start in zip(blocks, data.blocks, strict=False)]
        yield from _refused(data)
        yield from _noted(data)
        rows = {kind: _rows(kind, blocks, data) for kind in ("empty_answer", "same_words", "control_token", *_DAMAGE)}
        if len(rows["empty_answer"]):
            yield _empty(rows["empty_answer"], data)
        if len(rows["same_words"]):
            yield _same(rows["same_words"], data)
        if len(rows["control_token"]):
            yield self._tokens_found(rows["control_token"], blocks, data)
        for kind, (title, effect) in _DAMAGE.items():
            if len(rows[kind]):
                yield _damaged(kind, title, effect, rows[kind], data)

    def _look_for_tokens(self, texts: Sequence[str], place: int, seen: Seen) -> None:
        found = [self.control_tokens(text) for text in texts]
        tokens = set().union(*found)
        if not tokens:
            return
        seen.add("control_token", place)
        for token in tokens:
            seen.tokens[token] = seen.tokens.get(token, 0) + 1
        seen.one_sided += len(texts) == 3 and found[1] != found[2]

    def control_tokens(self, text: str) -> set[str]:
        """The control tokens in a text. What HTML strikes out between <s> and </s> is none."""
        found: set[str] = set()
        if "<" in text or "[" in text:
            plain = _STRUCK.sub("", text) if "</s>" in text else text
            found = {match.strip() for match in _CONTROL.findall(plain)}
        return found | {token for token in self.tokens if token in text}

    def _tokens_found(self, rows: np.ndarray, blocks: Sequence[Seen], data: Audited) -> Finding:
        counts: dict[str, int] = {}
        for block in blocks:
            for token, count in block.tokens.items():
                counts[token] = counts.get(token, 0) + count
        most = dict(sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:20])
        one_sided = sum(block.one_sided for block in blocks)
        effect = "they are encoded as plain text, so the model learns to write markup in its answers"
        if one_sided:
            effect += f"; in {one_sided:,} of these rows only one side has them, which tells it from the other"
        return Finding(
            "broken", "broken.control_token", "warning", "Control tokens stand in the text", len(rows), _own(data),
            "rows", effect, "take out the template's markup where the file is written, and let prefsmith apply it",
            tuple(data.example(int(row), self._around(data.group(int(row)))) for row in rows[:EXAMPLES]),
            {"tokens": most, "one_sided": one_sided}, Proposal.drop(rows),
        )  # fmt: skip

    def _around(self, group: Group) -> str:
        """The first control token of a row with some text around it."""
        for text in (prompt_text(group), *(each.content for each in group.completions)):
            if tokens := self.control_tokens(text):
                return _context(text, min(text.find(token) for token in tokens))
        return ""


def damage(text: str) -> Iterator[str]:
    """The kinds of damage in a text."""
    if text.isascii():  # most texts: one quick look
        if _STRANGE.search(text):
            yield "control_character"
        return
    if "\ufffd" in text:
        yield "replacement"
    if _MOJIBAKE.search(text) or len(_MOJIBAKE_OF_TWO.findall(text)) > 1:
        yield "mojibake"
    if _STRANGE.search(text):
        yield "control_character"


def _same_words(answers: Sequence[str]) -> bool:
    """Whether two answers differ in nothing but spaces and capitals."""
    if len(answers) == 2 and abs(len(answers[0]) - len(answers[1])) > 0.5 * max(map(len, answers)):
        return False
    plain = [_SPACES.sub(" ", answer).strip().casefold() for answer in answers]
    return len(set(plain)) < len(plain) and any(plain)


def _rows(kind: str, blocks: Sequence[Seen], data: Audited) -> np.ndarray:
    parts = [np.asarray(block.rows.get(kind, []), dtype=np.int64) for block in blocks]
    return np.concatenate([part + start for part, start in zip(parts, data.blocks, strict=False)] or [np.empty(0, int)])


def _own(data: Audited) -> int:
    """Rows to train or to evaluate on: those of other files are nobody's to mend."""
    return int((~data.part("other")).sum())


def _same(rows: np.ndarray, data: Audited) -> Finding:
    return Finding(
        "broken", "broken.same_words", "warning", "Two answers differ in nothing but spaces and capitals", len(rows),
        _own(data), "rows", "the pair teaches spacing and nothing else, at full weight",
        "leave the rows out, unless spacing is what you want to teach", data.examples(rows), {}, Proposal.drop(rows),
    )  # fmt: skip


def _empty(rows: np.ndarray, data: Audited) -> Finding:
    prompts = tuple(data.example(int(row), prompt_text(data.group(int(row)))) for row in rows[:EXAMPLES])
    return Finding(
        "broken", "broken.empty_answer", "error", "An answer of a pair that was voted on has no text", len(rows),
        _own(data), "rows", "there is nothing to score, and training refuses the row", _LEAVE, prompts, {},
        Proposal.drop(rows),
    )  # fmt: skip


def _has_no_text(completion: Completion) -> bool:
    return not completion.content.strip() and not any(message.extra for message in completion.messages)


def _damaged(kind: str, title: str, effect: str, rows: np.ndarray, data: Audited) -> Finding:
    return Finding(
        "broken", f"broken.{kind}", "warning", title, len(rows), _own(data), "rows",
        effect, _MEND_TEXT[kind], tuple(data.example(int(row), _first_damage(data.group(int(row)), kind))
        for row in rows[:EXAMPLES]), {}, Proposal.drop(rows),
    )  # fmt: skip


def _first_damage(group: Group, kind: str) -> str:
    patterns = {"replacement": re.compile("\ufffd"), "control_character": _STRANGE}
    for text in (prompt_text(group), *(each.content for each in group.completions)):
        found = patterns[kind].search(text) if kind in patterns else _MOJIBAKE.search(text)
        found = found or (_MOJIBAKE_OF_TWO.search(text) if kind == "mojibake" else None)
        if found:
            return _context(text, found.start())
    return ""


def _context(text: str, place: int) -> str:
    start = max(0, place - 40)
    return ("…" if start else "") + text[start : place + 80]


def _refused(data: Audited) -> Iterator[Finding]:
    """One finding for each kind of row that the readers refuse."""
    counts: dict[str, int] = {}
    own = [file for file in data.files if file.part != "other"]
    for file in own:
        for code, count in file.codes.items():
            name, _ = _kind(code)
            counts[name] = counts.get(name, 0) + count
    if not counts:
        return
    examples, sources = _refused_examples(data)
    titles = dict([*_REFUSED.values(), _VOTES, _ELSE])
    for name, count in counts.items():
        effect = _READING_VOTES if name == _VOTES[0] else _STOPS
        yield Finding(
            "broken", f"broken.{name}", "error", titles[name], count, sum(file.rows for file in own), "rows",
            effect, _LEAVE, tuple(examples.get(name, ())), {}, Proposal.leave_out_refused(sources.get(name, ())),
        )  # fmt: skip


def _kind(code: str) -> tuple[str, str]:
    """The kind of finding that a row refused with a code is, and what is seen."""
    return _REFUSED.get(code, _VOTES if code.startswith("votes.") else _ELSE)


def _refused_examples(data: Audited) -> tuple[dict[str, list[Example]], dict[str, list[tuple[int, str]]]]:
    """Of each kind the first examples, and where all of them stand."""
    examples: dict[str, list[Example]] = {}
    sources: dict[str, list[tuple[int, str]]] = {}
    for number, file in enumerate(data.files):
        for entry in file.refused if file.part != "other" else ():
            name, _ = _kind(str(entry["code"]))
            sources.setdefault(name, []).append((number, str(entry["where"])))
            shown = examples.setdefault(name, [])
            if len(shown) < EXAMPLES:
                shown.append(Example(str(entry["where"]), excerpt(str(entry["reason"]), 160)))
    return examples, sources


def _noted(data: Audited) -> Iterator[Finding]:
    """Faults that readers of votes pass and count."""
    for file in (file for file in data.files if file.part != "other"):
        for note, count in file.notes.items():
            if note.startswith(_NOT_TEXT):
                effect = "what the annotators saw is not known, so there is nothing to train on"
                yield _note(file, note, count, "type", "error", "Answers are no texts", "answers", effect)
            elif _NO_SIDE in note:
                effect = "they count as no verdict, and the annotator's reliability falls with them"
                who = excerpt(note.removeprefix("verdicts of ").partition(" that")[0], 60)
                title = f"Verdicts of {who} name no side"
                yield _note(file, note, count, "verdict", "warning", title, "votes", effect)
            elif note == UNREAD:
                effect = "training does not read them; nobody's agreement is known there"
                title = "Votes beside a label cannot be read"
                yield _note(file, note, count, "votes_beside", "warning", title, "rows", effect)


def _note(
    file: AuditedFile, note: str, count: int, name: str, severity: str, title: str, unit: str, effect: str
) -> Finding:
    of = {"answers": 2 * len(file.groups), "rows": file.rows}.get(unit)
    of = sum(len(group.votes) for group in file.groups) if of is None else of
    examples = tuple(Example(each.where, excerpt(each.text, 160)) for each in file.places.get(note, ())[:EXAMPLES])
    return Finding(
        "broken", f"broken.{name}", "error" if severity == "error" else "warning", title, count, of, unit, effect,
        "write the answers and verdicts as texts where the file is made", examples,
    )  # fmt: skip
