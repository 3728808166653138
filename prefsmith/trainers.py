"""DPO on any module that returns logits, step by step, from your own loop.

    trainer = DPOTrainer(model, ref_model, beta=0.1, lr=1e-5)
    for x, yw_idxs, yl_idxs in loader:
        loss = trainer.train_step((x, yw_idxs, yl_idxs))

`x` holds B completions, each with its prompt, padded to one width: `input_ids` and `attention_mask` of shape (B, L),
and either `labels` (token ids, -100 where nothing is scored) or `completion_mask` (true where a token is scored). The
index pairs say which completion was preferred to which, so 4 completions give 6 pairs for 4 forwards. For whole runs
from a file, with checkpoints and evaluation, use `prefsmith.fit`.
"""

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64, Int
from pydantic import ValidationError
from torch import Tensor, nn

from prefsmith.config import AdapterConfig
from prefsmith.errors import ConfigError, DataError, TrainingError
from prefsmith.losses import resolve
from prefsmith.model import adapters
from prefsmith.model.load import require_full_precision
from prefsmith.model.padded import sequence_logprobs
from prefsmith.train.monitor import require_same_start
from prefsmith.types import Preferences, SequenceScores

Logps = Float[Tensor, " seq"]
Indices = Int[Tensor, " pair"]
Probability = float | Float[Tensor, " pair"]
Batch = tuple[Mapping[str, Tensor], Indices, Indices] | tuple[Mapping[str, Tensor], Indices, Indices, Probability]


