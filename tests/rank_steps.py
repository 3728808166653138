"""A few steps of training, by one process or by several: run under torchrun, it writes what its first process saw."""

import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from tiny import encoded_groups, tiny_llama
from torch import Tensor

from prefsmith.losses import resolve
from prefsmith.losses.registry import LOSSES
from prefsmith.model import adapters
from prefsmith.model.score import Frozen, Scorer
from prefsmith.train import sharding
from prefsmith.train.objective import Objective
from prefsmith.train.optim import square_sum
from prefsmith.train.parallel import Ranks, joined
from prefsmith.train.step import accumulate_step, score_step

STEPS, BUDGET = 3, 60
LOSSES_SEEN = ("dpo", "kto", "aot")


@dataclass(frozen=True)
class Case:
    loss: str
    trained: str  # full, lora
    spread: str  # ddp, fsdp
    again: bool = False  # layers are run again in backward
    groups: int = 7

    @property
    def name(self) -> str:
        return "-".join(map(str, (self.loss, self.trained, self.spread, self.again, self.groups)))


CASES = [
    *(Case(loss, *how) for loss in LOSSES_SEEN for how in product(("full", "lora"), ("ddp", "fsdp"))),
    Case("dpo", "full", "fsdp", again=True),
    Case("dpo", "full", "ddp", groups=1),  # the second process has nothing to do
    Case("dpo", "full", "fsdp", groups=1),
    Case("kto", "lora", "fsdp", groups=2),
]


def steps_of(case: Case) -> list:
    kind = LOSSES[case.loss].kind
    groups = encoded_groups(STEPS * case.groups, kind=kind, answer=(1, 12), seed=3)
    if LOSSES[case.loss].mismatched:
        groups = [replace(g, mismatched=groups[(i + 1) % len(groups)].completions) for i, g in enumerate(groups)]
    return [groups[start : start + case.groups] for start in range(0, len(groups), case.groups)]


def scorers(case: Case) -> tuple[Scorer, Frozen]:
    model = tiny_llama(seed=2, tie_word_embeddings=case.loss == "kto")
    if case.trained == "full":
        reference = tiny_llama(seed=1).requires_grad_(False)
        return Scorer(model, "shared", recompute=case.again), Frozen(Scorer(reference, "shared"))
    torch.manual_seed(5)
    settings = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    policy = Scorer(get_peft_model(model, settings).eval(), "shared")
    return policy, Frozen(policy, lambda: adapters.adapter_off(policy.model))


def walk(case: Case, ranks: Ranks) -> dict[str, Tensor]:
    """Norms of the gradient, losses and held-out losses of all steps, and the weights after SGD."""
    policy, reference = scorers(case)
    objective = Objective((resolve(case.loss, {}),))
    if ranks.in_step:
        mesh = sharding.mesh_of(ranks, policy.device)
        sharding.shard(policy, mesh)
        if reference.scorer is not policy:
            sharding.shard(reference.scorer, mesh)
    weights = {name: each for name, each in policy.model.named_parameters() if each.requires_grad}
    sgd = torch.optim.SGD(weights.values(), lr=0.3)
    norms, losses, looks = [], [], []
    states = objective.first_states()
    for groups in steps_of(case):
        scored = accumulate_step(policy, reference, objective, groups, BUDGET, states=states, ranks=ranks)
        ranks.add_gradients(weights.values())
        norms.append(ranks.total(square_sum(weights.values())) ** 0.5)
        losses.append(scored.loss)
        sgd.step()
        sgd.zero_grad()
        states = objective.next_states(states, scored.scores, scored.labels)
        looks.append(score_step(Frozen(policy), reference, objective, groups, BUDGET, states=states, ranks=ranks).loss)
    whole = {name: sharding.full(each) for name, each in weights.items()}
    seen = {"norms": norms, "losses": losses, "looks": looks}
    return {name: torch.tensor(each, dtype=torch.float64) for name, each in seen.items()} | whole


def sums(ranks: Ranks) -> dict[str, Tensor]:
    """Gradients that every process has, that the last one has, and that none has; those that there are afterwards."""
    weights = {name: torch.nn.Parameter(torch.ones(3)) for name in ("every", "last", "none")}
    weights["every"].grad = torch.full((3,), 1.0 + ranks.index)
    if ranks.index == ranks.count - 1:
        weights["last"].grad = torch.full((3,), 5.0)
    ranks.add_gradients(weights.values())
    return {name: each.grad for name, each in weights.items() if each.grad is not None}


def main(out: Path) -> None:
    torch.set_num_threads(1)
    with joined() as ranks:
        found = sums(ranks)
        if ranks.is_first:
            save_file(found, out / "sums.safetensors")
    for spread in ("ddp", "fsdp"):
        with joined(in_step=spread == "fsdp") as ranks:
            for case in CASES:
                if case.spread == spread:
                    seen = walk(case, ranks)
                    if ranks.is_first:
                        save_file(seen, out / f"{case.name}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
