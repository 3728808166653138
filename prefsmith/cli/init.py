"""`prefsmith init`."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from prefsmith.cli.terminal import say
from prefsmith.errors import ConfigError
from prefsmith.starter import FILL_IN, TASKS, write_starter

HELP = f"""Write a settings file to start from: every setting with its default and what it does.

What TASK trains:

{chr(10).join(f"    {name:<5} {task.title}" for name, task in TASKS.items())}

Without --out the file goes to standard output:

    prefsmith init lora > run.yaml
    prefsmith init kto --out run.yaml

Fill in {" and ".join(FILL_IN)}, then `prefsmith train run.yaml`. A file that is there is never written over.
"""


def init(
    task: Annotated[Literal["dpo", "kto", "sft", "lora"], Parameter(help="What to train.")] = "dpo",
    /,
    *,
    out: Annotated[str | None, Parameter(help="File to write.")] = None,
    dry_run: Annotated[bool, Parameter(negative=(), help="Say what would be written, and write nothing.")] = False,
) -> None:
    """Write a settings file to start from."""
    from prefsmith.losses.pages import page  # inside: --help answers without torch

    chosen = TASKS[task]
    text = write_starter(chosen, page(chosen.loss).settings)
    if out is None:
        say(text.rstrip("\n"))
        return
    path = Path(out)
    if dry_run:
        _check_place(path)
        say(f"would write {out}: {text.count(chr(10))} lines")
        return
    _write(path, text)
    say(f"wrote {out}; fill in {' and '.join(FILL_IN)}, then: prefsmith train {shlex.quote(out)}")


def _check_place(path: Path) -> None:
    """Raises ConfigError where something has that name, also a link that leads nowhere, or the folder is not there."""
    if path.exists() or path.is_symlink():
        what, fix = "there is a file of this name, and it is not written over", "give another name with --out"
        raise ConfigError("init.exists", what, where=str(path), fix=fix)
    if not path.parent.is_dir():
        what, fix = "the file cannot be written: there is no such folder", "make the folder, or give another --out"
        raise ConfigError("init.write", what, where=str(path), fix=fix)


def _write(path: Path, text: str) -> None:
    """Write a new file, or none.

    Raises:
        ConfigError: the name is taken, or the file cannot be written.
    """
    _check_place(path)
    try:
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
                file.flush()
            except OSError:
                with suppress(OSError):
                    path.unlink()  # half a file would be taken for a whole one
                raise
    except OSError as error:
        what, fix = f"the file cannot be written: {error.strerror}", "check the folder and its space"
        raise ConfigError("init.write", what, where=str(path), fix=fix) from error
