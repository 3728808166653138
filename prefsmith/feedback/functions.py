"""Functions of the user's, named as `file.py:name`."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefsmith.errors import ConfigError
from prefsmith.files import file_digest


def load_function(named: str, where: str) -> tuple[Callable[..., Any], str]:
    """Run a Python file and take a function out of it.

    Args:
        named: `file.py:name`.
        where: the setting that names it, for messages.

    Returns:
        The function, and the sha256 of its file.

    Raises:
        ConfigError: there is no such file or function, or the file raises.
    """
    file, _, name = named.rpartition(":")
    path = Path(file).expanduser()
    fix = "name a function of a Python file, for example rewards.py:helpfulness"
    if path.suffix != ".py" or not path.is_file():
        raise ConfigError("judge.function_file", f"there is no Python file {file!r}", where=where, fix=fix)
    spec = importlib.util.spec_from_file_location(f"prefsmith_judge_{path.stem}", path)
    assert spec is not None and spec.loader is not None  # a file that is there and ends in .py has both
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        what = f"the file raises {type(error).__name__}: {error}"
        raise ConfigError("judge.function_file", what, where=str(path), fix="mend the file") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise ConfigError("judge.function_file", f"{file} has no function {name!r}", where=where, fix=fix)
    return found, file_digest(path)
