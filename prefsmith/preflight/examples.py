"""Training rows as the model reads them: decoded from the very ids that are trained on, scored tokens told apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from random import Random

from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.views import View
from prefsmith.preflight.facts import Example, Kind, Piece, Shown
from prefsmith.records import Group

PROMPT = (80, 150)
"""Most characters of a prompt that are shown of its start and of its end, which is what the answer follows."""
ANSWER = (180, 80)
"""The same of an answer, whose end token has to be seen."""
WORTH = 20
"""Tokens that are shown rather than left out."""
CONTEXT = 6
"""Tokens in front that decide how a tokenizer writes the next one."""
TIED = "tied"
WHOLE = 8
"""Most tokens that one character takes."""


@dataclass(frozen=True, slots=True)
class _Atom:
    """The fewest tokens that decode to whole characters."""

    text: str
    kind: Kind
    scored: bool
    tokens: int


def examples(groups: Sequence[EncodedGroup], encoder: Encoder, *, good: str, seed: int) -> tuple[Example, ...]:
    """The first row, the longest, and one drawn by `seed`, as far as there are so many.

    Args:
        groups: training rows, in the order of their file.
        encoder: that encoded them.
        good: what a desirable completion is called.
        seed: of the draw.
    """
    chosen: dict[int, str] = {0: "the first training row"} if groups else {}
    longest = max(range(len(groups)), key=lambda index: _whole(groups[index]), default=0)
    others = [index for index in range(len(groups)) if index not in (0, longest)]
    if longest in chosen and len(groups) > 1:
        chosen[longest] = "the first training row, and the longest"
    elif groups:
        chosen[longest] = "the longest"
    if others:
        chosen[Random(seed).choice(others)] = f"one drawn by train.seed={seed}"
    if len(groups) == 1:
        chosen = {0: "the only training row"}
    return tuple(_example(groups[index], why, encoder, good) for index, why in chosen.items())


def roles(group: Group, view: View, good: str) -> list[str]:
    """What each completion is to a loss; empty where it is nothing to it. In a ranked row it has its place there."""
    named = [""] * len(group.completions)
    if group.ranking:
        for place, tier in enumerate(group.ranking):
            for index in tier:
                named[index] = _place(place, len(group.ranking))
        return [name if index in view.completions() else "" for index, name in enumerate(named)]
    for ranking in view.rankings:
        named[ranking.order[0]], named[ranking.order[1]] = ("chosen", "rejected") if ranking.tiers[1] else (TIED, TIED)
    for comparison in view.comparisons:
        better, worse = comparison.better, comparison.worse
        prob = comparison.prob
        if prob < 0.5:
            better, worse, prob = worse, better, 1 - prob
        named[better] = "chosen" if prob == 1 else f"chosen (probability {prob:g})"
        named[worse] = "rejected"
    for rating in view.ratings:
        named[rating.completion] = good if rating.value > 0.5 else "undesirable"
    return named


def _place(place: int, places: int) -> str:
    if places == 1:
        return TIED
    return "best" if place == 0 else "worst" if place == places - 1 else "between"


def _whole(group: EncodedGroup) -> int:
    """Tokens of the prompt as it was and the longest answer."""
    return group.whole_prompt + group.longest - len(group.prompt)


def _example(group: EncodedGroup, why: str, encoder: Encoder, good: str) -> Example:
    reader = _Reader(encoder)
    prompt = reader.pieces((), group.prompt, 0, PROMPT, scored=False)
    if gone := group.whole_prompt - len(group.prompt):
        kept = int(prompt[0].kind == "control")  # the begin token stays in front of a cut
        prompt = (*prompt[:kept], Piece("", "cut", False, gone), *prompt[kept:])
    parts = [Shown("prompt", len(group.prompt), prompt)]
    names, places = _answer_names(group, good), range(len(group.completions))
    if tiers := group.group.ranking:
        places = (tiers[0][0], tiers[-1][-1]) if len(places) > 1 else places
        if len(group.completions) > len(places):
            why = f"{why}: of {len(group.completions)} ranked answers, one of the best and one of the worst"
    for place in places:
        parts.append(_shown(names[place], group.prompt, group.completions[place], reader))
    return Example(group.group.source, why, tuple(parts))


def _answer_names(group: EncodedGroup, good: str) -> list[str]:
    """What each answer is to the first loss that reads it, and its score."""
    names = [roles(group.group, view, good) for view in group.views]
    found = [next(name for name in column if name) for column in zip(*names, strict=True)]
    scores = [each.score for each in group.group.completions]
    return [name if score is None else f"{name} (score {score:g})" for name, score in zip(found, scores, strict=True)]


def _shown(role: str, prompt: Sequence[int], completion: EncodedCompletion, reader: "_Reader") -> Shown:
    pieces = reader.pieces(prompt, completion.ids, completion.unscored, ANSWER, scored=True)
    if completion.ids[-1] not in reader.ends:
        pieces = (*pieces, Piece("", "unended", False, 0))
    return Shown(role, len(completion.ids) - completion.unscored, pieces)


class _Reader:
    """Decodes ids piece by piece. Control tokens are shown by name, and told from the same name typed as text."""

    def __init__(self, encoder: Encoder) -> None:
        self.tokenizer, self.control, self.ends = encoder.tokenizer, encoder.renderer.control, encoder.ends
        added = {number for number, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        self.special = frozenset(added | set(self.tokenizer.all_special_ids))

    def pieces(
        self, before: Sequence[int], ids: Sequence[int], unscored: int, room: tuple[int, int], *, scored: bool
    ) -> tuple[Piece, ...]:
        """The tokens as text, cut in the middle where they say more than `room` characters.

        Args:
            before: ids in front of them.
            ids: to be shown.
            unscored: how many of them, from the first on, do not count.
            room: most characters of the start and of the end.
            scored: whether the others count.
        """
        marks = [scored and place >= unscored for place in range(len(ids))]
        if len(self._text(ids)) <= sum(room):
            return tuple(self._joined(list(self._atoms(before, ids, marks))))
        head = _within(self._atoms(before, ids[: room[0]], marks), room[0])
        # A token says at least a part of a character, so this many hold the end.
        start = max(sum(atom.tokens for atom in head), len(ids) - WHOLE * room[1])
        tail = _within(reversed(list(self._atoms(ids[:start], ids[start:], marks[start:]))), room[1])[::-1]
        left_out = len(ids) - sum(atom.tokens for atom in (*head, *tail))
        if left_out <= WORTH:
            return tuple(self._joined(list(self._atoms(before, ids, marks))))
        middle = Piece("", "omitted", scored, left_out)
        return (*self._joined(head), middle, *self._joined(tail))

    def _text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def _atoms(self, before: Sequence[int], ids: Sequence[int], marks: Sequence[bool]) -> Iterator[_Atom]:
        context = list(before[-CONTEXT:])
        pending: list[int] = []
        for place, number in enumerate(ids):
            pending.append(number)
            last = place + 1 == len(ids) or marks[place + 1] != marks[place] or ids[place + 1] in self.special
            if number in self.special:
                yield _Atom(str(self.tokenizer.convert_ids_to_tokens(number)), "control", marks[place], 1)
            else:
                text = self._after(context, pending)
                if text.endswith("\ufffd") and not last and len(pending) < WHOLE:
                    continue  # the rest of the character comes with the next token
                yield _Atom(text, "text", marks[place], len(pending))
            context = [*context, *pending][-CONTEXT:]
            pending = []

    def _after(self, context: Sequence[int], ids: Sequence[int]) -> str:
        before, whole = self._text(context), self._text([*context, *ids])
        return whole[len(before) :] if whole.startswith(before) else self._text(ids)

    def _joined(self, atoms: Sequence[_Atom]) -> Iterator[Piece]:
        """Neighbours of one kind as one piece, names of control tokens that were typed in the text as their own."""
        for (kind, scored), run in groupby(atoms, key=lambda atom: (atom.kind, atom.scored)):
            members = list(run)
            if kind == "text":
                yield from self._with_typed("".join(atom.text for atom in members), members, scored=scored)
            else:
                yield from (Piece(atom.text, kind, scored, atom.tokens) for atom in members)

    def _with_typed(self, text: str, atoms: Sequence[_Atom], *, scored: bool) -> Iterator[Piece]:
        """Tokens are counted where the text that they end lies."""
        cuts = sorted({0, len(text), *(end for match in self.control.finditer(text) for end in match.span())})
        for start, end in pairwise(cuts):
            part = text[start:end]
            kind: Kind = "typed" if self.control.fullmatch(part) else "text"
            yield Piece(part, kind, scored, _tokens_ending_in(atoms, start, end))


def _tokens_ending_in(atoms: Sequence[_Atom], start: int, end: int) -> int:
    position = total = 0
    for atom in atoms:
        position += len(atom.text)
        total += atom.tokens if start < position <= end or (position == start == 0) else 0
    return total


def _within(atoms: Iterator[_Atom], room: int) -> list[_Atom]:
    """The first atoms that say at most `room` characters."""
    kept: list[_Atom] = []
    for atom in atoms:
        room -= len(atom.text)
        if room < 0:
            break
        kept.append(atom)
    return kept
