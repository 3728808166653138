"""Models without numbers: weights and all that is computed from them have a shape, and take no memory.

A forecast runs the code of a run on such a model. What a batch looks like stays real, since it decides the shapes. On
a machine without a GPU such tensors are the processor's, and are taken along the way of a GPU's where that is asked.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=nn.Module)

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


def on_no_device(make: Callable[[], M]) -> M:
    """What is built from weights that are nowhere; `placed` then puts it where a forecast runs it.

    (Whoever moves weights about while a model is built, as peft does, cannot move those of a forecast.)
    """
    with unset_fake_temporarily(), torch.device("meta"):
        return make()


def placed(model: M) -> M:
    """The model with weights and buffers on the processor, as whatever is made there now. In place."""
    moved: dict[int, tuple[Tensor, Tensor]] = {}  # holds what was there, so that no other tensor gets its id
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = cast(nn.Parameter, _on_processor(weight, moved))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = _on_processor(buffer, moved)
    return model


def _on_processor(tensor: Tensor, moved: dict[int, tuple[Tensor, Tensor]]) -> Tensor:
    """Weights that are shared stay so."""
    if id(tensor) not in moved:
        made = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
        again = nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made
        moved[id(tensor)] = tensor, again
    return moved[id(tensor)][1]


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
