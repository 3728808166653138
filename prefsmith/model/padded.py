"""Log-probabilities from any module that returns logits, for batches that somebody else has padded."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor, nn

from prefsmith.errors import DataError
from prefsmith.model import adapters

IGNORED_LABEL = -100  # transformers' label of a token that is not scored


def sequence_logprobs(model: nn.Module, x: Mapping[str, Tensor]) -> Float64[Tensor, " seq"]:
    """Log-probability of each row's scored tokens, summed in float64.

        log pi(y|x) = sum over scored t of log softmax(logits[t - 1])[token t]

    Args:
        model: returns logits `(B, L, vocabulary)`, or an object or tuple that holds them.
        x: `input_ids`, `attention_mask`, and `labels` or `completion_mask`, all `(B, L)`; padded on either side.

    Raises:
        DataError: it is not said what is scored, a first token is scored, or a row has no scored token.
    """
    ids = x["input_ids"]
    scored, targets = _scored(x)
    inputs = {"input_ids": ids}
    if (mask := x.get("attention_mask")) is not None:
        inputs["attention_mask"] = mask
        inner = adapters.unwrapped(model) if adapters.has_adapter(model) else model
        if not bool(mask[:, 0].all()) and "position_ids" in inspect.signature(inner.forward).parameters:
            # Padding in front: positions count from the first token, as they do without it.
            inputs["position_ids"] = (mask.long().cumsum(1) - 1).clamp(min=0)
    logits = _logits_of(model(**inputs))[:, :-1][scored]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    logprobs = logits.gather(1, targets[scored][:, None])[:, 0] - logits.logsumexp(-1)
    rows = scored.nonzero()[:, 0]
    return torch.zeros(ids.shape[0], dtype=torch.float64, device=ids.device).index_add(0, rows, logprobs.double())


def _scored(x: Mapping[str, Tensor]) -> tuple[Bool[Tensor, "seq width"], Int[Tensor, "seq width"]]:
    """Which tokens behind the first are scored, and what they are. Read from labels or mask, never from token ids."""
    if "labels" in x:
        whole, targets = x["labels"] != IGNORED_LABEL, x["labels"]
    elif "completion_mask" in x:
        whole, targets = x["completion_mask"].bool(), x["input_ids"]
    else:
        what = f"the batch has {', '.join(x)}, which does not say what is scored"
        raise DataError("trainer.batch", what, fix="add labels (-100 where nothing is scored) or completion_mask")
    if bool(whole[:, 0].any()):
        what = "the first token of a row is scored, and nothing predicts it"
        raise DataError("trainer.batch", what, fix="score the completion alone, behind a prompt or a begin token")
    if not bool(whole.any(1).all()):
        row = int((~whole.any(1)).nonzero()[0])
        raise DataError("trainer.batch", f"row {row} has no scored token", fix="leave the row out")
    return whole[:, 1:], targets[:, 1:]


def _logits_of(output: Any) -> Tensor:  # noqa: ANN401
    if isinstance(output, Tensor):
        return output
    return output.logits if hasattr(output, "logits") else output[0]
