"""Log-probabilities of a batch under a model, along one of three paths that give the same numbers.

shared   each prompt once, its completions behind it; attention over the forest
packed   each completion with a prompt of its own, end to end in one row
padded   one sequence a row, padded at the end, through the model's own attention
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prefsmith.model.adapters import unwrapped
from prefsmith.model.attention import FOREST, no_mask
from prefsmith.model.body import body_of
from prefsmith.model.forest import forest, pad, unshare
from prefsmith.model.head import Head, HeadKind, require_one_vocabulary
from prefsmith.model.logprobs import Logprobs, ReferenceLogits, Rows, Targets
from prefsmith.model.measure import Measures
from prefsmith.model.precision import Precision, computing, require_precision
from prefsmith.model.recompute import layers_of, recomputed
from prefsmith.model.sweep import parts_of, sweep
from prefsmith.model.varlen import may_take
from prefsmith.model.whole import Whole
from prefsmith.types import Batch, TokenNats, TokenScores, TokenSlopes

T = TypeVar("T")

Path = Literal["shared", "packed", "padded"]
PATHS: tuple[Path, ...] = ("shared", "packed", "padded")

Weigh = Callable[[TokenScores, slice], TokenSlopes]
"""Scores of the tokens of some groups of the batch, and which, to the derivative of the objective by each of them."""

_Ends = list[tuple[Tensor, Tensor]]
"""Where a forward ends, and the derivative of the objective there: what backward begins with."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted of a token beside its log-probability; `TokenScores` says what each is."""

    confidence: bool = False
    kl: bool = False


NOTHING_MORE = Asked()


@runtime_checkable
class Scores(Protocol):
    """Whatever gives log-probabilities without gradient: a reference, a policy."""

    def token_nats(self, batch: Batch) -> TokenNats:
        """Log-probability of each scored token, in nats, float64 on the CPU."""
        ...

    def token_scores(self, batch: Batch, asked: Asked = NOTHING_MORE, reference: "Frozen | None" = None) -> TokenScores:
        """The same with what is asked; `reference` is what the KL divergence is measured from."""
        ...


