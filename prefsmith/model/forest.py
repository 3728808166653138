"""A batch as the model runs it: positions, the attention's layout, and which hidden row predicts which token.

The last prompt token predicts the first token of every completion, so its row is gathered once for each.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from prefsmith.model.numberless import of_numbers, takes_gpu_ways
from prefsmith.model.thicket import Thicket, Tree, with_thickets
from prefsmith.model.varlen import Ragged, ragged
from prefsmith.types import Batch


@dataclass(frozen=True, slots=True)
class Forest:
    """What the model needs beside the ids to run a packed row.

    Args:
        positions: each token's place in its own sequence, from 0.
        trees: which tokens see which, small trees together.
        ragged: the same as a GPU's kernel wants it; None elsewhere.
        predictors: for each scored token the row whose hidden state predicts it.
        targets: the scored tokens.
    """

    positions: Int[Tensor, " token"]
    trees: tuple[Tree | Thicket, ...]
    ragged: Ragged | None
    predictors: Int[Tensor, " scored"]
    targets: Int[Tensor, " scored"]


@of_numbers
def forest(batch: Batch) -> Forest:
    """Positions, layout and predicting rows of a batch."""
    prompts, completions = batch.prompts.tolist(), batch.completions.tolist()
    positions = torch.empty(batch.ids.shape[0], dtype=torch.int64)
    before = torch.arange(-1, batch.ids.shape[0] - 1)
    branches: list[list[tuple[int, int]]] = [[] for _ in prompts]
    for start, end in prompts:
        positions[start:end] = torch.arange(end - start)
    for group, start, end in completions:
        trunk_start, trunk_end = prompts[group]
        trunk = trunk_end - trunk_start
        positions[start:end] = torch.arange(trunk, trunk + end - start)
        before[start] = trunk_end - 1
        branches[group].append((start, end))
    trees = tuple(Tree(start, end, tuple(ends)) for (start, end), ends in zip(prompts, branches, strict=True))
    device = batch.ids.device
    positions = positions.to(device)
    return Forest(
        positions=positions,
        trees=with_thickets(trees, positions),
        ragged=ragged(trees, device) if takes_gpu_ways(batch.ids) else None,
        predictors=before.to(device)[batch.scored],
        targets=batch.ids[batch.scored],
    )


@of_numbers
def unshare(batch: Batch) -> Batch:
    """The same sequences, each with a prompt of its own: a forest of trees with one branch."""
    ids: list[Tensor] = []
    scored: list[Tensor] = []
    prompts: list[tuple[int, int]] = []
    completions: list[tuple[int, int, int]] = []
    spans = batch.prompts.tolist()
    length = 0
    for number, (group, start, end) in enumerate(batch.completions.tolist()):
        trunk_start, trunk_end = spans[group]
        branch = length + trunk_end - trunk_start
        ids += [batch.ids[trunk_start:trunk_end], batch.ids[start:end]]
        scored += [batch.scored[trunk_start:trunk_end], batch.scored[start:end]]
        prompts.append((length, branch))
        completions.append((number, branch, branch + end - start))
        length = branch + end - start
    return replace(
        batch,
        ids=torch.cat(ids),
        scored=torch.cat(scored),
        prompts=torch.tensor(prompts, device=batch.ids.device),
        completions=torch.tensor(completions, device=batch.ids.device),
        sources=tuple(batch.sources[group] for group, _, _ in batch.completions.tolist()),
    )


@dataclass(frozen=True, slots=True)
class Padded:
    """A batch as a matrix with one sequence a row, padded at the end.

    Args:
        ids: padded with `fill`.
        mask: 1 where there is a token.
        predictors: for each scored token, in seq order, the place in the flattened matrix that predicts it.
        targets: the scored tokens.
    """

    ids: Int[Tensor, "seq width"]
    mask: Int[Tensor, "seq width"]
    predictors: Int[Tensor, " scored"]
    targets: Int[Tensor, " scored"]


@of_numbers
def pad(batch: Batch, fill: int = 0) -> Padded:
    """One row per sequence."""
    alone = unshare(batch)
    starts = alone.prompts[:, 0].tolist()
    ends = alone.completions[:, 2].tolist()
    width = max(end - start for start, end in zip(starts, ends, strict=True))
    ids = alone.ids.new_full((len(starts), width), fill)
    mask = torch.zeros_like(ids)
    predictors = []
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        ids[row, : end - start] = alone.ids[start:end]
        mask[row, : end - start] = 1
        predictors.append(alone.scored[start:end].nonzero()[:, 0] - 1 + row * width)
    return Padded(ids, mask, torch.cat(predictors), alone.ids[alone.scored])