@runtime_checkable
class Constraint(Protocol):
    """A penalty that is added to the loss; it must depend on the model through gradients to have an effect."""

    def __call__(
        self, model: nn.Module, pi_logps: Logps, ref_logps: Logps, yw_idxs: Indices, yl_idxs: Indices, /
    ) -> Tensor | float:
        """The penalty, a scalar."""
        ...


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a training step did.

    Args:
        loss: the whole objective.
        preference_loss: the part that comes from preferences.
        constraints: name of each constraint and its value.
        margin: mean log-ratio of preferred minus other completions, in nats.
        accuracy: share of pairs with a positive margin; a tie counts one half.
        grad_norm: L2 norm of the gradient.
    """

    loss: float
    preference_loss: float
    constraints: dict[str, float]
    margin: float
    accuracy: float
    grad_norm: float


class DPOTrainer:
    """Direct preference optimisation of a module, one AdamW step at a time.

    Args:
        model: the policy; called with `input_ids` and `attention_mask`, returns logits `(B, L, vocabulary)` or an
            object with `.logits`. Put in evaluation mode: dropout makes policy and reference differ by its noise.
        ref_model: the reference. None, or the policy itself, takes a frozen copy of the policy as it is now.
        beta: strength of the pull to the reference, per nat; 0.1 to 0.5 is customary.
        lr: learning rate of AdamW; 1e-6 to 1e-5 for all weights, about ten times that for adapters.
        allow_other_reference: accept a `ref_model` that scores the first batch differently from the policy.

    Raises:
        ConfigError: beta or lr is not a positive number.

    Attributes:
        report: what the last step did; None before the first.
    """

    def __init__(
        self,
        model: nn.Module,
        ref_model: nn.Module | None = None,
        beta: float = 0.1,
        lr: float = 1e-5,
        *,
        allow_other_reference: bool = False,
    ) -> None:
        if not 0 < lr < 1:
            raise ConfigError("optim.learning_rate", f"lr={lr} is not in (0, 1)", where="lr", fix="1e-6 to 1e-5")
        require_full_precision(model)
        self.model = model.eval()
        self.term = resolve("dpo", {"beta": beta}, where="DPOTrainer")
        self.beta = beta
        self.report: StepReport | None = None
        self._same_start = not allow_other_reference
        self._steps = 0
        self._set_reference(ref_model)
        self.optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=lr)

    def _set_reference(self, ref_model: nn.Module | None) -> None:
        self._reference_context: Callable[[], AbstractContextManager[None]] = nullcontext
        if ref_model is None or ref_model is self.model:
            ref_model = copy.deepcopy(self.model)
        self.ref_model = ref_model.requires_grad_(False).eval()

    def compute_loss(
        self, pi_logps: Logps, ref_logps: Logps, yw_idxs: Indices, yl_idxs: Indices
    ) -> tuple[Float64[Tensor, ""], Float64[Tensor, " seq"]]:
        """The DPO loss of index pairs into B sequence log-probabilities, and the rewards.

            L = mean over pairs of -log s(beta h),  h = (pi - ref)[yw] - (pi - ref)[yl]

        Args:
            pi_logps: log-probability of each completion under the policy, `(B,)`, in nats, with gradient.
            ref_logps: the same under the reference, `(B,)`.
            yw_idxs: index of the preferred completion of each pair, `(T,)`.
            yl_idxs: index of the other one, `(T,)`.

        Returns:
            The loss, a scalar, and the rewards beta (pi_logps - ref_logps), `(B,)`, detached.

        Raises:
            DataError: shapes do not fit, or an index is outside 0 to B - 1.
        """
        return self._preference_loss(pi_logps, ref_logps, yw_idxs, yl_idxs, 1.0)

    def train_step(self, batch: Batch) -> float:
        """One AdamW step on `x, yw_idxs, yl_idxs = batch`; returns the loss before the step.

        Raises:
            DataError: the batch does not say what is scored, or an index does not fit.
            TrainingError: the loss or the gradient is not finite (the weights are not changed), or policy and
                reference differ before the first step.
        """
        if not isinstance(batch, tuple | list) or len(batch) < 3:
            raise DataError("trainer.batch", "the batch is not x, yw_idxs, yl_idxs", fix="give a tuple of these three")
        x, yw_idxs, yl_idxs, *rest = batch
        pi_logps = sequence_logprobs(self.model, x)
        with torch.no_grad(), self._reference():
            ref_logps = sequence_logprobs(self.ref_model, x)
        if self._steps == 0 and self._same_start:
            fix = "leave ref_model out to take a frozen copy of the policy, or allow_other_reference=True on purpose"
            require_same_start(pi_logps, ref_logps.to(pi_logps.device), where="step 1", fix=fix)
        loss, rewards = self._step_loss(pi_logps, ref_logps, yw_idxs, yl_idxs, rest)
        self.optimizer.zero_grad()
        loss.backward()
        grad_norm = self._gradient_norm()
        if not (math.isfinite(loss.item()) and math.isfinite(grad_norm)):
            self.optimizer.zero_grad()
            what = f"the loss is {loss.item()} and the gradient norm {grad_norm}; the weights were not changed"
            raise TrainingError("train.nonfinite", what, where=f"step {self._steps + 1}", fix="lower lr")
        self.optimizer.step()
        self._steps += 1
        self.report = self._report(loss, rewards, yw_idxs, yl_idxs, grad_norm)
        return loss.item()

    def _step_loss(
        self, pi_logps: Logps, ref_logps: Logps, yw_idxs: Indices, yl_idxs: Indices, rest: Sequence[Any]
    ) -> tuple[Tensor, Tensor]:
        if rest:
            what = "the batch has a fourth part, and this trainer takes x, yw_idxs, yl_idxs"
            raise DataError("trainer.batch", what, fix="for probabilities use ProbabilisticDPOTrainer")
        return self.compute_loss(pi_logps, ref_logps, yw_idxs, yl_idxs)

    def _preference_loss(
        self, pi_logps: Logps, ref_logps: Logps, yw_idxs: Indices, yl_idxs: Indices, prob: Probability
    ) -> tuple[Tensor, Tensor]:
        device = pi_logps.device
        prefs = _preferences(pi_logps, ref_logps, yw_idxs, yl_idxs, prob)
        scores = SequenceScores(
            policy=pi_logps.double(),
            reference=ref_logps.to(device).detach().double(),
            tokens=torch.ones(pi_logps.shape[0], dtype=torch.int64, device=device),
        )
        self._last_preference_loss = self.term(scores, prefs).mean()
        return self._last_preference_loss, (self.beta * scores.log_ratio()).detach()

    def _reference(self) -> AbstractContextManager[None]:
        return self._reference_context()

    def _gradient_norm(self) -> float:
        norms = [each.grad.double().norm() for each in self.model.parameters() if each.grad is not None]
        return float(torch.stack(norms).norm()) if norms else 0.0

    def _report(
        self, loss: Tensor, rewards: Tensor, yw_idxs: Indices, yl_idxs: Indices, grad_norm: float
    ) -> StepReport:
        margins = (rewards[yw_idxs] - rewards[yl_idxs]) / self.beta
        return StepReport(
            loss=loss.item(),
            preference_loss=self._last_preference_loss.item(),
            constraints=self._constraint_values(),
            margin=margins.mean().item(),
            accuracy=((margins > 0).double() + 0.5 * (margins == 0).double()).mean().item(),
            grad_norm=grad_norm,
        )

    def _constraint_values(self) -> dict[str, float]:
        return {}


class DPOTrainerWithLoRA(DPOTrainer):
    """DPO of low-rank adapters on a Hugging Face causal language model: q_proj and v_proj, alpha 32, no bias.

    Args:
        model: adapted in place; its own weights are frozen and stay as they are, bit for bit.
        ref_model: the reference. None, or the model itself, takes the model with the adapter off.
        beta: as for `DPOTrainer`.
        lr: as for `DPOTrainer`; 1e-5 to 1e-4 suits adapters.
        lora_rank: rank of each update.
        lora_alpha: the update is scaled by lora_alpha / lora_rank.
        lora_dropout: in front of the adapter, active while training. It cannot matter in the first step, since the
            adapter starts at zero; later it makes policy and reference differ by its noise.
        target_modules: names of the modules to adapt; default q_proj and v_proj, or what peft knows for the model.
        allow_other_reference: as for `DPOTrainer`.
        seed: of the adapter's initial weights.

    Raises:
        ConfigError: no module has one of the names, or a setting is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        ref_model: nn.Module | None = None,
        beta: float = 0.1,
        lr: float = 1e-5,
        *,
        lora_rank: int = 8,
        lora_alpha: float = 32.0,
        lora_dropout: float = 0.05,
        target_modules: list[str] | None = None,
        allow_other_reference: bool = False,
        seed: int = 0,
    ) -> None:
        self._base = model
        try:
            config = AdapterConfig(
                kind="lora", rank=lora_rank, alpha=lora_alpha, dropout=lora_dropout, target_modules=target_modules
            )
        except ValidationError as error:
            what = "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())
            raise ConfigError(
                "config.value", what, where="DPOTrainerWithLoRA", fix="rank >= 1, dropout in [0, 1)"
            ) from None
        adapted = adapters.attach(adapters.unwrapped(model), config, seed=seed)
        super().__init__(adapted, ref_model, beta, lr, allow_other_reference=allow_other_reference)
        for module in adapters.dropout_modules(adapted):
            module.train()

    def _set_reference(self, ref_model: nn.Module | None) -> None:
        if ref_model is None or ref_model in (self._base, self.model):
            self.ref_model = self.model
            self._reference_context = partial(adapters.adapter_off, self.model)
        else:
            super()._set_reference(ref_model)


