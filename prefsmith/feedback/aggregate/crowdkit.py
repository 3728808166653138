"""Votes as crowd-kit takes them, and what it may say meanwhile."""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from prefsmith.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

INSTALL = "pip install 'prefsmith[labels]'; or --method one-coin, which needs nothing more"


def load(package: str, module: str, method: str) -> ModuleType:
    """A module of the extra `labels`, which is imported where a method needs it.

    Args:
        package: as it is installed.
        module: what is imported.
        method: that needs it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        with quiet():
            return importlib.import_module(module)
    except ImportError as error:
        what = f"{method} needs the package {package}, which is not installed"
        raise ConfigError("label.extra", what, fix=INSTALL) from error


@contextmanager
def quiet() -> Iterator[None]:
    """It uses arguments of pandas that are on their way out, and says so at every step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


def frame(pair: "np.ndarray", annotator: "np.ndarray", said: "np.ndarray") -> "pd.DataFrame":
    """One row for each vote."""
    import pandas as pd  # inside: it comes with crowd-kit

    return pd.DataFrame({"task": pair, "worker": annotator, "label": said})
