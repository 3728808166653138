"""From hidden rows to log-probabilities: plain heads by us, all others through the model's own head."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from prefsmith.errors import ConfigError
from prefsmith.model.bend import STRAIGHT, Bend, candidates
from prefsmith.model.body import body_name
from prefsmith.model.exhausted import is_exhausted
from prefsmith.model.logprobs import (
    Logprobs,
    ReferenceLogits,
    Rows,
    Targets,
    own_head_measures,
    plain_head_measures,
)
from prefsmith.model.measure import Measures
from prefsmith.model.numberless import has_no_numbers, of_numbers
from prefsmith.model.precision import Precision, affine, computing, rounded
from prefsmith.model.shape import with_a_head_of_numbers


@dataclass(frozen=True, slots=True)
class HeadKind:
    """What was found out of a head by running it.

    Args:
        plain: whether it is a linear layer and no more than its bend.
        bend: what is done to its products.
        vocabulary: logits of a row.
    """

    plain: bool
    bend: Bend
    vocabulary: int


class Head:
    """The last step of a causal language model.

    A head is plain if it is a linear layer and gives, for hidden states made up for the purpose, what the model's own
    forward makes of them, scaled or capped as its configuration says. Adapters on the head and whatever else comes are
    not plain.

    Args:
        model: the causal language model, without wrappers.
        precision: of the operands of its products.
        kind: what was found out of it where the same weights were run before; None to find out.
    """

    def __init__(self, model: PreTrainedModel, precision: Precision = "fp32", kind: HeadKind | None = None) -> None:
        self.model = model
        self.precision: Precision = precision
        linear = model.get_output_embeddings()
        if kind is not None:
            self.bend, self.vocabulary = kind.bend, kind.vocabulary
            self.linear = linear if kind.plain and type(linear) is nn.Linear else None
            return
        self.bend = STRAIGHT
        self.linear = linear if type(linear) is nn.Linear and self._is_all(linear) else None
        self.vocabulary = self._width()

    @property
    def kind(self) -> HeadKind:
        """What was found out of it."""
        return HeadKind(self.linear is not None, self.bend, self.vocabulary)

    def describe(self) -> str:
        """Which of the two it is."""
        if self.linear is None:
            return "the model's own head"
        return ", ".join(filter(None, ("plain head", self.bend.describe())))

    def logprobs(self, rows: Rows, targets: Targets) -> Logprobs:
        """Log-probability of each target after its row, in nats."""
        return self.measures(rows, targets).logprobs

    def measures(
        self, rows: Rows, targets: Targets, *, confidence: bool = False, reference: ReferenceLogits | None = None
    ) -> Measures:
        """Everything that is asked of each target after its row, in one pass over the chunks.

        Args:
            rows: hidden states that predict the targets.
            targets: the tokens that follow.
            confidence: whether it is wanted.
            reference: gives the reference's logits where the divergence from them is wanted.
        """
        if self.linear is None:
            return own_head_measures(
                rows, self._own_in_precision, targets, self.vocabulary, confidence=confidence, reference=reference
            )
        weight, bias = self.linear.weight, self.linear.bias
        return plain_head_measures(
            rows,
            weight,
            bias,
            targets,
            bend=self.bend,
            precision=self.precision,
            confidence=confidence,
            reference=reference,
        )

    def logits(self, rows: Rows) -> Tensor:
        """Logits of hidden rows, `(row, vocabulary)`."""
        if self.linear is None:
            return self._own_in_precision(rows)
        weight = rounded(self.linear.weight, self.precision)
        return self.bend.apply_(affine(rounded(rows, self.precision), weight, self.linear.bias))

    def own(self, rows: Tensor) -> Tensor:
        """Logits as the model's own forward makes them of hidden rows `(row, hidden)`."""
        body = body_name(self.model)
        whole = getattr(self.model, body)
        # The model's forward runs as it stands; only its body is replaced, by what the body would have returned.
        self.model._modules[body] = _Body(rows[None])
        try:
            return self.model(inputs_embeds=rows[None], use_cache=False).logits[0]
        finally:
            self.model._modules[body] = whole

    def _own_in_precision(self, rows: Tensor) -> Tensor:
        with computing(rows.device, self.precision):
            return self.own(rows)

    @torch.no_grad()
    def _is_all(self, linear: nn.Linear) -> bool:
        if has_no_numbers(linear.weight):
            twin = of_numbers(Head)(with_a_head_of_numbers(self.model))
            self.bend = twin.bend
            return twin.linear is not None
        rows = torch.randn(4, linear.in_features, generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(
            linear.weight
        )
        # Large rows, so that a bound of the logits shows.
        rows = torch.cat([rows, 100 * rows])
        try:
            own = self.own(rows)
        except RuntimeError as error:
            if is_exhausted(error):
                raise
            return False  # something stands between hidden rows and the layer, and makes them of another size
        for bend in candidates(self.model.config.get_text_config()):
            if torch.equal(own, bend.apply_(linear(rows))):
                self.bend = bend
                return True
        return False

    @torch.no_grad()
    def _width(self) -> int:
        if self.linear is not None:
            return self.linear.out_features
        width = self.model.config.get_text_config().hidden_size
        return self.own(torch.zeros(1, width, dtype=self.model.dtype, device=self.model.device)).shape[-1]


def require_one_vocabulary(policy: Head, reference: Head) -> None:
    """Two models whose distributions are compared have the same tokens.

    Raises:
        ConfigError: their logits are not of the same number.
    """
    if policy.vocabulary != reference.vocabulary:
        what = f"the policy has {policy.vocabulary} logits and the reference {reference.vocabulary}"
        raise ConfigError("reference.vocabulary", what, fix="compare models that share a tokenizer")


class _Body(nn.Module):
    """Stands where the model's body stood and returns the same hidden rows to whoever calls it, or a part of it."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        object.__setattr__(self, "rows", rows)

    def forward(self, *_args: object, **_kwargs: object) -> BaseModelOutputWithPast:
        rows: Any = self.rows
        return _Output(last_hidden_state=rows)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("_"):
            raise AttributeError(name)
        return self


class _Output(BaseModelOutputWithPast):
    """Has nothing but hidden states; a model's forward may ask for caches or attentions and finds None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
