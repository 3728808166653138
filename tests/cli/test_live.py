"""What a run shows: a live line on a terminal, plain lines elsewhere, and a clean end whatever happens."""

import fcntl
import io
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios

import pytest
from screen import ScreenShot

from prefsmith.cli.live import display, takes_live_line
from prefsmith.cli.terminal import Outlet

SHELL = {"TERM": "xterm-256color", "COLUMNS": "40", "LINES": "24"}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def row(step, **others):
    base = {"loss": 0.5, "margin": 1.0, "accuracy": 0.75, "pairs": 10, "tokens": 1000, "seconds": 2.0}
    return {"step": step, **base, "grad_norm": 1.0, "learning_rate": 1e-5, "peak_memory_bytes": 2**30, **others}


EVALUATION = {"step": 3, "split": "eval", "loss": 0.6, "margin": 0.5}


def lines_of(steps, *, pause=1.0, until=None):
    """What a run of so many steps prints where no terminal is."""
    stream, clock = io.StringIO(), Clock()
    with display(stream, environment={}, clock=clock) as shown:
        for step in range(1, (until or steps) + 1):
            clock.now += pause
            shown.watch(row(step), steps)
    return stream.getvalue().splitlines()


def numbers(lines):
    return [int(line.split("/")[0].removeprefix("step ")) for line in lines if line.startswith("step ")]


def test_plain_lines_are_those_of_every_step_evaluation_and_message():
    stream, clock = io.StringIO(), Clock()
    with display(stream, environment=SHELL, clock=clock) as shown:
        shown.say("reading [bold]rows[/bold]\x1b[2J")
        for step in (1, 2, 3):
            clock.now += 2.0
            shown.watch(row(step), 3)
        shown.watch(EVALUATION, 3)
        shown.say("the model is in x")
    assert stream.getvalue().splitlines() == [
        "reading [bold]rows[/bold]\ufffd[2J",
        *(
            f"step {step}/3  loss 0.5000  margin +1.000  accuracy 0.75  "
            "grad norm 1  learning rate 1.00e-05  seconds 2.00"
            for step in (1, 2, 3)
        ),
        "held out after step 3:  loss 0.6000  margin +0.500",
        "the model is in x",
        "3 steps in 0:06, 500 scored tokens/s, 5 pairs/s, memory at most 1.0 GiB",
    ]


def test_a_line_is_there_before_the_next_thing_happens(tmp_path):
    """A reader of a pipe or a file must not wait until a buffer is full."""
    with (tmp_path / "log").open("w") as stream, display(stream, environment={}) as shown:
        shown.say("now")
        assert (tmp_path / "log").read_text() == "now\n"


def test_short_runs_print_every_step():
    lines = lines_of(100)
    assert numbers(lines) == list(range(1, 101)) and "metrics.jsonl" not in lines[0]


