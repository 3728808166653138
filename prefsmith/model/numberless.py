"""Models without numbers: weights and all that is computed from them have a shape, and take no memory.

A forecast runs the code of a run on such a model. What a batch looks like stays real, since it decides the shapes. On
a machine without a GPU such tensors are the processor's, and are taken along the way of a GPU's where that is asked.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily

P = ParamSpec("P")
R = TypeVar("R")

_AS_ON_A_GPU: ContextVar[bool] = ContextVar("as_on_a_gpu", default=False)


@contextmanager
def numberless(*, as_on_a_gpu: bool) -> Iterator[None]:
    """Whatever is made while the context is open has no numbers.

    Args:
        as_on_a_gpu: whether the code takes the ways that it takes for tensors on a GPU.
    """
    token = _AS_ON_A_GPU.set(as_on_a_gpu)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        _AS_ON_A_GPU.reset(token)


def has_no_numbers(tensor: Tensor) -> bool:
    """Whether nothing can be read from it but its shape."""
    return isinstance(tensor, FakeTensor)


def takes_gpu_ways(tensor: Tensor) -> bool:
    """Whether the kernels that run it are a GPU's, or a forecast has it so."""
    return tensor.is_cuda or _AS_ON_A_GPU.get()


def of_numbers(function: Callable[P, R]) -> Callable[P, R]:
    """The function's results are real also where all that is made has no numbers: what it reads must be."""

    @wraps(function)
    def real(*args: P.args, **kwargs: P.kwargs) -> R:
        with unset_fake_temporarily():
            return function(*args, **kwargs)

    return real
