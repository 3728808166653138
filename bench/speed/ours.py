"""prefsmith's arms, through the function that its own loop calls, and a careful loop without prefsmith."""

import copy
from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from transformers import PreTrainedModel

from prefsmith.config import GPU_TOKENS, AdapterConfig, OptimConfig
from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.pack import pack
from prefsmith.data.views import View
from prefsmith.losses import resolve
from prefsmith.model import adapters
from prefsmith.model.cached import CachedReference
from prefsmith.model.score import Frozen, Scorer
from prefsmith.records import Comparison, Completion, Group
from prefsmith.train.budget import CPU_TOKENS
from prefsmith.train.objective import Objective
from prefsmith.train.optim import Optimizer
from prefsmith.train.step import accumulate_step

from . import model
from .exact import exact
from .model import HERE, Ids, Place
from .padded import Padded

WHOLE = 8192  # tokens of a micro-batch, more than a step has


class Arms:
    """prefsmith's step on given pairs.

    Args:
        vocabulary: of the model.
        adapter: whether a LoRA adapter is trained.
        pairs: token ids of each pair.
        place: how large the model is, where it is trained and in what.
    """

    def __init__(self, vocabulary: int, adapter: bool, pairs: Sequence[Ids], place: Place = HERE) -> None:
        self.pairs = pairs
        self.groups = [_encoded(pair, index) for index, pair in enumerate(pairs)]
        self.objective = Objective((resolve("dpo", {}),))
        made = _adapted(model.policy(vocabulary, place), adapter)
        self.policy = Scorer(made.eval(), "shared", precision=place.precision)
        if adapter:
            self.reference = Frozen(self.policy, partial(adapters.adapter_off, made))
        else:
            self.reference = Frozen(self.policy.beside(model.reference(vocabulary, place)))
        self.cached = CachedReference(self.reference, again=lambda: self.reference)
        for group in self.groups:
            self.cached.remember(pack([group]))
        self.checkpointed = Scorer(made, "shared", recompute=True, precision=place.precision)
        sums = [self._sums(group) for group in self.groups]
        again = made if place.one_model else _adapted(model.policy(vocabulary, place), adapter)
        self.padded = Padded(again, pairs, sums, bf16=place.precision == "bf16")
        own = _optimizer(made)
        self.optimizers = {"own": own, "padded": own if place.one_model else _optimizer(again)}
        self.last = "own"

    def _sums(self, group: EncodedGroup) -> tuple[float, float]:
        """What the reference says of the chosen and of the rejected sequence."""
        nats = self.cached.token_nats(pack([group]))
        chosen, rejected = nats.split([len(each.ids) for each in group.completions])
        return chosen.sum().item(), rejected.sum().item()

    def exact(self, batch: Sequence[int]) -> tuple[float, float]:
        """Loss and gradient norm of a batch in float64; no gradient stays."""
        with self.reference.without_adapter():
            reference = copy.deepcopy(self.reference.scorer.model)
        return exact(self.policy.model, reference, [self.pairs[index] for index in batch])

    def gradient(self, arm: str, batch: Sequence[int]) -> float:
        """The loss of a batch; its gradient stays."""
        self.last = "padded" if arm == "padded" else "own"
        if arm == "padded":
            return self.padded.accumulate(batch)
        reference = self.cached if arm.startswith("cached") else self.reference
        policy = self.checkpointed if arm.startswith("checkpointed") else self.policy
        usual = CPU_TOKENS if self.policy.device.type == "cpu" else GPU_TOKENS
        budget = WHOLE if arm.endswith("whole") else usual
        groups = [self.groups[index] for index in batch]
        return accumulate_step(policy, reference, self.objective, groups, budget).loss

    def weights(self) -> Sequence[Tensor]:
        """Those that are trained."""
        return list(self.optimizers[self.last].weights.values())

    def update(self) -> None:
        """Clip the gradients, move the weights and drop the gradients."""
        self.optimizers[self.last].clip()
        self.optimizers[self.last].step(1)

    def drop(self) -> None:
        """Drop the gradients."""
        self.optimizers[self.last].adamw.zero_grad(set_to_none=True)


def _adapted(made: PreTrainedModel, adapter: bool) -> nn.Module:
    if not adapter:
        return made
    lora = AdapterConfig(kind="lora", rank=16, alpha=32.0, target_modules="all-linear")
    wrapped = adapters.attach(made, lora, seed=0)
    model.draw(wrapped, seed=2, around=0.0, only="lora_")
    return wrapped


def _optimizer(made: nn.Module) -> Optimizer:
    settings = OptimConfig(warmup_steps=0, schedule="constant")
    return Optimizer(made, settings, peak=model.LEARNING_RATE, steps=1)


def _encoded(pair: Ids, index: int) -> EncodedGroup:
    comparison = Comparison(0, 1)
    group = Group(str(index), f"pairs:{index}", "", (Completion("a"), Completion("b")), (comparison,))
    sides = tuple(EncodedCompletion(tuple(pair[f"{side}_ids"])) for side in ("chosen", "rejected"))
    prompt = tuple(pair["prompt_ids"])
    return EncodedGroup(group, prompt, sides, (View((comparison,)),), (comparison,), len(prompt))
