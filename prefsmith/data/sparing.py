"""Work that makes many small objects and no cycles, in a process that holds a great many objects of libraries."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sparing() -> Iterator[None]:
    """While the context is open, the collector of cycles does not look again and again at what was there before."""
    if gc.get_freeze_count():  # somebody has seen to it, for longer
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
