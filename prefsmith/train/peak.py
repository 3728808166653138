"""The most memory that the gradient of a micro-batch takes: measured on small ones, drawn out to larger ones.

    bytes(tokens) = fixed + per_token x tokens

Tokens are those that the path computes. `fixed` is what does not grow with the rows: a chunk of logits, rounded copies
of weights. The gradients of the weights are not in it, since they stay for the whole step. What is measured are the
longest rows, where masks are largest. On a GPU its allocator tells; elsewhere the tensors that operations return are
counted as long as they are there. What an allocator cannot use again is not in it.
"""

import heapq
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import pack
from prefsmith.model.score import Asked, Frozen, Path, Scorer
from prefsmith.types import TokenScores, TokenSlopes

ROWS = (1, 2, 4)
"""So many of the longest rows are measured together, one micro-batch after the other."""


@dataclass(frozen=True, slots=True)
class Line:
    """Bytes by computed tokens."""

    fixed: float
    per_token: float

    def at(self, tokens: int) -> int:
        """Bytes that a micro-batch of so many tokens takes."""
        return round(self.fixed + self.per_token * tokens)

    def tokens_in(self, room: float) -> int:
        """The most tokens that so many bytes hold."""
        return max(0, int((room - self.fixed) / self.per_token))


def computed_tokens(groups: Sequence[EncodedGroup], path: Path) -> int:
    """Tokens that a forward of the groups runs through the model: prompts once, or with each answer, or padded."""
    if path == "shared":
        return sum(len(each.prompt) + sum(len(answer.ids) for answer in each.completions) for each in groups)
    lengths = [len(each.prompt) + len(answer.ids) for each in groups for answer in each.completions]
    return sum(lengths) if path == "packed" else max(lengths) * len(lengths)


def measured(policy: Scorer, reference: Frozen | None, asked: Asked, groups: Sequence[EncodedGroup]) -> Line:
    """The line through the two largest micro-batches that were measured; their gradients are thrown away.

    Args:
        policy: the model to train; no weight has a gradient yet.
        reference: what the loss compares with, where it asks for a divergence.
        asked: what the loss needs beside log-probabilities.
        groups: the training rows.
    """
    longest = heapq.nsmallest(ROWS[-1], groups, key=lambda group: -computed_tokens([group], policy.path))
    batches = [longest[:rows] for rows in ROWS if rows <= len(longest)]
    devices = [policy.device] if policy.device.type == "cuda" else []
    found: list[tuple[int, int]] = []
    with torch.random.fork_rng(devices):  # dropout draws: the run itself starts with the numbers that it would have had
        _gradient(policy, reference, asked, longest[-1:])  # from here on the weights have gradients
        for batch in batches:
            taken = peak_bytes(lambda batch=batch: _gradient(policy, reference, asked, batch), policy.device)
            found.append((computed_tokens(batch, policy.path), taken))
    policy.model.zero_grad(set_to_none=True)
    (some, less), (many, more) = ((0, 0), *found)[-2:]
    per_token = max((more - less) / (many - some), 1.0)
    return Line(more - per_token * many, per_token)


def peak_bytes(action: Callable[[], object], device: torch.device) -> int:
    """The most memory that tensors made by the action took together, beyond what was there before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        action()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with _Tensors() as tensors:
        action()
    return tensors.peak


def _gradient(policy: Scorer, reference: Frozen | None, asked: Asked, groups: Sequence[EncodedGroup]) -> None:
    policy.accumulate(pack(groups, mismatched=False), ones, asked, reference)


def ones(tokens: TokenScores, _part: slice) -> TokenSlopes:
    """The derivative of the sum of what was scored: shapes and sizes are those of any objective."""
    return TokenSlopes(torch.ones_like(tokens.policy), None if tokens.kl is None else torch.ones_like(tokens.kl))


class _Tensors(TorchDispatchMode):
    """Bytes of the storages that operations make while the mode is on, until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run the operation, and count what is new in its result."""
        given = {_key(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor) and (key := _key(each)) not in given and key not in self.known:
                storage = each.untyped_storage()
                size = storage.nbytes()
                self.known.add(key)
                weakref.finalize(storage, self._let_go, key, size)
                self.live += size
                self.peak = max(self.peak, self.live)
        return result

    def _let_go(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