class Scorer:
    """A model and the path along which batches are run.

    Args:
        model: the model, possibly wrapped by an adapter.
        path: see above. `padded` runs `rows_at_once` sequences together.
        rows_at_once: None for all; 1 for models whose result depends on the longest row beside.
        recompute: whether layers keep their input alone and are run again in backward.
        precision: of the matrix products; weights stay as they are.
        varlen: whether attention takes a GPU's kernel for many lengths where it can.

    Raises:
        ConfigError: layers are to be run again and the model does not say which they are; the device does not have the
            precision.
    """

    def __init__(
        self,
        model: nn.Module,
        path: Path,
        *,
        rows_at_once: int | None = None,
        recompute: bool = False,
        precision: Precision = "fp32",
        varlen: bool = True,
        head: HeadKind | None = None,
    ) -> None:
        self.model, self.rows_at_once = model, rows_at_once
        self.precision: Precision = precision
        self.varlen = varlen
        self.path: Path = path
        self.causal: PreTrainedModel = unwrapped(model)
        self.recomputed = layers_of(body_of(self.causal)) if recompute else []
        if path != "padded":
            self.causal.set_attn_implementation(FOREST)
        first = next(self.causal.parameters())
        self.device = first.device
        require_precision(self.device, first.dtype, precision)
        self.head = Head(self.causal, precision, head)
        self.whole: Whole | None = None
        """Where it is set, weights are put together in its forward, and every pass takes place in it."""
        self._inside = False

    def describe(self) -> str:
        """The path, the head and what is not float32, in words."""
        low = "" if self.precision == "fp32" else f", products in {self.precision}"
        taken = self.varlen and self.path != "padded" and may_take(self.device, self.precision)
        return f"{self.path} path{', varlen attention' * taken}, {self.head.describe()}{low}"

    @property
    def how(self) -> dict[str, Any]:
        """What makes, of another model with the same weights, one that runs as this one does."""
        return {
            "path": self.path,
            "rows_at_once": self.rows_at_once,
            "recompute": bool(self.recomputed),
            "precision": self.precision,
            "varlen": self.varlen,
            "head": self.head.kind,
        }

    def frozen_copy(self) -> "Scorer":
        """A copy of the model that nothing trains, run along the same path."""
        return Scorer(copy.deepcopy(self.model).requires_grad_(False).eval(), **{**self.how, "recompute": False})

    def beside(self, model: nn.Module) -> "Scorer":
        """Another model, run as this one, every layer once."""
        return Scorer(model, self.path, rows_at_once=self.rows_at_once, precision=self.precision, varlen=self.varlen)

    def in_precision(self, precision: Precision) -> "Scorer":
        """The same model and path with products in another precision."""
        return Scorer(
            self.model,
            self.path,
            rows_at_once=self.rows_at_once,
            recompute=bool(self.recomputed),
            precision=precision,
            varlen=self.varlen,
        )

    def keeping(self) -> "Scorer":
        """The same model, every layer run once."""
        return self.beside(self.model)

    def token_logprobs(self, batch: Batch) -> Logprobs:
        """Log-probability of each scored token, differentiable, on the model's device."""
        return self.head.logprobs(*self.predictors(batch))

    def within(self, work: Callable[[], T]) -> T:
        """Do something with the model where its weights are there."""
        if self.whole is None or self._inside:
            return work()
        self._inside = True
        try:
            return self.whole(work)
        finally:
            self._inside = False

    def predictors(self, batch: Batch) -> tuple[Rows, Targets]:
        """The hidden row that predicts each scored token, and the token, in the order of the batch."""
        batch = batch.to(self.device)
        again = self.recomputed if torch.is_grad_enabled() else []
        with recomputed(again), computing(self.device, self.precision):
            if self.path == "padded":
                return self._padded(batch)
            return self._packed(batch if self.path == "shared" else unshare(batch))

    @torch.no_grad()
    def token_nats(self, batch: Batch) -> TokenNats:
        """Log-probability of each scored token, without gradient, float64 on the CPU."""
        return _on_cpu(self.within(lambda: self.token_logprobs(batch)))

    @torch.no_grad()
    def token_scores(self, batch: Batch, asked: Asked = NOTHING_MORE, reference: "Frozen | None" = None) -> TokenScores:
        """What is asked of each scored token, without gradient, float64 on the CPU.

        Args:
            batch: what to run.
            asked: what is wanted beside log-probabilities.
            reference: what the KL divergence is measured from; not run where none is asked.

        Raises:
            ConfigError: the two have different vocabularies.
        """
        return _scores(self.within(lambda: self._measures(batch, asked, reference)))

    def accumulate(
        self, batch: Batch, weigh: Weigh, asked: Asked = NOTHING_MORE, reference: "Frozen | None" = None
    ) -> None:
        """Forward, then backward: add the objective's gradient to the parameters' `.grad`.

        Args:
            batch: what to run.
            weigh: is given the scores of the tokens of a run of whole groups (float64, CPU, without gradient) and
                returns the derivative of the objective by each; called until every group had its turn. That is all
                that any way of computing the head needs to know of the loss.
            asked: what is wanted beside log-probabilities.
            reference: what the KL divergence is measured from; not run where none is asked.

        Raises:
            ConfigError: the two have different vocabularies.
        """
        linear = self.head.linear
        if linear is not None and not asked.kl:
            ends = self.within(lambda: self._sweep(batch, linear, weigh, confidence=asked.confidence))
        else:
            ends = self.within(lambda: self._weighed(batch, weigh, asked, reference))
        there = [(end, slope) for end, slope in ends if end.requires_grad]
        if there:
            torch.autograd.backward([end for end, _ in there], [slope for _, slope in there])

    def _weighed(self, batch: Batch, weigh: Weigh, asked: Asked, reference: "Frozen | None") -> _Ends:
        """Everything forward: what was measured, and the derivative by it."""
        found = self._measures(batch, asked, reference)
        slopes = weigh(_scores(found), slice(0, len(batch.prompts)))
        ends = [(found.logprobs, slopes.policy), (found.kl, slopes.kl)]
        return [(end, slope.to(end)) for end, slope in ends if end is not None and slope is not None]

    def _sweep(self, batch: Batch, linear: nn.Linear, weigh: Weigh, *, confidence: bool) -> _Ends:
        """The head's gradient with its forward: the body's rows, and the derivative by them."""
        rows, targets = self.predictors(batch)

        def slopes(found: Measures, groups: slice) -> Tensor:
            return weigh(_scores(found), groups).policy.to(rows.device)

        parts = parts_of(batch, self.head.vocabulary)
        given = rows.detach(), linear, targets, parts, slopes
        by_rows = sweep(*given, bend=self.head.bend, confidence=confidence, precision=self.precision)
        return [(rows, by_rows)]

    def _measures(self, batch: Batch, asked: Asked, reference: "Frozen | None") -> Measures:
        logits = None
        if asked.kl:
            if reference is None:
                raise ValueError("a KL divergence is asked and there is no reference; the loss must say it needs one")
            require_one_vocabulary(self.head, reference.scorer.head)
            logits = reference.logits_of(batch)
        return self.head.measures(*self.predictors(batch), confidence=asked.confidence, reference=logits)

    def _packed(self, batch: Batch) -> tuple[Rows, Targets]:
        layout = forest(batch)
        hidden = body_of(self.causal)(
            input_ids=batch.ids[None],
            position_ids=layout.positions[None],
            attention_mask=no_mask(batch.ids),
            trees=layout.trees,
            ragged=layout.ragged if self.varlen else None,
            use_cache=False,
        ).last_hidden_state[0]
        return hidden[layout.predictors], layout.targets

    def _padded(self, batch: Batch) -> tuple[Rows, Targets]:
        matrix = pad(batch)
        step = self.rows_at_once or matrix.ids.shape[0]
        parts = []
        for start in range(0, matrix.ids.shape[0], step):
            ids, mask = matrix.ids[start : start + step], matrix.mask[start : start + step]
            width = int(mask.sum(1).max())
            forget_lengths(self.causal)
            full = body_of(self.causal)(
                input_ids=ids[:, :width], attention_mask=mask[:, :width], use_cache=False
            ).last_hidden_state
            parts.append(nn.functional.pad(full, (0, 0, 0, matrix.ids.shape[1] - width)).flatten(0, 1))
        return torch.cat(parts)[matrix.predictors], matrix.targets


