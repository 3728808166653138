"""How much memory training takes, estimated before it does.

    total = weights + gradients + optimiser + reference + activations + transient + logits + process

weights      bytes of the policy's parameters and buffers, in float32; quantised ones packed,    model/load.py
             with their scales                                                                   model/quantize.py
gradients    bytes of the trained parameters: `.grad` of each is kept over a step                train/step.py
optimiser    twice that: AdamW's two averages                                                    train/optim.py
reference    bytes of its own parameters and buffers; 0 with the adapter off                     model/reference.py
activations  what autograd keeps of the forward of one row, counted tensor by tensor where it    model/score.py
             is saved, per token x tokens of the run's largest micro-batch; in bf16 also the
             rounded copies of weights, which do not grow with the tokens                        model/precision.py
transient    what a layer's forward keeps: its backward makes about as much; twice that where layers
             are run again in backward and `activations` are their inputs alone; under DoRA also
             the matrices that one adapted layer makes and gives back                            model/recompute.py
             and where weights are quantised the numbers of the largest                          model/quantize.py
logits       float32 logits of some groups, or of one, and as many again while they are summed  model/sweep.py
process      what Python, its libraries and the rows take on a machine without a GPU, measured

Activations grow with the tokens; attention keeps no matrix of tokens x tokens, but on a GPU without one call for all
lengths a mask of truth values for the second and later answers of a prompt. The row that is measured is the longest,
where that mask is largest. What the allocator cannot use again, and copies that a checkpoint makes, are not in it, nor
is the comparison of paths before the first step (model/ladder.py), when gradients and averages are not there yet.

`bench/memory.py` compares the estimate with `peak_memory_bytes` of two steps; on a CPU the peak was 6 to 9 % above it,
for models of 0.3, 0.9 and 57 million weights.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakSet

import torch
from torch import Tensor, nn

from prefsmith.assembly import Models
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import pack
from prefsmith.model import quantize
from prefsmith.model.adapters import scratch_bytes
from prefsmith.model.score import Scorer
from prefsmith.model.sweep import rows_at_once
from prefsmith.preflight.facts import Memory
from prefsmith.preflight.work import computed_tokens

FLOAT = 4  # bytes
LOGITS_AT_ONCE = 2  # the chunk, and one more of its size while it is summed or differentiated


def estimate(models: Models, longest: EncodedGroup, largest: int, scored: int, *, process: int) -> Memory:
    """The most memory that training takes; the model runs forward once, on one row.

    Args:
        models: policy and reference, as they will be trained.
        longest: the longest training row.
        largest: tokens of the largest micro-batch, as the path runs them.
        scored: scored tokens of the largest micro-batch.
        process: what the process took before the model was loaded, with the rows in it.
    """
    policy = models.policy
    trained = _bytes(each for each in policy.model.parameters() if each.requires_grad)
    own = models.reference is not None and models.reference.scorer is not policy
    copies, kept = _kept_bytes(policy, longest)
    in_layers = _kept_bytes(policy.keeping(), longest)[1] if policy.recomputed else kept
    in_a_group = sum(len(each.ids) - each.unscored for each in longest.completions)
    rows = rows_at_once(scored, in_a_group, policy.head.vocabulary)
    layers = getattr(policy.causal.config.get_text_config(), "num_hidden_layers", None) or 1
    on_gpu = policy.device.type == "cuda"
    parts = {
        "weights": _model_bytes(policy.model),
        "gradients": trained,
        "optimizer": 2 * trained,
        "reference": _model_bytes(models.reference.scorer.model) if own and models.reference is not None else 0,
        "activations": round(copies + kept * largest),
        "transient": round((2 if policy.recomputed else 1) * in_layers * largest / layers)
        + max(scratch_bytes(policy.model), quantize.scratch_bytes(policy.model, rounded=policy.precision == "bf16")),
        "logits": LOGITS_AT_ONCE * rows * policy.head.vocabulary * FLOAT,
        "process": 0 if on_gpu else process,
    }
    return Memory(**parts, total=sum(parts.values()), available=available_bytes(policy.device))


def _kept_bytes(policy: Scorer, group: EncodedGroup) -> tuple[float, float]:
    """What autograd keeps whatever the tokens, and of each token."""
    tokens, once = computed_tokens([group], policy.path), saved_bytes(policy, group)
    if policy.precision == "fp32":
        return 0.0, once / tokens
    twice = saved_bytes(policy, group, group)
    return max(0.0, 2 * once - twice), (twice - once) / tokens


def saved_bytes(policy: Scorer, *groups: EncodedGroup) -> int:
    """Bytes that autograd keeps between forward and backward of some groups, weights aside."""
    weights = {_place(each) for each in (*policy.model.parameters(), *policy.model.buffers())}
    kept: WeakSet[_Kept] = WeakSet()

    def keep(tensor: Tensor) -> _Kept:
        saved = _Kept(tensor.detach())
        kept.add(saved)
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved.tensor):
        logprobs = policy.token_logprobs(pack(groups, mismatched=False))
    # What was saved for a result that nobody took, as DoRA makes one, is gone by now.
    found = {_place(each.tensor): each.tensor.untyped_storage().nbytes() for each in kept}
    del logprobs
    return sum(size for place, size in found.items() if place not in weights)


@dataclass(eq=False, frozen=True, slots=True, weakref_slot=True)
class _Kept:
    """What autograd holds in the place of a tensor, as long as it does."""

    tensor: Tensor


def available_bytes(device: torch.device) -> int | None:
    """Memory of the GPU or of the machine; None where it cannot be told."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type != "cpu" or not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _model_bytes(model: nn.Module) -> int:
    return _bytes(model.parameters()) + _bytes(model.buffers()) + quantize.scale_bytes(model)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)
