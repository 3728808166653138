"""Memory that ran out, told apart from every other error: only the one that is no fault of model or code."""

import torch

_SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "bad_alloc")
"""What allocators and libraries say; only CUDA's allocator of PyTorch has an error of its own."""


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that there was no memory, be it of a GPU or of the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def in_a_line(error: BaseException) -> str:
    """The first line of what an error says, with the next where it only announces that; its kind if it says nothing."""
    first, *more = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return f"{first} {more[0]}" if first.endswith(":") and more else first
