"""The commands, their help, and what becomes of errors. Nothing here loads torch until a command runs."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from prefsmith.config import settings_help
from prefsmith.errors import PrefsmithError
from prefsmith.settings import parse_settings

EXAMPLES = """Train a policy on a preference file, and write everything about it to a folder.

    prefsmith train --model MODEL --data pairs.jsonl --out runs/first
    prefsmith train run.yaml train.epochs=2 --loss.beta 0.2
    prefsmith train --out runs/first --resume

Settings come from a YAML file, from a.b=v or --a.b v, and from the shortcuts --model, --data and --out. --resume goes
on behind the newest whole checkpoint of the folder, to the bit as if the run had never stopped.

Exit status: 0 done, 1 a bug of ours, 2 a wrong setting, 3 wrong data, 4 the run stopped itself, 130 or 143 a signal.
"""

app = App(
    name="prefsmith",
    help="Turn preferences into a better language model, and show the evidence.",
    version=lambda: version("prefsmith"),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # `main` answers Ctrl-C, and says what became of the run
)


@app.command(help=f"{EXAMPLES}\n{settings_help()}")
def train(
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, help="A YAML file, then settings.")],
    resume: Annotated[bool, Parameter(negative=(), help="Go on behind the newest checkpoint.")] = False,
) -> None:
    """Train a policy on a preference file."""
    config = parse_settings(settings, resume=resume)
    from prefsmith.run import fit  # inside: --help and wrong settings answer without torch

    fit(config, resume=resume, say=_say)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0, that of the error's class, 1 for a bug of ours, 130 for Ctrl-C.
    """
    try:
        app(
            sys.argv[1:] if arguments is None else list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except PrefsmithError as error:
        return _fail(str(error), error.exit_code)
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
    return 0


def _say(line: str) -> None:
    """Print a line; a reader who has gone away (`| head`) stops the printing, not the training."""
    with suppress(BrokenPipeError):
        print(printable(line), flush=True)


def printable(text: str) -> str:
    """Text from users without control characters, so that it cannot move the cursor or change colours."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def _drop_unread_output() -> None:
    """Python would complain at its end about output that nobody takes any more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> int:
    print(printable(message), file=sys.stderr, flush=True)
    return status


def _try(action: Callable[[], object]) -> None:
    try:
        action()
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main())
