"""Which path a model can take: shared, packed or padded, the first that gives the model's own numbers.

The configuration rules out what it can; a check of values and gradients against the model's own forward, one sequence
at a time, decides the rest. The check runs on the longest group, and on the shortest beside the longest.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prefsmith.errors import ConfigError
from prefsmith.model.adapters import unwrapped
from prefsmith.model.attention import UnsupportedAttention
from prefsmith.model.forest import unshare
from prefsmith.model.precision import Precision, computing
from prefsmith.model.score import PATHS, Path, Scorer, forget_lengths
from prefsmith.model.varlen import may_take
from prefsmith.types import Batch

TOLERANCE = {torch.float64: (1e-9, 1e-8), torch.float32: (1e-4, 1e-3)}
"""Largest gap of a token's log-probability (nats) and of the gradient (relative norm), by precision."""
_LOOSE = (5e-2, 5e-2)
ROUNDING = 4
"""A path in a lower precision may be so many times as far from float32 as the model's own forward in it is."""
_CHECKED_ELEMENTS = 2**22  # the gradient is compared on the first weights up to so many numbers

_Own = tuple[Tensor, list[Tensor]]  # values of the scored tokens, and the gradient by some weights
_Gaps = tuple[float, float]  # of values in nats, of gradients by their norm


@dataclass(frozen=True, slots=True)
class Choice:
    """The path that was taken, and why.

    Args:
        path: the rung.
        why: in words, what ruled out the rungs above.
        value_gap: largest difference of a token's log-probability from the model's own forward, in nats.
        gradient_gap: relative norm of the difference of gradients.
        low: the two of a lower precision, from the model's own forward in float32; None where none is asked.
        varlen: whether attention takes a GPU's kernel for many lengths.
    """

    path: Path
    why: str
    value_gap: float
    gradient_gap: float
    low: tuple[float, float] | None = None
    varlen: bool = False

    def describe(self) -> str:
        """In a line."""
        gaps = f"against its own forward: values within {self.value_gap:.1e} nats, gradient {self.gradient_gap:.1e}"
        low = f"; in bf16 within {self.low[0]:.1e} nats, gradient {self.low[1]:.1e}" if self.low is not None else ""
        kernel = ", varlen attention" if self.varlen else ""
        return f"{self.path}{kernel} ({self.why + '; ' if self.why else ''}{gaps}{low})"


def choose_path(
    model: nn.Module,
    probes: Sequence[Batch],
    *,
    wanted: Literal["auto"] | Path = "auto",
    max_length: int | None = None,
    recompute: bool = False,
    precision: Precision = "fp32",
) -> tuple[Scorer, Choice]:
    """The first path that is exact for this model on these batches.

    Args:
        model: in evaluation mode, possibly with an adapter.
        probes: small batches; the longest group, and the shortest beside the longest.
        wanted: `auto`, or the one path to try.
        max_length: longest sequence of the run, for positions that depend on it.
        recompute: whether layers are run again in backward.
        precision: of the matrix products. Every path is checked in float32, where an error of the layout stands out;
            in bf16 it may then be as far from float32 as the model's own forward is, up to `ROUNDING` times.

    Raises:
        ConfigError: no path, or not the wanted one, gives the model's own numbers, or those are not finite; layers are
            to be run again and the model does not say which they are.
    """
    causal = unwrapped(model)
    own_attention = causal.config._attn_implementation or "eager"
    barred = _barred(causal)
    stretched = _length_dependent(causal, max_length)
    truth = [_own_forward(model, probe) for probe in probes]
    if not all(bool(torch.isfinite(values).all()) for values, _ in truth):
        what = "the model gives log-probabilities that are not finite before any training"
        rows = ", ".join(sorted({source for probe in probes for source in probe.sources}))
        fix = "its weights are damaged or overflow; load them anew, or try these rows alone"
        raise ConfigError("model.nonfinite", what, where=f"rows {rows}", fix=fix)
    limits = TOLERANCE.get(causal.dtype, _LOOSE)
    low_limits = limits if precision == "fp32" else _rounding(model, probes, truth, precision)
    reasons: list[str] = []
    for path, varlen in _attempts(wanted, next(causal.parameters()).device, precision):
        if path != "padded" and (bar := barred or stretched):
            reasons += [bar] if bar not in reasons else []
            continue
        scorer = Scorer(model, path, rows_at_once=1 if stretched else None, recompute=recompute, varlen=varlen)
        name = f"{path} with varlen attention" if varlen else path
        try:
            gaps = _gaps(scorer, probes, truth)
            scorer = scorer.in_precision(precision)
            low = _gaps(scorer, probes, truth) if precision != "fp32" else None
        except (UnsupportedAttention, TypeError) as error:
            reasons.append(f"{name}: {str(error).splitlines()[0]}")
        except RuntimeError as error:
            if not varlen or isinstance(error, torch.OutOfMemoryError):
                raise
            reasons.append(f"{name}: {str(error).strip().splitlines()[0]}")
        else:
            if _within(gaps, limits) and (low is None or _within(low, low_limits)):
                return scorer, Choice(path, "; ".join(reasons), *gaps, low, varlen)
            worse, where = (gaps, "") if low is None or not _within(gaps, limits) else (low, f" in {precision}")
            reasons.append(f"{name} differs{where} by {worse[0]:.1e} nats, gradient {worse[1]:.1e}")
        if path != "padded":
            causal.set_attn_implementation(own_attention)
    raise ConfigError(
        "model.path_parity",
        f"no way of running this model gives its own numbers: {'; '.join(reasons)}",
        where="model.attention",
        fix="model.attention=auto tries every way" if wanted != "auto" else "this architecture is not supported",
    )


