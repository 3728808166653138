"""Rows as the model reads them, for a terminal: what is scored stands between marks, and is underlined as well."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from prefsmith.cli.sheet import Marks, Sheet, visible
from prefsmith.wording import counted

if TYPE_CHECKING:
    from prefsmith.preflight.facts import Example, Piece

PLAIN, SCORED, CONTROL, TYPED, MARK, GAP = "default", "underline", "cyan", "yellow", "bold green", "italic"


def legend(marks: Marks) -> Text:
    """What the marks mean."""
    return Text.assemble(
        "The loss counts what stands between ", (marks.opening, MARK), " and ", (marks.closing, MARK),
        f". {marks.line_end} is a line end. Between {marks.gap} and {marks.gap} it is prefsmith that speaks.",
    )  # fmt: skip


def add_example(sheet: Sheet, example: "Example", place: str) -> None:
    """A row: how it was chosen, where it stands, its prompt and its answers."""
    counts = ", ".join(f"{part.role.partition(' ')[0]} {part.tokens:,}" for part in example.parts)
    sheet.put("")
    sheet.put(f"{example.why[0].upper()}{example.why[1:]}, {place} (tokens: {counts})", hang=2)
    for part in example.parts:
        label, _, sure = part.role.partition(" ")
        text = text_of(part.pieces, sheet.marks)
        sheet.pair(label, Text(f"{sure} ") + text if sure else text, indent=2 if sheet.width < 60 else 4)


def text_of(pieces: "Iterable[Piece]", marks: Marks) -> Text:
    """Pieces in a row; marks open and close where scoring begins and ends."""
    text, inside = Text(), False
    for piece in pieces:
        if piece.scored != inside:
            text.append(marks.opening if piece.scored else marks.closing, MARK)
            inside = piece.scored
        words, style = _words(piece, marks)
        words = words if text else words.removeprefix(" ") if piece.kind == "cut" else words
        text.append(
            words, f"{style} {SCORED}" if piece.scored and piece.kind in ("text", "control", "typed") else style
        )
    if inside:
        text.append(marks.closing, MARK)
    return text


def _words(piece: "Piece", marks: Marks) -> tuple[str, str]:
    """What stands for a piece, and its style."""
    tokens = counted(piece.tokens, "token")
    if piece.kind == "omitted":
        return f" {marks.gap} {tokens} not shown {marks.gap} ", GAP
    if piece.kind == "cut":
        return f" {marks.gap} {tokens} cut off {marks.gap} ", GAP
    if piece.kind == "unended":
        return f" {marks.gap} no end token {marks.gap}", GAP
    words = visible(piece.text, marks)
    if piece.kind == "typed":
        return f"{marks.gap} typed as text: {words} {marks.gap}", TYPED
    return words, CONTROL if piece.kind == "control" else PLAIN
