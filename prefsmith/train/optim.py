"""How the weights move: AdamW, a schedule that is a pure function of the step, and clipping."""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from prefsmith.config import OptimConfig
from prefsmith.model import adapters
from prefsmith.train.parts import put


def learning_rate_at(step: int, steps: int, peak: float, schedule: str, warmup_steps: int) -> float:
    """Learning rate of step `step`, counted from 1: linear to `peak` over the warm-up, then as `schedule` says.

    linear and cosine fall to zero behind the last step, so that the last step still moves.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    if schedule == "constant":
        return peak
    done = (step - 1 - warmup_steps) / max(1, steps - warmup_steps)
    return peak * (1 - done if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done)))


class Optimizer:
    """AdamW on the trainable weights of a model.

    Args:
        model: its parameters that require gradients are trained.
        config: schedule, decay and clipping.
        peak: peak learning rate.
        steps: steps of the whole run, which the schedule depends on.
    """

    def __init__(self, model: nn.Module, config: OptimConfig, *, peak: float, steps: int) -> None:
        self.config, self.peak, self.steps = config, peak, steps
        self.weights = {name: each for name, each in model.named_parameters() if each.requires_grad}
        factors = {id(each) for each in adapters.factors(model)}  # decay would pull them to zero, far from their start
        decayed = {name for name, each in self.weights.items() if each.dim() >= 2 and id(each) not in factors}
        matrices = [each for name, each in self.weights.items() if name in decayed]
        others = [each for name, each in self.weights.items() if name not in decayed]
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW([group for group in groups if group["params"]], lr=peak, fused=self._fused())

    def _fused(self) -> bool | None:
        """On a CPU one pass over each weight, not a dozen; for others, and for parts of weights, PyTorch chooses."""
        whole = all(each.device.type == "cpu" and not hasattr(each, "to_local") for each in self.weights.values())
        return whole or None

    def clip(self, total: Callable[[float], float] = float) -> float:
        """Scale the gradients down to the largest norm allowed, and return the norm they had.

        Args:
            total: sums what processes have that each hold a part of every gradient.
        """
        norm = math.sqrt(total(square_sum(self.weights.values())))
        if norm > self.config.max_grad_norm:
            for gradient in own_gradients(self.weights.values()):
                gradient.mul_(self.config.max_grad_norm / norm)
        return norm

    def step(self, number: int) -> float:
        """Move the weights, clear the gradients, and return the learning rate that was used."""
        rate = learning_rate_at(number, self.steps, self.peak, self.config.schedule, self.config.warmup_steps)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        return rate

    def room_to_come(self) -> list[Tensor]:
        """As much memory as the averages of the first step are going to take; nothing once they are there."""
        if self.adamw.state:
            return []
        return [torch.empty_like(weight) for weight in self.weights.values() for _ in range(2)]

    def state(self) -> dict[str, Tensor]:
        """AdamW's averages and step counts, by weight and kind."""
        return {
            f"{name}|{kind}": value
            for name, weight in self.weights.items()
            for kind, value in self.adamw.state.get(weight, {}).items()
        }

    def begin(self, names: Iterable[str]) -> None:
        """Averages and step counts of these weights as they are before the first step, so that they can be put back."""
        for weight in map(self.weights.__getitem__, set(names)):
            self.adamw.state[weight] = {
                # AdamW keeps its step count on the CPU whatever the device of the weight.
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(weight, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.preserve_format),
            }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave, as whole tensors."""
        self.begin(weight_of(key) for key in state)
        for key, average in self.state().items():
            put(average, state[key])


def weight_of(key: str) -> str:
    """The weight that an entry of `Optimizer.state` belongs to."""
    return key.rpartition("|")[0]


def count(weights: Iterable[Tensor]) -> int:
    """Numbers in the weights."""
    return sum(weight.numel() for weight in weights)


def square_sum(weights: Iterable[Tensor]) -> float:
    """Sum of squares of the gradients in this process, in float64."""
    norms = [torch.linalg.vector_norm(each, dtype=torch.float64) for each in own_gradients(weights)]
    return math.fsum(float(norm) ** 2 for norm in norms)


def own_gradients(weights: Iterable[Tensor]) -> list[Tensor]:
    """The gradients that are there; of a weight that is kept in parts, this process's part."""
    found: list[Tensor] = []
    for gradient in (weight.grad for weight in weights):
        if gradient is not None:
            part: Callable[[], Tensor] | None = getattr(gradient, "to_local", None)
            found.append(gradient if part is None else part())
    return found