def _attempts(
    wanted: Literal["auto"] | Path, device: torch.device, precision: Precision
) -> Iterator[tuple[Path, bool]]:
    """Paths from the best on, and whether attention takes a GPU's kernel for many lengths: with it first."""
    for path in PATHS if wanted == "auto" else (wanted,):
        if path != "padded" and may_take(device, precision):
            yield path, True
        yield path, False


def likely_path(
    causal: PreTrainedModel, *, wanted: Literal["auto"] | Path = "auto", max_length: int | None = None
) -> tuple[Path, int | None]:
    """The first path that the configuration leaves, and how many rows are run at once; nothing is checked."""
    stretched = _length_dependent(causal, max_length)
    path: Path = wanted if wanted != "auto" else "padded" if _barred(causal) or stretched else "shared"
    return path, 1 if stretched else None


def _barred(causal: PreTrainedModel) -> str:
    """Why nothing but the padded path can be right, as far as the configuration says; empty if it does not."""
    config = causal.config.get_text_config()
    if getattr(causal, "_is_stateful", False):
        return "its state runs along the row, so completions in one row would see each other"
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if kinds:
        return f"it has layers of the kind {', '.join(sorted(kinds))}"
    if not getattr(causal, "_supports_attention_backend", False):
        return "its attention cannot be replaced"
    return ""


def _length_dependent(causal: PreTrainedModel, max_length: int | None) -> str:
    """Why a token's position depends on how long the sequences beside it are; empty if it does not."""
    config = causal.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    kind = rope.get("rope_type") if isinstance(rope, dict) else None
    trained = rope.get("original_max_position_embeddings") or getattr(config, "max_position_embeddings", None)
    if kind in ("dynamic", "longrope") and (max_length is None or trained is None or max_length > trained):
        return f"its {kind} positions depend on the length of the longest sequence beside"
    return ""


def _own_forward(model: nn.Module, batch: Batch, precision: Precision = "fp32") -> _Own:
    """Scored log-probabilities and the gradient of their weighted sum, one sequence at a time, by the model itself."""
    device = next(model.parameters()).device
    alone = unshare(batch.to(device))
    keeps = "logits_to_keep" in inspect.signature(unwrapped(model).forward).parameters
    parts = []
    for (start, _), (_, _, end) in zip(alone.prompts.tolist(), alone.completions.tolist(), strict=True):
        ids, scored = alone.ids[start:end], alone.scored[start:end]
        forget_lengths(model)
        rows = scored[1:].nonzero()[:, 0]
        kept = {"logits_to_keep": rows} if keeps else {}
        with computing(device, precision):
            logits = model(input_ids=ids[None], use_cache=False, **kept).logits[0]
        logits = logits if keeps else logits[rows]
        logprobs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
        parts.append(logprobs.gather(1, ids[1:][rows][:, None])[:, 0])
    logprobs = torch.cat(parts)
    return logprobs.detach(), _gradient(logprobs, model)


def _rounding(model: nn.Module, probes: Sequence[Batch], truth: Sequence[_Own], precision: Precision) -> _Gaps:
    """How far from float32 a path may be in a lower precision: some times as far as the model's own forward is."""
    own = [_own_forward(model, probe, precision) for probe in probes]
    value_gap, gradient_gap = _apart(own, truth)
    return max(ROUNDING * value_gap, _LOOSE[0]), max(ROUNDING * gradient_gap, _LOOSE[1])


def _within(gaps: _Gaps, limits: _Gaps) -> bool:
    return gaps[0] <= limits[0] and gaps[1] <= limits[1]


def _gaps(scorer: Scorer, probes: Sequence[Batch], truth: Sequence[_Own]) -> _Gaps:
    found: list[_Own] = []
    for probe in probes:
        logprobs = scorer.token_logprobs(probe)
        found.append((logprobs.detach(), _gradient(logprobs, scorer.model)))
    return _apart(found, truth)


def _apart(found: Sequence[_Own], truth: Sequence[_Own]) -> _Gaps:
    """The largest difference of a value, and of a gradient by its norm."""
    value_gaps, gradient_gaps = [], []
    for (values, gradient), (own_values, own_gradient) in zip(found, truth, strict=True):
        value_gaps.append((values - own_values).double().abs().max())
        apart = torch.stack([(a - b).double().norm() for a, b in zip(gradient, own_gradient, strict=True)]).norm()
        size = torch.stack([b.double().norm() for b in own_gradient]).norm()
        gradient_gaps.append(apart / size.clamp(min=1e-30))
    # Tensors keep a NaN through max, where Python's max may lose it.
    return float(torch.stack(value_gaps).max()), float(torch.stack(gradient_gaps).max())


def _gradient(logprobs: Tensor, model: nn.Module) -> list[Tensor]:
    """Gradient of a sum with alternating, uneven weights: an error in any one token shows."""
    weights = torch.linspace(-1.0, 1.3, logprobs.shape[0], dtype=logprobs.dtype, device=logprobs.device).cos()
    inputs = list(_first_weights(model))
    gradients = torch.autograd.grad((logprobs * weights).sum(), inputs, allow_unused=True)
    return [torch.zeros_like(each) if g is None else g for each, g in zip(inputs, gradients, strict=True)]


def _first_weights(model: nn.Module) -> Iterator[Tensor]:
    """Trainable weights from the bottom up, where every error of the layers above arrives."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    room, found = _CHECKED_ELEMENTS, False
    for weight in trainable:
        if weight.numel() <= room:
            found = True
            room -= weight.numel()
            yield weight
    if not found and trainable:
        yield min(trainable, key=torch.Tensor.numel)
