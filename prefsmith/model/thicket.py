"""Small trees side by side, padded to one length, so that attention runs them in one call instead of one call each.

A call for ten tokens costs about as much as one for a hundred: for texts of a sentence or two, the calls are most of
the time. Each tree keeps a row of its own, so that a number that is not finite stays in the tree that it came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

SMALL = 64  # tokens; from about there a tree is as fast by itself


@dataclass(frozen=True, slots=True)
class Tree:
    """A prompt and its completions as places in the row; `branches` are (start, end)."""

    start: int
    trunk_end: int
    branches: tuple[tuple[int, int], ...]

    @property
    def end(self) -> int:
        """Where the next tree begins."""
        return self.branches[-1][1]


@dataclass(frozen=True, slots=True)
class Thicket:
    """A run of small trees.

    Args:
        row: where they stand in the packed row.
        places: of the tokens in the packed row; the first token's where a tree is shorter than the longest.
        kept: of all (tree, width) those where there is a token, in the order of the row.
        positions: of each token in its own sequence.
        sees: which token of its tree a token sees. Each sees itself, so that no softmax is over nothing.
    """

    row: slice
    places: Int[Tensor, "tree width"]
    kept: Int[Tensor, " token"]
    positions: Int[Tensor, "tree width"]
    sees: Bool[Tensor, "tree width width"]

    def mask(self, window: int | None) -> Bool[Tensor, "tree 1 width width"]:
        """What is seen within a window, counted along a token's own sequence; None for no window."""
        if window is None:
            return self.sees[:, None]
        near = self.positions[:, :, None] - self.positions[:, None, :] < window
        return (self.sees & near)[:, None]


def with_thickets(trees: Sequence[Tree], positions: Int[Tensor, " token"]) -> tuple[Tree | Thicket, ...]:
    """The same layout, runs of two or more small trees as thickets. Everything stays in the order of the row.

    Args:
        trees: in the order of the row, which they fill.
        positions: of each token in its own sequence.
    """
    parts: list[Tree | Thicket] = []
    run: list[Tree] = []

    def close() -> None:
        parts.extend(run if len(run) < 2 else [_thicket(run, positions)])
        run.clear()

    for tree in trees:
        if tree.end - tree.start <= SMALL:
            run.append(tree)
        else:
            close()
            parts.append(tree)
    close()
    return tuple(parts)


def _thicket(trees: Sequence[Tree], positions: Tensor) -> Thicket:
    first, device = trees[0].start, positions.device
    branch = torch.empty(trees[-1].end - first, dtype=torch.int64)  # where it begins; -1 for a trunk
    for tree in trees:
        branch[tree.start - first : tree.trunk_end - first] = -1
        for start, end in tree.branches:
            branch[start - first : end - first] = start
    starts = torch.tensor([tree.start for tree in trees])
    lengths = torch.tensor([tree.end for tree in trees]) - starts
    steps = torch.arange(int(lengths.max()))
    inside = steps < lengths[:, None]
    places = torch.where(inside, starts[:, None] + steps, starts[:, None])
    branch = branch[places - first]
    along = (branch[:, None, :] == -1) | (branch[:, None, :] == branch[:, :, None])
    earlier = torch.ones(len(steps), len(steps), dtype=torch.bool).tril()
    sees = (along & earlier & inside[:, None, :]) | torch.eye(len(steps), dtype=torch.bool)
    places = places.to(device)
    kept = inside.flatten().nonzero()[:, 0].to(device)
    return Thicket(slice(first, trees[-1].end), places, kept, positions[places], sees.to(device))
