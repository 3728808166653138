"""The commands, and what becomes of errors. Nothing here loads torch until a command runs."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path

from cyclopts import App, CycloptsError

from prefsmith.cli import audit, check, convert, demo, generate, init, losses, merge, plan, report, sweep, train
from prefsmith.cli.evaluation import evaluation
from prefsmith.cli.label import label
from prefsmith.cli.signals import Signalled, unwound_by_signals
from prefsmith.cli.terminal import complain
from prefsmith.errors import Interrupted, PrefsmithError

app = App(
    name="prefsmith",
    help="Turn preferences into a better language model, and show the evidence.",
    version=lambda: version("prefsmith"),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # `main` answers Ctrl-C, and says what became of the run
)
app.command(demo.demo, help=demo.HELP)
app.command(init.init, help=init.HELP)
app.command(audit.audit, help=audit.HELP)
app.command(check.check, help=check.HELP)
app.command(plan.plan, help=plan.HELP)
app.command(train.train, help=train.HELP)
app.command(convert.convert, help=convert.HELP)
app.command(losses.losses, help=losses.HELP)
app.command(report.report, help=report.HELP)
app.command(generate.generate, help=generate.HELP)
app.command(merge.merge, help=merge.HELP)
app.command(evaluation)
app.command(label)
app.command(sweep.sweep, help=sweep.HELP)

RESUMED = (("train",), ("sweep",), ("eval", "frontier"))
"""Commands that --resume goes on with. What a signal does to them is said by the run, which saves its last step."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0 or what the command returns, that of the error's class, 1 for a bug of ours, 128 and the
        signal's number where one came: 130 for Ctrl-C.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    resumed = any(tuple(words[: len(each)]) == each for each in RESUMED)
    try:
        with nullcontext() if resumed else unwound_by_signals():
            status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except PrefsmithError as error:
        return error.exit_code if error.said_elsewhere else _fail(str(error), error.exit_code)
    except CycloptsError as error:
        return _fail(f"[cli.usage] {error}", 2)
    except KeyboardInterrupt as stopped:
        error = _interrupted(stopped, resumed=resumed)
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        return 0  # nobody reads on
    except Exception as error:
        log = Path("prefsmith-crash.log")
        _try(lambda: log.write_text(traceback.format_exc(), encoding="utf-8"))
        return _fail(f"[bug] {type(error).__name__}: {error}\n  fix:   please report it with {log.resolve()}", 1)
    finally:
        _drop_unread_output()
    return status if isinstance(status, int) else 0


def _interrupted(stopped: KeyboardInterrupt, *, resumed: bool) -> Interrupted:
    fix = "--resume goes on behind the newest checkpoint" if resumed else "give the same command again"
    if isinstance(stopped, Signalled):
        return Interrupted(stopped.number, "stopped at once by a signal", fix=fix)
    return Interrupted(signal.SIGINT, "stopped at once", fix=fix)


def _drop_unread_output() -> None:
    """Python would complain at its end about output that nobody takes any more, or that has no room."""
    if sys.stdout is None:
        return  # started with it closed
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> int:
    complain(message)
    return status


def _try(action: Callable[[], object]) -> None:
    try:
        action()
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main())
