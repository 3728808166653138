"""Lines for the terminal: nothing in them moves the cursor, reorders others, or ends a run."""

import errno
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from prefsmith.cli.terminal import Outlet, complain, cut, encodable, printable, say

TEXT = st.text(
    st.characters(codec="utf-8") | st.sampled_from("\x1b\x9b\r\n\t\u200b\u200c\u200d\u202e\u2066\u2069\u0301\ufe0f数👩")
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202ab\u202bc\u202cd\u202de\u202ef", "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf"),
        ("a\u2066b\u2067c\u2068d\u2069e", "a\ufffdb\ufffdc\ufffdd\ufffde"),
        ("a\u200eb\u200fc", "a\ufffdb\ufffdc"),
        ("a\tb\u2028c\u200bd", "a\ufffdb\ufffdc\ufffdd"),
        ("\ud800", "\ufffd"),
        ("chosen\u200d", "chosen\ufffd"),
        ("ch\u200cosen", "ch\ufffdosen"),
        ("می\u200cرم", "می\u200cرم"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("Quoi\u202f?\u3000数\u00a0e\u0301", "Quoi\u202f?\u3000数\u00a0e\u0301"),
        ("[bold]x[/bold] :smile:", "[bold]x[/bold] :smile:"),
    ],
    ids=[
        "overrides",
        "isolates",
        "marks",
        "tab",
        "surrogate",
        "joiner",
        "non-joiner",
        "persian",
        "emoji",
        "spaces",
        "markup",
    ],
)
def test_what_steers_is_made_visible_and_what_is_spelling_stays(text, shown):
    assert printable(text) == shown


@given(TEXT)
def test_nothing_that_steers_is_left(text):
    shown = printable(text)
    assert not [each for each in shown if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") and each != "\n"]
    assert not [each for each in shown if unicodedata.bidirectional(each) in BIDI] and "\u200e" not in shown
    assert len(shown) == len(text) and printable(shown) == shown


BIDI = {"LRE", "LRO", "RLE", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("数数数数", 8, "数数数数"),
        ("数数数数", 7, "数数..."),
        ("数数数数", 6, "数..."),
        ("e\u0301e\u0301e\u0301e\u0301e\u0301", 4, "e\u0301..."),
        ("👩\u200d👧👩\u200d👧👩\u200d👧", 5, "👩\u200d👧..."),
        ("a\nb", 9, "a\\nb"),
        ("a\x1b[31mb", 9, "a\ufffd[31mb"),
        ("abcdef", 2, ".."),
        ("abcdef", 0, ""),
        ("", 0, ""),
    ],
)
def test_cut(text, width, shown):
    assert cut(text, width) == shown


@given(TEXT, st.integers(0, 20))
def test_what_is_cut_fits(text, width):
    shown = cut(text, width)
    assert cell_len(shown) <= width and "\n" not in shown
    assert shown == printable(text).replace("\n", "\\n") or shown.endswith("..."[:width])


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", "größer 数"), (None, "größer 数"), ("latin-1", "größer \\u6570"), ("ascii", "gr\\xf6\\xdfer \\u6570")],
)
def test_what_the_encoding_lacks_is_escaped(encoding, shown):
    assert encodable("größer 数", encoding) == shown


class Failing(io.StringIO):
    def __init__(self, error, when="write"):
        super().__init__()
        self.error, self.when, self.tries = error, when, 0

    def write(self, text):
        self.tries += 1
        if self.when == "write":
            raise self.error
        return super().write(text)

    def flush(self):
        if self.when == "flush":
            raise self.error


@pytest.mark.parametrize("when", ["write", "flush"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), ""),
        (
            OSError(errno.ENOSPC, "No space left"),
            "warning: nothing more can be printed (No space left); the run goes on\n",
        ),
    ],
    ids=["nobody reads", "disk full"],
)
def test_an_outlet_that_fails_is_left_alone(capsys, error, told, when):
    stream = Failing(error, when)
    outlet = Outlet(stream)
    for _ in range(3):
        outlet.write("x\n")
        outlet.flush()
    assert capsys.readouterr().err == told
    assert stream.tries == 1 and not outlet.isatty()


def test_an_outlet_without_a_stream_takes_everything():
    outlet = Outlet(None)
    outlet.flush()
    assert outlet.write("abc") == 3 and not outlet.isatty()


def test_saying_and_complaining_survive_a_poor_terminal(monkeypatch):
    poor = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", poor)
    say("größer \x1b")
    assert poor.buffer.getvalue() == b"gr\\xf6\\xdfer \\ufffd\n"
    monkeypatch.setattr("sys.stderr", Failing(OSError(errno.ENOSPC, "full")))
    complain("nobody hears this")
