"""Which path a model can take: shared, packed or padded, the first that gives the model's own numbers.

The configuration rules out what it can; a check of values and gradients against the model's own forward, one sequence
at a time, decides the rest. The check runs on the longest group, and on the shortest beside the longest.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from prefsmith.errors import ConfigError, PrefsmithError, TrainingError
from prefsmith.model.adapters import unwrapped
from prefsmith.model.exhausted import in_a_line, is_exhausted
from prefsmith.model.own_forward import Numbers, numbers_of, own_numbers
from prefsmith.model.precision import Precision
from prefsmith.model.score import PATHS, Path, Scorer
from prefsmith.model.varlen import may_take
from prefsmith.types import Batch

TOLERANCE = {torch.float64: (1e-9, 1e-8), torch.float32: (1e-4, 1e-3)}
"""Largest gap of a token's log-probability (nats) and of the gradient (relative norm), by precision."""
_LOOSE = (5e-2, 5e-2)
ROUNDING = 4
"""A path in a lower precision may be so many times as far from float32 as the model's own forward in it is."""

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
        TrainingError: memory ran out.
    """
    with _memory_for(probes, recompute=recompute):
        causal = unwrapped(model)
        own_attention = causal.config._attn_implementation or "eager"
        truth = [own_numbers(model, probe, recompute=recompute) for probe in probes]
        _require_finite(truth, probes)
        limits = TOLERANCE.get(causal.dtype, _LOOSE)
        low = None if precision == "fp32" else _rounding(model, probes, truth, precision, recompute=recompute)
        check = _Check(probes, truth, limits, low, precision)
        barred, stretched = _barred(causal), _length_dependent(causal, max_length)
        reasons: list[str] = []
        for path, varlen in _attempts(wanted, next(causal.parameters()).device, precision):
            if path != "padded" and (bar := barred or stretched):
                reasons += [bar] if bar not in reasons else []
                continue
            run = partial(
                Scorer, model, path, rows_at_once=1 if stretched else None, recompute=recompute, varlen=varlen
            )
            found = check.of(run)
            if not isinstance(found, str):
                scorer, gaps, low_gaps = found
                return scorer, Choice(path, "; ".join(reasons), *gaps, low_gaps, varlen)
            reasons.append(f"{path}{' with varlen attention' * varlen}{found}")
            if path != "padded":
                causal.set_attn_implementation(own_attention)
    raise ConfigError(
        "model.path_parity",
        f"no way of running this model gives its own numbers: {'; '.join(reasons)}",
        where="model.attention",
        fix="model.attention=auto tries every way" if wanted != "auto" else "this architecture is not supported",
    )


@dataclass(frozen=True, slots=True)
class _Check:
    """What a path is held against.

    Args:
        probes: the batches.
        truth: the model's own numbers for each, in float32.
        limits: within which a path in float32 must be of them.
        low_limits: the same in a lower precision; None where none is asked.
        precision: of the run.
    """

    probes: Sequence[Batch]
    truth: Sequence[Numbers]
    limits: _Gaps
    low_limits: _Gaps | None
    precision: Precision

    def of(self, make: Callable[[], Scorer]) -> tuple[Scorer, _Gaps, _Gaps | None] | str:
        """The path in the run's precision and how far off it is; or, in words, why it is not to be taken."""
        try:
            scorer, low = make(), None
            gaps = self._gaps(scorer)
            if self.low_limits is not None:
                scorer = scorer.in_precision(self.precision)
                low = self._gaps(scorer)
        except PrefsmithError:
            raise
        except Exception as error:  # a model may stumble over a layout that is not its own in any way
            if is_exhausted(error):
                raise
            return f": {in_a_line(error)}"
        if not _within(gaps, self.limits):
            return f" differs by {gaps[0]:.1e} nats, gradient {gaps[1]:.1e}"
        if low is not None and self.low_limits is not None and not _within(low, self.low_limits):
            return f" differs in {self.precision} by {low[0]:.1e} nats, gradient {low[1]:.1e}"
        return scorer, gaps, low

    def _gaps(self, scorer: Scorer) -> _Gaps:
        return _apart([numbers_of(scorer, probe) for probe in self.probes], self.truth)


@contextmanager
def _memory_for(probes: Sequence[Batch], *, recompute: bool) -> Iterator[None]:
    """What is compared while the context is open is the longest row: no token budget makes it smaller.

    Raises:
        TrainingError: memory ran out.
    """
    try:
        yield
    except Exception as error:
        if not is_exhausted(error):
            raise
        fix = "a lower data.max_length, adapter.kind=lora, or a machine with more; train.token_budget changes nothing"
        raise TrainingError(
            "train.memory",
            f"memory ran out while paths were compared on the longest row, before any training: {in_a_line(error)}",
            where=f"rows {_rows(probes)}",
            fix=fix if recompute else f"train.activation_checkpointing=true, {fix}",
        ) from error


def _require_finite(truth: Sequence[Numbers], probes: Sequence[Batch]) -> None:
    if not all(bool(torch.isfinite(values).all()) for values, _ in truth):
        what = "the model gives log-probabilities that are not finite before any training"
        fix = "its weights are damaged or overflow; load them anew, or try these rows alone"
        raise ConfigError("model.nonfinite", what, where=f"rows {_rows(probes)}", fix=fix)


def _rows(probes: Sequence[Batch]) -> str:
    return ", ".join(sorted({source for probe in probes for source in probe.sources}))


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


def _rounding(
    model: nn.Module, probes: Sequence[Batch], truth: Sequence[Numbers], precision: Precision, *, recompute: bool
) -> _Gaps:
    """How far from float32 a path may be in a lower precision: some times as far as the model's own forward is."""
    own = [own_numbers(model, probe, recompute=recompute, precision=precision) for probe in probes]
    value_gap, gradient_gap = _apart(own, truth)
    return max(ROUNDING * value_gap, _LOOSE[0]), max(ROUNDING * gradient_gap, _LOOSE[1])


def _within(gaps: _Gaps, limits: _Gaps) -> bool:
    return gaps[0] <= limits[0] and gaps[1] <= limits[1]


def _apart(found: Sequence[Numbers], truth: Sequence[Numbers]) -> _Gaps:
    """The largest difference of a value, and of a gradient by its norm."""
    value_gaps, gradient_gaps = [], []
    for (values, gradient), (own_values, own_gradient) in zip(found, truth, strict=True):
        value_gaps.append((values - own_values).double().abs().max())
        apart = torch.stack([(a - b).double().norm() for a, b in zip(gradient, own_gradient, strict=True)]).norm()
        size = torch.stack([b.double().norm() for b in own_gradient]).norm()
        gradient_gaps.append(apart / size.clamp(min=1e-30))
    # Tensors keep a NaN through max, where Python's max may lose it.
    return float(torch.stack(value_gaps).max()), float(torch.stack(gradient_gaps).max())
