"""Pages of text: they fit, nothing in them is markup or control, and every sign means what it says."""

import io
import re
import shlex
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from prefsmith.cli.example_text import text_of
from prefsmith.cli.phrases import command_lines, duration_words, percent, place_words, share_of
from prefsmith.cli.sheet import FIRST_STRONG_ISOLATE, POP_ISOLATE, Marks, Sheet, isolated, visible
from prefsmith.cli.terminal import JOINER, Outlet
from prefsmith.preflight.facts import Piece

MARKS = Marks()
ASCII = Marks.for_encoding("ascii")
HARD = st.text(st.sampled_from("ab \n\t\x1b\x07\u202e\u2066\u200d\u00a0⟦⟧↵⋯é日本👩שع[]:\\"), max_size=60)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@given(HARD | st.text(max_size=60))
def test_shown_text_holds_no_control_and_no_forged_sign(text):
    shown = visible(text, MARKS)
    kept = {match.start() for match in JOINER.finditer(shown)}
    assert all(character.isprintable() or place in kept for place, character in enumerate(shown))
    assert not set(shown) & set("⟦⟧⋯")
    assert shown.count("↵") == text.count("\n")


def test_what_cannot_be_seen_is_written_as_an_escape():
    assert visible("a\tb\r\n\x1b[0m\u202ex\u00a0\U000e0041", MARKS) == r"a\tb\r↵\x1b[0m\u202ex\xa0\U000e0041"
    assert visible("👩\u200d👧 a\u200db", MARKS) == "👩\u200d👧 a\\u200db"


@given(st.lists(HARD, max_size=6), st.integers(20, 130))
def test_every_line_fits_the_width(texts, width):
    sheet = Sheet(width, MARKS)
    for text in texts:
        sheet.head(text)
        sheet.put(text, indent=4, hang=3)
        sheet.pair(text[:9].strip() or "x", text)
        sheet.more(text, deeper=2)
    assert all(cell_len(line.plain) <= sheet.width for line in sheet.lines)


@given(HARD)
def test_no_word_is_lost_by_wrapping(text):
    sheet = Sheet(30, MARKS)
    sheet.put(text)
    joined = "".join(line.plain for line in sheet.lines)
    without = str.maketrans("", "", f" {FIRST_STRONG_ISOLATE}{POP_ISOLATE}")
    assert joined.translate(without) == visible(text, MARKS).translate(without)


@given(HARD, HARD)
def test_right_to_left_text_is_closed_off_on_its_line(left, right):
    line = Text(visible(left, MARKS)) + Text("⟦", "bold") + Text(visible(right, MARKS), "underline") + Text("⟧", "bold")
    shown = isolated(line)
    depth = 0
    for character in shown.plain:
        depth += (character == FIRST_STRONG_ISOLATE) - (character == POP_ISOLATE)
        assert 0 <= depth <= 1
        turns = unicodedata.bidirectional(character) in ("R", "AL")
        assert not turns or depth == 1, "a right-to-left letter stands outside"
        assert character not in "⟦⟧" or depth == 0, "a mark stands inside"
    assert depth == 0


PIECES = (
    Piece("<s>", "control", False, 1),
    Piece("", "cut", False, 1_400),
    Piece(" ask [bold]x[/] ", "text", False, 3),
    Piece(" well\n", "text", True, 2),
    Piece("", "omitted", True, 1),
    Piece("<|end|>", "typed", True, 4),
    Piece("</s>", "control", True, 1),
)


def test_marks_stand_where_scoring_begins_and_ends():
    assert text_of(PIECES, MARKS).plain == (
        "<s> ⋯ 1,400 tokens cut off ⋯  ask [bold]x[/] ⟦ well↵ ⋯ 1 token not shown ⋯ ⋯ typed as text: <|end|> ⋯</s>⟧"
    )
    unended = (Piece(" a", "text", True, 1), Piece("", "unended", False, 0))
    assert text_of(unended, MARKS).plain == "⟦ a⟧ ⋯ no end token ⋯"
    assert text_of(unended, ASCII).plain == "[[ a]] ... no end token ..."


def test_what_is_scored_is_underlined_too():
    text = text_of(PIECES, MARKS)
    styles = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert {
        words: "underline" in style for words, style in styles.items() if words.strip() in ("well↵", "</s>", "<s>")
    } == {
        " well↵": True,
        "</s>": True,
        "<s>": False,
    }


@pytest.mark.parametrize("no_color", [False, True])
def test_colour_is_only_an_addition(monkeypatch, no_color):
    """Without its escapes a coloured page reads as a plain one; NO_COLOR leaves no colour, a file no escape."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    sheet = Sheet(60, MARKS)
    sheet.head("Head")
    sheet.pair("chosen", text_of(PIECES, MARKS))
    sheet.put("warning: x", style="yellow")
    terminal, file = Terminal(), io.StringIO()
    sheet.print(Outlet(terminal))
    sheet.print(Outlet(file))
    escape = re.compile(r"\x1b\[([0-9;]*)m")
    assert escape.sub("", terminal.getvalue()) == file.getvalue() and "\x1b" not in file.getvalue()
    codes = {code for match in escape.finditer(terminal.getvalue()) for code in match.group(1).split(";")}
    assert {"1", "4"} <= codes
    assert bool(codes & {"32", "33", "36"}) is not no_color


def test_an_encoding_without_the_signs_gets_plain_ones():
    assert Marks("[[", "]]", r"\n", "...") == ASCII and Marks.for_encoding("utf-8") == MARKS
    latin = Outlet(None)
    latin.stream, latin.encoding = file, _ = io.StringIO(), "latin-1"
    sheet = Sheet(60, Marks.for_encoding("latin-1"))
    sheet.put("é 日 ⟦")
    sheet.print(latin)
    assert file.getvalue() == "  é \\u65e5 \\u27e6\n"


@given(
    st.lists(
        st.sampled_from(["prefsmith", "--model", "a path", "--data=x", "loss.beta=0.3", "it's", "--json"]), min_size=1
    )
)
def test_a_command_can_be_copied_whole(words):
    lines = command_lines(words, 30)
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == words
    assert [line.endswith(" \\") for line in lines] == [True] * (len(lines) - 1) + [False]


def test_numbers_and_places_in_words():
    assert place_words(["d/a.jsonl:3", "d/a.jsonl:5", "d/b.csv:row 7"], 4) == "a.jsonl:3, :5, b.csv:row 7 and 1 more"
    assert place_words(["in memory"], 1) == "in memory"
    assert place_words([f"a:{n}" for n in range(10)], 10) == "a:0, :1, :2, :3, :4 and 5 more"
    assert [percent(part, 3000) for part in (0, 1, 30, 1500, 2999, 3000)] == [
        "0 %", "under 0.1 %", "1.0 %", "50 %", "over 99 %", "100 %",
    ]  # fmt: skip
    assert (share_of(3, 3, "row"), share_of(1, 2, "row")) == ("all 3 rows", "1 of 2 rows (50 %)")
    assert [duration_words(each) for each in (0.2, 61, 600, 7200, 90_000)] == ["1 s", "61 s", "10 min", "2.0 h", "25 h"]
