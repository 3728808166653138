"""The commands, and what becomes of errors. Nothing here loads torch until a command runs."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from cyclopts import App, CycloptsError

from prefsmith.cli import audit, check, convert, demo, generate, init, losses, merge, plan, report, sweep, train
from prefsmith.cli.evaluation import evaluation
from prefsmith.cli.label import label
from prefsmith.cli.terminal import complain
from prefsmith.errors import PrefsmithError

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0 or what the command returns, that of the error's class, 1 for a bug of ours, 130 for Ctrl-C.
    """
    try:
        status = app(
            sys.argv[1:] if arguments is None else list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except PrefsmithError as error:
        return error.exit_code if error.said_elsewhere else _fail(str(error), error.exit_code)
    except CycloptsError as error:
        return _fail(f"[cli.usage] {error}", 2)
    except KeyboardInterrupt:
        return _fail("[run.interrupted] stopped at once\n  fix:   --resume goes on behind the newest checkpoint", 130)
    except BrokenPipeError:
        return 0  # nobody reads on
    except Exception as error:
        log = Path("prefsmith-crash.log")
        _try(lambda: log.write_text(traceback.format_exc(), encoding="utf-8"))
        return _fail(f"[bug] {type(error).__name__}: {error}\n  fix:   please report it with {log.resolve()}", 1)
    finally:
        _drop_unread_output()
    return status if isinstance(status, int) else 0


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