class ProbabilisticDPOTrainer(DPOTrainer):
    """DPO with uncertain labels: `preference_prob` is the probability that the preferred completion is better.

        L = mean over pairs of -p log s(beta h) - (1 - p) log s(-beta h)

    smallest at beta h = logit(p): the policy learns how sure the label is. With p = 1 it is `DPOTrainer`.

    Args:
        model: as for `DPOTrainer`.
        ref_model: as for `DPOTrainer`.
        beta: as for `DPOTrainer`.
        lr: as for `DPOTrainer`.
        preference_prob: of batches without a fourth part; a number in [0, 1] or a tensor `(T,)`.
        allow_other_reference: as for `DPOTrainer`.

    `train_step` takes `x, yw_idxs, yl_idxs` or `x, yw_idxs, yl_idxs, preference_prob`.
    """

    def __init__(
        self,
        model: nn.Module,
        ref_model: nn.Module | None = None,
        beta: float = 0.1,
        lr: float = 1e-5,
        *,
        preference_prob: Probability = 0.8,
        allow_other_reference: bool = False,
    ) -> None:
        super().__init__(model, ref_model, beta, lr, allow_other_reference=allow_other_reference)
        self.preference_prob = preference_prob

    def compute_loss(
        self,
        pi_logps: Logps,
        ref_logps: Logps,
        yw_idxs: Indices,
        yl_idxs: Indices,
        preference_prob: Probability | None = None,
    ) -> tuple[Float64[Tensor, ""], Float64[Tensor, " seq"]]:
        """As `DPOTrainer.compute_loss`, with one probability for all pairs or one for each.

        Raises:
            DataError: shapes do not fit, an index is outside, or a probability is not in [0, 1].
        """
        prob = self.preference_prob if preference_prob is None else preference_prob
        return self._preference_loss(pi_logps, ref_logps, yw_idxs, yl_idxs, prob)

    def _step_loss(
        self, pi_logps: Logps, ref_logps: Logps, yw_idxs: Indices, yl_idxs: Indices, rest: Sequence[Any]
    ) -> tuple[Tensor, Tensor]:
        return self.compute_loss(pi_logps, ref_logps, yw_idxs, yl_idxs, *rest)


