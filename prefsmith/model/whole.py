"""A whole pass of a model as one module: body, head, loss and the head's gradient."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

T = TypeVar("T")


class Whole(nn.Module):
    """Runs a piece of work on a model inside a forward of its own.

    Where weights are kept in parts, the forward of the module that has them is what puts them together. Embeddings,
    final norm and head belong to no layer, and a pass of ours uses them beyond the model's own forward: the head's
    products, and their gradient, are ours. So they belong to this module, and all that we do with a model happens
    between its beginning and its end.

    Args:
        model: the model, possibly with an adapter.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[], T]) -> T:
        """Do the work."""
        return work()
