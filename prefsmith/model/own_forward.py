"""What a model says of a batch by its own forward, one sequence at a time: the numbers that every path must give.

Sequences, and runs of their logits, go forward and back one after the other, and their gradients are added up: so no
more is kept than of the longest sequence, and of a chunk of logits.
"""

import inspect
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from prefsmith.model.adapters import unwrapped
from prefsmith.model.forest import unshare
from prefsmith.model.logprobs import accumulated, chunks
from prefsmith.model.precision import Precision, computing
from prefsmith.model.recompute import layers_of, recomputed
from prefsmith.model.score import Scorer, forget_lengths
from prefsmith.types import Batch

CHECKED_ELEMENTS = 2**22  # the gradient is compared on the first weights up to so many numbers

Numbers = tuple[Tensor, list[Tensor]]
"""Log-probabilities of the scored tokens, and the gradient of their weighted sum by some weights."""


def own_numbers(model: nn.Module, batch: Batch, *, recompute: bool = False, precision: Precision = "fp32") -> Numbers:
    """By the model itself.

    Args:
        model: in evaluation mode, possibly with an adapter.
        batch: what to run.
        recompute: whether layers are run again in backward.
        precision: of the matrix products.

    Raises:
        ConfigError: layers are to be run again and the model does not say which they are.
    """
    device = next(model.parameters()).device
    alone = unshare(batch.to(device))
    inputs, values = list(_first_weights(model)), list[Tensor]()
    gradient, slopes = [torch.zeros_like(each) for each in inputs], _slopes(int(alone.scored.sum()), device)
    done = 0
    with recomputed(layers_of(unwrapped(model)) if recompute else []):
        for (start, _), (_, _, end) in zip(alone.prompts.tolist(), alone.completions.tolist(), strict=True):
            ids, rows = alone.ids[start:end], alone.scored[start + 1 : end].nonzero()[:, 0]
            for part in _parts(model, len(rows)):
                logprobs = _logprobs(model, ids, rows[part], precision)
                values.append(logprobs.detach())
                weights = slopes[done : done + len(logprobs)]
                for total, more in zip(gradient, _gradient(logprobs, weights, inputs), strict=True):
                    total += more
                done += len(logprobs)
    return torch.cat(values), gradient


def numbers_of(scorer: Scorer, batch: Batch) -> Numbers:
    """By a path."""
    logprobs = scorer.token_logprobs(batch)
    slopes = _slopes(len(logprobs), logprobs.device)
    return logprobs.detach(), _gradient(logprobs, slopes, list(_first_weights(scorer.model)))


def _parts(model: nn.Module, rows: int) -> list[slice]:
    """Runs of rows of which the logits may exist at a time, if the model makes those of some rows alone."""
    if not _keeps(model):
        return [slice(0, rows)]
    return chunks(rows, unwrapped(model).config.get_text_config().vocab_size)


def _keeps(model: nn.Module) -> bool:
    return "logits_to_keep" in inspect.signature(unwrapped(model).forward).parameters


def _logprobs(model: nn.Module, ids: Tensor, rows: Tensor, precision: Precision) -> Tensor:
    """Of the tokens behind some rows of one sequence."""
    forget_lengths(model)
    keeps = _keeps(model)
    kept = {"logits_to_keep": rows} if keeps else {}
    with computing(ids.device, precision):
        logits = model(input_ids=ids[None], use_cache=False, **kept).logits[0]
    logits = accumulated(logits if keeps else logits[rows])
    return logits.log_softmax(-1).gather(1, ids[1:][rows][:, None])[:, 0]


def _slopes(count: int, device: torch.device) -> Tensor:
    """Uneven weights of both signs: an error in any one token shows in the gradient of the weighted sum."""
    return torch.linspace(-1.0, 1.3, count, device=device).cos()


def _gradient(logprobs: Tensor, slopes: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    gradients = torch.autograd.grad(logprobs, inputs, slopes.to(logprobs.dtype), allow_unused=True)
    return [torch.zeros_like(each) if g is None else g for each, g in zip(inputs, gradients, strict=True)]


def _first_weights(model: nn.Module) -> Iterator[Tensor]:
    """Trainable weights from the bottom up, where every error of the layers above arrives."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    room, found = CHECKED_ELEMENTS, False
    for weight in trainable:
        if weight.numel() <= room:
            found = True
            room -= weight.numel()
            yield weight
    if not found and trainable:
        yield min(trainable, key=torch.Tensor.numel)