class ConstitutionalDPOTrainer(DPOTrainer):
    """DPO with constraints: each one's value is added to the loss and reported.

        L = DPO + sum over constraints of f(model, pi_logps, ref_logps, yw_idxs, yl_idxs)

    for example relu(unsafe - 0.5). A constraint acts through gradients alone: one that does not depend on the model's
    weights (a score of fixed text) changes the number and nothing else, and is warned about.

    Args:
        model: as for `DPOTrainer`.
        ref_model: as for `DPOTrainer`.
        beta: as for `DPOTrainer`.
        lr: as for `DPOTrainer`.
        constraints: functions that return a scalar.
        allow_other_reference: as for `DPOTrainer`.
    """

    def __init__(
        self,
        model: nn.Module,
        ref_model: nn.Module | None = None,
        beta: float = 0.1,
        lr: float = 1e-5,
        *,
        constraints: Sequence[Constraint] = (),
        allow_other_reference: bool = False,
    ) -> None:
        super().__init__(model, ref_model, beta, lr, allow_other_reference=allow_other_reference)
        self.constraints = dict(zip(_names_of(constraints), constraints, strict=True))
        self._values: dict[str, float] = {}

    def compute_loss(
        self, pi_logps: Logps, ref_logps: Logps, yw_idxs: Indices, yl_idxs: Indices
    ) -> tuple[Float64[Tensor, ""], Float64[Tensor, " seq"]]:
        """As `DPOTrainer.compute_loss`, with every constraint's value added to the loss.

        Raises:
            DataError: as there, or a constraint does not return a scalar.
        """
        loss, rewards = super().compute_loss(pi_logps, ref_logps, yw_idxs, yl_idxs)
        self._values = {}
        for name, constraint in self.constraints.items():
            value = torch.as_tensor(constraint(self.model, pi_logps, ref_logps, yw_idxs, yl_idxs))
            if value.numel() != 1:
                what = f"the constraint {name} returned the shape {tuple(value.shape)}, not a scalar"
                raise DataError("trainer.constraint", what, fix="take its mean or sum over the batch")
            if not value.requires_grad and loss.requires_grad:
                warnings.warn(
                    f"the constraint {name} has no gradient: it changes the loss's value and nothing else",
                    stacklevel=2,
                )
            self._values[name] = value.item()
            loss = loss + value.reshape(()).to(loss)
        return loss, rewards

    def _constraint_values(self) -> dict[str, float]:
        return dict(self._values)


def _preferences(
    pi_logps: Tensor, ref_logps: Tensor, yw_idxs: Tensor, yl_idxs: Tensor, prob: Probability
) -> Preferences:
    if pi_logps.dim() != 1 or ref_logps.shape != pi_logps.shape:
        what = f"pi_logps {tuple(pi_logps.shape)} and ref_logps {tuple(ref_logps.shape)} are not both of shape (B,)"
        raise DataError("trainer.shape", what, fix="sum the log-probabilities of each completion's tokens")
    if not all(isinstance(each, Tensor) and not each.is_floating_point() for each in (yw_idxs, yl_idxs)):
        raise DataError("trainer.index", "the index pairs are not tensors of integers", fix="torch.tensor([0, 2])")
    if yw_idxs.dim() != 1 or yw_idxs.shape != yl_idxs.shape or not len(yw_idxs):
        what = f"yw_idxs {tuple(yw_idxs.shape)} and yl_idxs {tuple(yl_idxs.shape)} are not both of shape (T,), T >= 1"
        raise DataError("trainer.shape", what, fix="one index into the completions for each side of a pair")
    both = torch.cat([yw_idxs, yl_idxs])
    if int(both.min()) < 0 or int(both.max()) >= pi_logps.shape[0]:
        what = f"an index is outside 0 to {pi_logps.shape[0] - 1}"
        raise DataError("trainer.index", what, fix="indices count the completions of this batch from 0")
    device = pi_logps.device
    probs = torch.as_tensor(prob, dtype=torch.float64, device=device).expand(yw_idxs.shape[0])
    if not bool(((probs >= 0) & (probs <= 1)).all()):
        raise DataError("trainer.probability", "preference_prob is not in [0, 1] everywhere", fix="it is P(yw better)")
    ones = torch.ones(yw_idxs.shape[0], dtype=torch.float64, device=device)
    return Preferences(yw_idxs.to(device), yl_idxs.to(device), probs, ones, ones * float("nan"))


def _names_of(constraints: Sequence[Constraint]) -> list[str]:
    """The constraints' names; with their place behind where the name is not one constraint's alone."""
    names: list[str] = [getattr(each, "__name__", type(each).__name__) for each in constraints]
    shared = {name for name in names if names.count(name) > 1} | {"<lambda>"}
    return [f"{name}_{index}" if name in shared else name for index, name in enumerate(names)]
