"""What a step did: its metrics, the checks that stop a run, and the log that survives an interruption.

metrics.jsonl has one object per optimiser step; evaluation rows carry "split": "eval". docs/metrics.md explains every
key.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from prefsmith.errors import TrainingError
from prefsmith.files import sync_folder
from prefsmith.model.precision import Precision
from prefsmith.train.objective import Objective
from prefsmith.train.step import Scored
from prefsmith.types import Preferences, Ratings

START_TOLERANCE = {"fp32": 1e-3, "bf16": 0.5}
"""Nats by which policy and reference may differ on a sequence before the first step, by the precision of products.

Run together they agree to the bit. A reference that answered in other micro-batches differs by rounding: in bf16 by
some hundredths of a nat at a token, of either sign.
"""
TIE = 1e-4
"""Nats. Equal log-ratios are less far apart where policy and reference were scored in other micro-batches."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How policy and reference stand to each other on labelled completions.

    Averages are weighted by data weight. Pairs without a preferred side (probability one half) count in none.

    Args:
        pairs: comparisons with a preferred side, or ratings where there are no comparisons.
        margin: mean h in nats: log-ratio of the preferred side minus that of the other.
        accuracy: share with h > 0; a tie, |h| <= 1e-4 nats, counts one half. For ratings: share whose log-ratio has the
            label's sign.
        chosen_logratio: mean log policy - log reference of preferred or desirable completions, in nats.
        rejected_logratio: the same of the others.
        effective: how many equally weighted pairs would be as sure, (sum w)^2 / sum w^2.
    """

    pairs: int
    margin: float | None
    accuracy: float | None
    chosen_logratio: float | None
    rejected_logratio: float | None
    effective: float


NOTHING = Evidence(0, None, None, None, None, 0.0)


def evidence(scored: Scored) -> Evidence:
    """Metrics of labelled completions; nothing where there is no reference."""
    if scored.scores.reference is None:
        return NOTHING
    if len(scored.compared):
        return _pair_evidence(scored.scores.log_ratio(), scored.compared)
    ratings = next((view for view in scored.labels if isinstance(view, Ratings)), None)
    return NOTHING if ratings is None else _rating_evidence(scored.scores.log_ratio(), ratings)


def _pair_evidence(ratio: Float64[Tensor, " seq"], compared: Preferences) -> Evidence:
    turned = compared.prob < 0.5
    weight = torch.where(compared.prob == 0.5, 0.0, compared.weight)
    if weight.sum() <= 0:
        return NOTHING
    chosen = ratio[torch.where(turned, compared.rejected, compared.chosen)]
    rejected = ratio[torch.where(turned, compared.chosen, compared.rejected)]
    return Evidence(
        pairs=int((compared.prob != 0.5).sum()),
        margin=_mean(chosen - rejected, weight),
        accuracy=_mean(_share_above_zero(chosen - rejected), weight),
        chosen_logratio=_mean(chosen, weight),
        rejected_logratio=_mean(rejected, weight),
        effective=_effective(weight),
    )


def _rating_evidence(ratio: Float64[Tensor, " seq"], ratings: Ratings) -> Evidence:
    own, good = ratio[ratings.seq], ratings.value > 0.5
    signed = torch.where(good, own, -own)
    chosen, rejected = _mean(own[good], ratings.weight[good]), _mean(own[~good], ratings.weight[~good])
    return Evidence(
        pairs=len(ratings),
        margin=chosen - rejected if chosen is not None and rejected is not None else None,
        accuracy=_mean(_share_above_zero(signed), ratings.weight),
        chosen_logratio=chosen,
        rejected_logratio=rejected,
        effective=_effective(ratings.weight),
    )


def _share_above_zero(values: Float64[Tensor, " label"]) -> Float64[Tensor, " label"]:
    ties = values.abs() <= TIE
    return (~ties & (values > 0)).double() + 0.5 * ties.double()


def _mean(values: Float64[Tensor, " label"], weight: Float64[Tensor, " label"]) -> float | None:
    total = weight.sum()
    return float((weight * values).sum() / total) if total > 0 else None


def _effective(weight: Float64[Tensor, " label"]) -> float:
    squares = float((weight * weight).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def reference_per_token(scored: Scored) -> float | None:
    """Mean over the labelled answers of their nats per token under the reference; None where there is none."""
    if scored.scores.reference is None:
        return None
    if len(scored.compared):
        labelled = torch.cat([scored.compared.chosen, scored.compared.rejected])
    else:
        ratings = next((view for view in scored.labels if isinstance(view, Ratings)), None)
        if ratings is None or not len(ratings):
            return None
        labelled = ratings.seq
    used = labelled.unique()
    return float((scored.scores.reference[used] / scored.scores.tokens[used]).mean())


def as_row(scored: Scored, objective: Objective) -> dict[str, object]:
    """The part of a metrics row that comes from scores."""
    seen = evidence(scored)
    beta = objective.beta
    row: dict[str, object] = {
        "loss": scored.loss,
        "margin": seen.margin,
        "reward_margin": None if seen.margin is None or beta is None else beta * seen.margin,
        "accuracy": seen.accuracy,
        "chosen_logratio": seen.chosen_logratio,
        "rejected_logratio": seen.rejected_logratio,
        "reference_per_token": reference_per_token(scored),
        "pairs": len(scored.labels[0]),
        "tokens": scored.tokens,
    }
    if scored.outside:
        row["outside_domain"] = scored.outside
    return row


def line_of(row: Mapping[str, object], steps: int) -> str:
    """A row of metrics as a plain line."""

    def number(key: str, form: str) -> str | None:
        value = row.get(key)
        return f"{key.replace('_', ' ')} {value:{form}}" if isinstance(value, int | float) else None

    if row.get("split") == "eval":
        parts = [f"held out after step {row['step']}:", number("loss", ".4f"), number("margin", "+.3f")]
        for key, words in (("accuracy", "accuracy"), ("shorter_accuracy", '"the shorter is better"')):
            value, low, high = row.get(key), row.get(f"{key}_low"), row.get(f"{key}_high")
            if not (isinstance(value, float) and isinstance(low, float) and isinstance(high, float)):
                continue
            if key == "shorter_accuracy" and value < 0.5:  # the rule that length alone makes hard to beat
                words, value, low, high = '"the longer is better"', 1 - value, 1 - high, 1 - low
            parts.append(f"{words} {value:.3f} [{low:.3f}, {high:.3f}]")
        return "  ".join(part for part in parts if part)
    parts = [
        f"step {row['step']}/{steps}",
        number("loss", ".4f"),
        number("margin", "+.3f"),
        number("accuracy", ".2f"),
        number("grad_norm", ".3g"),
        number("learning_rate", ".2e"),
        number("seconds", ".2f"),
    ]
    return "  ".join(part for part in parts if part)


def require_same_start(
    policy: Float64[Tensor, " seq"],
    reference: Float64[Tensor, " seq"],
    *,
    where: str,
    fix: str,
    precision: Precision = "fp32",
) -> None:
    """The pull to the reference means what the paper says only if training starts there.

    Raises:
        TrainingError: policy and reference differ before the first update.
    """
    gap = float((policy.detach() - reference).abs().max())
    if gap > START_TOLERANCE[precision]:
        what = f"before the first step, policy and reference differ by {gap:.3g} nats on a completion"
        raise TrainingError("train.start", what, where=where, fix=fix)


def require_finite(number: int, loss: float, grad_norm: float, sources: Sequence[str]) -> None:
    """Stop before the weights are touched.

    Raises:
        TrainingError: the loss or the gradient is not finite.
    """
    if not (torch.isfinite(torch.tensor(loss)) and torch.isfinite(torch.tensor(grad_norm))):
        raise TrainingError(
            "train.nonfinite",
            f"step {number}: loss {loss}, gradient norm {grad_norm}; the weights were not changed",
            where=", ".join(sources[:5]) + (f" and {len(sources) - 5} more rows" if len(sources) > 5 else ""),
            fix="lower optim.learning_rate; every checkpoint is from before this step",
        )


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory in use so far: of the GPU where there is one, of the process otherwise."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class MetricsLog:
    """metrics.jsonl. Its length is part of a checkpoint; what was written behind the last one is cut on resumption.

    Args:
        path: of the file; rows are added behind what is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("r+b" if path.exists() else "w+b")
        sync_folder(path.parent)
        self.file.seek(0, os.SEEK_END)

    def is_empty(self) -> bool:
        """Whether nothing was written yet."""
        return self.file.tell() == 0

    def rewind(self, length: int) -> bool:
        """Cut everything behind the first `length` bytes; False where rows are missing, since there are fewer.

        Raises:
            TrainingError: the disk fails.
        """
        there = self.file.tell()
        with self._written():
            self.file.truncate(min(length, there))
            self.file.seek(0, os.SEEK_END)
        return there >= length

    def write(self, row: Mapping[str, object]) -> None:
        """Append a row; it is in the file when this returns.

        Raises:
            TrainingError: the disk is full or fails.
        """
        with self._written():
            self.file.write((json.dumps(row) + "\n").encode())
            self.file.flush()

    def sync(self) -> int:
        """Make sure that the rows survive a crash of the machine; returns the file's length in bytes.

        Raises:
            TrainingError: the disk is full or fails.
        """
        with self._written():
            self.file.flush()
            os.fsync(self.file.fileno())
        return self.file.tell()

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # of a row that could not be written, which `write` has told
            self.file.close()

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = f"metrics cannot be written: {error.strerror}"
            fix = "make room and go on with --resume: the checkpoints are whole"
            raise TrainingError("run.write", what, where=str(self.path), fix=fix) from error


class NoLog(MetricsLog):
    """Of the processes whose rows the first one writes."""

    def __init__(self) -> None:
        self.path = Path(os.devnull)

    def is_empty(self) -> bool:
        """It is not to be told of."""
        return False

    def rewind(self, length: int) -> bool:
        """There is nothing to cut."""
        return True

    def write(self, row: Mapping[str, object]) -> None:
        """Nothing."""

    def sync(self) -> int:
        """It has no length."""
        return 0

    def close(self) -> None:
        """Nothing is open."""


def read_rows(path: Path) -> list[dict[str, object]]:
    """The rows of a metrics file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