def test_long_runs_print_the_first_steps_every_percent_and_the_last():
    lines = lines_of(1015)
    assert lines[0] == "  metrics.jsonl has every step; of these, not all are printed"
    shown = numbers(lines)
    assert shown[:10] == list(range(1, 11)) and shown[-1] == 1015
    assert 100 <= len(shown) <= 111 and {100 * step // 1015 for step in shown} >= set(range(1, 101))


def test_long_runs_are_never_silent_for_long():
    shown = numbers(lines_of(100_000, pause=7.0, until=200))
    assert shown[9:14] == [10, 15, 20, 25, 30] and shown[-1] == 200


def test_the_last_step_is_shown_where_a_run_is_stopped_in_between():
    lines = lines_of(10_000, pause=0.1, until=57)
    assert numbers(lines) == [*range(1, 11), 57] and lines[-1].startswith("57 steps in")


def test_a_second_run_is_counted_anew():
    stream = io.StringIO()
    with display(stream, environment={}, clock=Clock()) as shown:
        shown.say("warning: odd")
        for steps in (3, 3, 5):
            for step in range(1, steps + 1):
                shown.watch(row(step), steps)
        shown.watch(row(9), 30)
    ends = [line for line in stream.getvalue().splitlines() if "memory at most" in line]
    assert [line.split(" in ")[0] for line in ends] == ["3 steps", "3 steps", "5 steps", "1 step"]
    assert [line.endswith("1 warning above") for line in ends] == [True, False, False, False]


def test_a_second_long_run_is_thinned_as_the_first():
    stream = io.StringIO()
    with display(stream, environment={}, clock=Clock()) as shown:
        for _ in range(2):
            for step in range(1, 301):
                shown.watch(row(step), 300)
    first, second, _ = stream.getvalue().split("300 steps in ")
    assert numbers(first.splitlines()) == numbers(second.splitlines())


def test_a_command_that_trains_nothing_adds_nothing():
    stream = io.StringIO()
    with display(stream, environment={}) as shown:
        shown.say("warning: odd")
    assert stream.getvalue() == "warning: odd\n"


@pytest.mark.parametrize(
    ("environment", "live"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "CI": "false"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True),
        ({"TERM": "xterm", "CI": "true"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": ""}, False),
        ({}, False),
    ],
)
def test_a_live_line_is_for_a_terminal_that_somebody_watches(environment, live):
    assert takes_live_line(Outlet(Terminal()), environment) is live
    assert not takes_live_line(Outlet(io.StringIO()), {**environment, "FORCE_COLOR": "1"})


def shot_of(act, *, width=40, clock=None, **environment):
    """The screen while the context is open, and when it is over; and all that was written."""
    stream = Terminal()
    with display(stream, environment={**SHELL, "COLUMNS": str(width), **environment}, clock=clock or Clock()) as shown:
        act(shown)
        shown.say("!")
        during = ScreenShot(stream.getvalue(), width)
    return during, ScreenShot(stream.getvalue(), width), stream.getvalue()


def four_steps(shown):
    shown.say("reading")
    for step in (1, 2):
        shown.watch(row(step), 4)
    shown.watch(EVALUATION, 4)
    for step in (3, 4):
        shown.watch(row(step), 4)


@pytest.mark.parametrize("width", [1, 2, 5, 10, 20, 40, 80, 120, 200])
def test_the_live_line_stays_on_its_line_and_leaves(width):
    def act(shown):
        for step in (1, 2):
            shown.watch(row(step), 4)

    during, after, _ = shot_of(act, width=width)
    live = "".join(during.rows[during.row :])
    assert all("/4" not in each and "working" not in each for each in during.wrapped)
    assert during.cursor_visible and len(live) <= max(1, width - 3)
    assert width < 20 or "2/4" in live
    assert after.column == 0 and after.rows[after.row] == "" and after.cursor_visible
    assert not any("left" in line for line in after.lines)


def test_a_screen_reads_like_this():
    during, after, _ = shot_of(four_steps, width=132)
    live = (
        "4/4  loss 0.5000  margin +1.000  accuracy 0.75  500 tokens/s  5 pairs/s  1.0 GiB  0:02 so far  finishing 0:00"
    )
    assert during.lines[-1].lstrip("━") == "  " + live
    assert after.lines == [
        "reading",
        "  metrics.jsonl has every step; the live line shows means of the last 20",
        "held out after step 3:  loss 0.6000  margin +0.500",
        "step 4/4  loss 0.5000  margin +1.000  accuracy 0.75  grad norm 1  learning rate 1.00e-05  seconds 2.00",
        "!",
        "4 steps in 0:02, 500 scored tokens/s, 5 pairs/s, memory at most 1.0 GiB",
    ]
    narrow, _, _ = shot_of(four_steps, width=40)
    assert narrow.lines[-1] == "4/4  loss 0.5000  finishing 0:00"


def test_the_line_says_working_before_the_first_step_and_between_runs():
    clock = Clock()

    def act(shown):
        shown.watch(row(1), 1)
        shown.finish()
        clock.now += 65

    assert shot_of(lambda shown: None, clock=clock)[0].lines == ["!", "working 0:00"]
    assert shot_of(act, clock=clock)[0].lines[-1] == "working 1:05"


def test_text_from_users_is_text():
    words = "[red]x[/red] :smile: \x1b[2Jgone\u202ekcab\u2066 数据"
    _, after, written = shot_of(lambda shown: shown.say(words), width=100)
    assert "[red]x[/red] :smile: \ufffd[2Jgone\ufffdkcab\ufffd 数据" in written
    assert after.cursor_visible


def test_long_messages_are_left_to_the_terminal_to_wrap():
    """So that a path can be copied in one piece."""
    words = "/a/very/long/path" * 9
    assert words in shot_of(lambda shown: shown.say(words))[2]


@pytest.mark.parametrize(
    ("environment", "styles"),
    [({}, {"36", "1;33", "0"}), ({"NO_COLOR": "1"}, {"1", "0"}), ({"NO_COLOR": ""}, {"36", "1;33", "0"})],
    ids=["colour", "no colour", "empty"],
)
def test_colour_is_wanted_or_not(environment, styles):
    def act(shown):
        shown.say("warning: odd")
        shown.watch(row(1), 3)

    during, after, _ = shot_of(act, width=100, **environment)
    assert during.styles == styles
    assert "warning: odd" in after.lines and after.lines[-1].endswith("1 warning above")


def test_what_others_print_goes_above_the_line(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    with display(environment=SHELL, clock=Clock()) as shown:
        shown.watch(row(1), 4)
        print("[bold]from a", end=" library[/bold]", flush=True)
        during = ScreenShot(stream.getvalue(), 40)
    assert during.lines[-2:] == ["[bold]from a library[/bold]", "1/4  loss 0.5000  1.0 GiB  0:06 left"]
    assert sys.stdout is stream


def test_standard_error_that_goes_to_a_file_stays_there(capsys):
    stream = Terminal()
    with display(stream, environment=SHELL) as shown:
        print("for the log", file=sys.stderr)
        shown.say("seen")
    assert capsys.readouterr().err == "for the log\n" and "for the log" not in stream.getvalue()


def test_an_ascii_terminal_gets_an_ascii_bar():
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii")
    stream.isatty = lambda: True
    with display(stream, environment={**SHELL, "COLUMNS": "120"}, clock=Clock()) as shown:
        shown.watch(row(1), 2)
        shown.say("größer")
        text = written.getvalue().decode("ascii")
    assert "gr\\xf6\\xdfer" in text and "#---" in text.replace("##", "")


def test_a_terminal_that_is_gone_ends_the_printing_and_not_the_run(capsys):
    class Gone(Terminal):
        def write(self, text):
            raise OSError(5, "Input/output error")

    with display(Gone(), environment=SHELL) as shown:
        four_steps(shown)
    assert capsys.readouterr().err.count("nothing more can be printed (Input/output error)") == 1


def test_an_error_passes_and_the_screen_is_clean():
    stream = Terminal()
    with pytest.raises(ZeroDivisionError), display(stream, environment=SHELL, clock=Clock()) as shown:
        shown.watch(row(7), 10)
        raise ZeroDivisionError
    after = ScreenShot(stream.getvalue(), 40)
    assert after.rows[after.row] == "" and "".join(after.lines).count("step 7/10") == 1


COMMAND = """
import os, sys, time, types

class Run:
    def fit(config, *, resume, say, watch):
        say("reading")
        for step in range(1, 4):
            row = dict(step=step, loss=0.5, pairs=8, tokens=100, seconds=0.1, peak_memory_bytes=2**30)
            watch(row, 9)
        say("ready")
        {then}

def stand_in(name, **parts):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(parts)

stand_in("prefsmith.run", fit=Run.fit)
stand_in("prefsmith.train.monitor", line_of=lambda row, steps: "the last step")
from prefsmith.cli import main
sys.exit(main(["train", "--model", "m", "--data", "d", "--out", "runs/x"]))
"""


def at_terminal(tmp_path, then, act=lambda process, terminal: None, *, columns=40, hangup=signal.SIG_DFL):
    """A command at a pseudo-terminal; gives its exit status and all that was written. `act` comes once it is ready."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND.replace("{then}", then)],
        cwd=tmp_path,
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env={**environment, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
        preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0), signal.signal(signal.SIGHUP, hangup)),
    )
    os.close(inner)
    written, acted = b"", False
    try:
        while True:
            assert select.select([terminal], [], [], 60)[0], written
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            written += piece
            if not acted and b"ready" in written and b"3/9" in written.split(b"ready")[1]:
                acted = True
                act(process, terminal)
    finally:
        os.close(terminal)
        process.kill()
    return process.wait(60), written.decode()


def ended_clean(text, width=40):
    screen = ScreenShot(text.replace("^C", ""), width)
    assert screen.cursor_visible and screen.column == 0 and screen.rows[screen.row] == ""
    assert not [line for line in screen.lines if "left" in line or "no step for" in line]
    return screen.lines


def test_a_terminal_gets_a_live_line_that_fits_forty_columns(tmp_path):
    status, text = at_terminal(tmp_path, "")
    assert status == 0
    assert ended_clean(text)[0] == "reading" and "3/9  loss 0.5000  " in text
    assert not [words for words in ScreenShot(text, 40).wrapped if "left" in words]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_clean(tmp_path, number):
    status, text = at_terminal(tmp_path, "time.sleep(60)", lambda process, _: process.send_signal(number))
    assert status == 128 + number
    lines = ended_clean(text)
    assert "[run.interrupted] stopped at once by a s" in lines


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    """As `nohup` wants it."""

    def hang_up(process, _):
        process.send_signal(signal.SIGHUP)
        (tmp_path / "sent").touch()

    then = "while not os.path.exists('sent'): time.sleep(0.05)"
    assert at_terminal(tmp_path, then, hang_up, hangup=signal.SIG_IGN)[0] == 0


def test_ctrl_c_leaves_the_terminal_clean(tmp_path):
    status, text = at_terminal(tmp_path, "time.sleep(60)", lambda _, terminal: os.write(terminal, b"\x03"))
    assert status == 130 and "[run.interrupted] stopped at once" in ended_clean(text)


def test_an_error_stands_on_its_own_line(tmp_path):
    status, text = at_terminal(tmp_path, "raise ValueError('odd')")
    assert status == 1 and "[bug] ValueError: odd" in ended_clean(text)


def test_a_terminal_that_becomes_narrow_gets_a_narrow_line(tmp_path):
    def shrink(_, terminal):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
        (tmp_path / "shrunk").touch()

    then = "while not os.path.exists('shrunk'): time.sleep(0.05)"
    status, text = at_terminal(tmp_path, then + "\n        say('narrow')", shrink, columns=100)
    before, after = text.split("narrow")
    drawn = [piece for piece in after.split("\r") if "3/9" in piece and "step 3/9" not in piece]
    assert status == 0 and "tokens/s" in before
    assert drawn and not [piece for piece in drawn if "tokens/s" in piece]


@pytest.mark.parametrize(
    ("redirection", "says"),
    [("> /dev/full", "warning: nothing more can be printed (No space left on device); the run goes on\n"), (">&-", "")],
    ids=["full disk", "closed"],
)
def test_output_that_cannot_be_written_does_not_stop_the_run(tmp_path, redirection, says):
    (tmp_path / "command.py").write_text(COMMAND.replace("{then}", "open('done', 'w').close()"))
    words = ["bash", "-c", f"{sys.executable} command.py {redirection}"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, says) and (tmp_path / "done").exists()