def _on_cpu(values: Tensor) -> TokenNats:
    return values.detach().to("cpu", torch.float64)


def _scores(found: Measures) -> TokenScores:
    return TokenScores(
        policy=_on_cpu(found.logprobs),
        confidence=None if found.confidence is None else _on_cpu(found.confidence),
        kl=None if found.kl is None else _on_cpu(found.kl),
        reference=None if found.reference is None else _on_cpu(found.reference),
    )


def forget_lengths(model: nn.Module) -> None:
    """Let dynamic positions follow from the coming row alone.

    transformers keeps the frequencies of the longest sequence so far, so that a result would depend on what ran before.
    """
    for module in model.modules():
        for name in [each for each in vars(module) if each.endswith("max_seq_len_cached")]:
            setattr(module, name, 0)


class Frozen:
    """A model as it is used for looking: no gradients, no dropout, optionally with its adapter taken off.

    Args:
        scorer: runs the batches; for an adapter it is the policy's own.
        without_adapter: makes the context in which the adapter is off.
    """

    def __init__(
        self, scorer: Scorer, without_adapter: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self.scorer, self.without_adapter = scorer, without_adapter

    @property
    def start(self) -> "Frozen":
        """The model as it was before the first step: this one, unless it moves."""
        return self

    def token_nats(self, batch: Batch) -> TokenNats:
        """Log-probability of each scored token, in nats."""
        with self.looking():
            return self.scorer.token_nats(batch)

    def token_scores(self, batch: Batch, asked: Asked = NOTHING_MORE, reference: "Frozen | None" = None) -> TokenScores:
        """What is asked of each scored token."""
        with self.looking():
            return self.scorer.token_scores(batch, asked, reference)

    def logits_of(self, batch: Batch) -> ReferenceLogits:
        """The body is run now; the logits of a run of the batch's scored tokens are made when they are asked for."""
        with self.looking() as scorer:
            rows, _ = scorer.within(lambda: scorer.predictors(batch))
        return lambda part: self.logits(rows[part])

    @torch.no_grad()
    def logits(self, rows: Rows) -> Tensor:
        """Logits of hidden rows, `(row, vocabulary)`."""
        head = self.scorer.head
        if head.linear is not None:  # nothing that looking changes reaches it, and chunks are many
            return head.logits(rows)
        with self.looking():
            return head.logits(rows)

    @contextmanager
    def looking(self) -> Iterator[Scorer]:
        """The model as it is used for looking, while the context is open."""
        training = [module for module in self.scorer.model.modules() if module.training]
        for module in training:
            module.training = False
        try:
            with self.without_adapter(), torch.no_grad():
                yield self.scorer
        finally:
            for module in training:
                module.training = True
