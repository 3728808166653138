"""On-policy reinforcement learning without a critic: RLOO, REINFORCE with the other answers as baseline.

    R_i = r(x, y_i) - beta (log pi(y_i|x) - log pi_ref(y_i|x)),   y_1 ... y_k drawn from pi
    gradient of  E[r] - beta KL(pi || pi_ref)  =  E[ 1/k sum_i (R_i - mean of the other R_j) grad log pi(y_i|x) ]

The KL is a penalty in the reward, by the log-ratio of the whole answer, as the paper has it; what it adds to the
gradient by its own dependence on pi has expectation zero. Answers are drawn anew for every step, at temperature 1 from
the weights that the step moves, so that there is no importance weight and nothing to clip.

Source: Ahmadian et al. 2024, arXiv:2402.14740, eq. 6 to 9 (after Kool et al. 2019). PPO, with its critic and its
clipping, is not here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import torch
from jaxtyping import Float64
from torch import Tensor

from prefsmith.config import OptimConfig
from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import pack, plan
from prefsmith.errors import ConfigError
from prefsmith.evaluate.samples import Answer, as_group, draw
from prefsmith.feedback.reward import Reward
from prefsmith.model.generate import Sampling
from prefsmith.model.logprobs import sum_per_sequence
from prefsmith.model.score import Frozen, Scorer
from prefsmith.records import Completion, Group
from prefsmith.train.monitor import require_finite
from prefsmith.train.optim import Optimizer
from prefsmith.types import Nats, TokenScores, TokenSlopes

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rloo:
    """How to learn.

    Args:
        beta: nats of reward that a nat of KL costs; 0 or above.
        steps: optimiser steps, each on answers of its own.
        prompts: prompts of a step, drawn without regard to the steps before.
        answers: to each prompt, at least 2: each is compared with the others.
        max_new_tokens: most tokens of an answer, its end token included.
        optim: learning rate, schedule, clipping. Default: 1e-6, constant.
        seed: of prompts and answers.
        token_budget: most tokens of a forward.

    Raises:
        ConfigError: a number is outside its range.
    """

    beta: float
    steps: int
    prompts: int = 16
    answers: int = 4
    max_new_tokens: int = 128
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(learning_rate=1e-6, schedule="constant"))
    seed: int = 0
    token_budget: int = 8192

    def __post_init__(self) -> None:
        wrong = (
            ("beta", "0 or above", 0 <= self.beta < math.inf),
            ("steps", "at least 1", self.steps >= 1),
            ("prompts", "at least 1", self.prompts >= 1),
            ("answers", "at least 2, since each is compared with the others", self.answers >= 2),
            ("optim.learning_rate", "a number", self.optim.learning_rate is not None),
        )
        for name, wanted, holds in wrong:
            if not holds:
                value = getattr(self, name, self.optim.learning_rate)
                what = f"{name} is {value}, and must be {wanted}"
                raise ConfigError("rl.value", what, where=name, fix=f"{name}: {wanted}")


def rloo(
    policy: Scorer,
    reference: Frozen,
    encoder: Encoder,
    prompts: Sequence[Group],
    reward: Reward,
    settings: Rloo,
    *,
    watch: Callable[[Row, int], None] = lambda row, steps: None,
) -> None:
    """Train a policy on rewards of its own answers.

    Args:
        policy: moved in place, as far as its weights require gradients.
        reference: what it pays to leave.
        encoder: of the policy.
        prompts: rows whose prompts are asked.
        reward: gives every answer a number.
        settings: how.
        watch: is given a row of metrics after every step, and the number of steps.

    Raises:
        DataError: a prompt cannot be written for the model.
        TrainingError: a reward, the loss or the gradient is not finite; the weights are as before the step.
    """
    rate = settings.optim.learning_rate
    assert rate is not None  # checked where the settings are made
    optimizer = Optimizer(policy.model, settings.optim, peak=rate, steps=settings.steps)
    for number in range(1, settings.steps + 1):
        asked = _asked(prompts, settings, number)
        sampling = Sampling(settings.max_new_tokens, seed=_seed(settings.seed, number), batch_size=512)
        answers = draw(Frozen(policy), encoder, asked, sampling, per_prompt=settings.answers)
        judged = reward.rewards(_with_answers(asked, answers, settings.answers))
        found = accumulate(policy, reference, answers, torch.tensor(judged, dtype=torch.float64), settings)
        norm = optimizer.clip()
        require_finite(number, found.loss, norm, [group.source for group in asked])
        learning_rate = optimizer.step(number)
        row = {**found.as_row(), "grad_norm": norm, "learning_rate": learning_rate}
        watch({"step": number, **row}, settings.steps)


@dataclass(frozen=True, slots=True)
class Found:
    """What a step's answers were worth."""

    loss: float
    rewards: Float64[Tensor, "prompt answer"]
    log_ratio: Float64[Tensor, "prompt answer"]
    tokens: int
    ended: float

    def as_row(self) -> dict[str, object]:
        """The part of a row of metrics that comes from answers."""
        return {
            "loss": self.loss,
            "reward": float(self.rewards.mean()),
            "kl_sampled": float(self.log_ratio.mean()),
            "answers": self.rewards.numel(),
            "tokens": self.tokens,
            "ended": self.ended,
        }


def accumulate(
    policy: Scorer,
    reference: Frozen,
    answers: Sequence[Answer],
    rewards: Float64[Tensor, "prompt answer"],
    settings: Rloo,
) -> Found:
    """Add to the policy's gradients that of minus the objective, estimated from a step's answers.

    Args:
        policy: that drew the answers.
        reference: what it pays to leave.
        answers: those to one prompt side by side.
        rewards: of the answers.
        settings: how.
    """
    groups = [as_group(own) for own in _by_prompt(answers, settings.answers)]
    parts: list[_Advantages] = []
    for members in plan(groups, settings.token_budget):
        part = [groups[index] for index in members]
        own = _Advantages(part, rewards[members], reference, settings.beta, rewards.numel())
        policy.accumulate(own.batch, own)
        parts.append(own)
    return Found(
        loss=math.fsum(each.loss for each in parts),
        rewards=rewards,
        log_ratio=torch.cat([ratio for each in parts for ratio in each.log_ratios]),
        tokens=sum(len(answer.ids) for answer in answers),
        ended=sum(answer.ended for answer in answers) / len(answers),
    )


class _Advantages:
    """Derivative of the loss by the log-probability of each token: minus its answer's advantage, over all answers.

    Args:
        groups: of a micro-batch.
        rewards: of their answers.
        reference: what the policy pays to leave.
        beta: how much.
        count: answers of the whole step.
    """

    def __init__(
        self,
        groups: Sequence[EncodedGroup],
        rewards: Float64[Tensor, "prompt answer"],
        reference: Frozen,
        beta: float,
        count: int,
    ) -> None:
        self.batch, self.rewards, self.beta, self.count = pack(groups), rewards, beta, count
        self.lengths = torch.tensor([[len(each.ids) for each in group.completions] for group in groups])
        self.reference: Nats = sum_per_sequence(reference.token_nats(self.batch), self.lengths.flatten())
        self.log_ratios: list[Tensor] = []
        self.loss = 0.0

    def __call__(self, tokens: TokenScores, members: slice) -> TokenSlopes:
        lengths, rewards = self.lengths[members], self.rewards[members]
        policy = sum_per_sequence(tokens.policy, lengths.flatten())
        log_ratio = (policy - self.reference.reshape(self.lengths.shape)[members].flatten()).reshape(lengths.shape)
        advantage = leave_one_out(rewards - self.beta * log_ratio)
        slopes = -advantage.flatten() / self.count
        self.log_ratios.append(log_ratio)
        self.loss += float((slopes * policy).sum())
        return TokenSlopes(torch.repeat_interleave(slopes, lengths.flatten()))


def leave_one_out(returns: Float64[Tensor, "prompt answer"]) -> Float64[Tensor, "prompt answer"]:
    """Each return less the mean of the others to its prompt: a baseline that does not depend on the answer itself."""
    others = returns.shape[1] - 1
    return returns - (returns.sum(1, keepdim=True) - returns) / others


def _asked(prompts: Sequence[Group], settings: Rloo, number: int) -> list[Group]:
    """The prompts of a step; one that is drawn twice is asked twice, apart."""
    drawn = Random(_seed(settings.seed, number)).choices(prompts, k=settings.prompts)
    return [replace(group, id=f"{group.id}#{place}") for place, group in enumerate(drawn)]


def _with_answers(asked: Sequence[Group], answers: Sequence[Answer], each: int) -> list[Group]:
    return [
        replace(group, completions=tuple(Completion(answer.text) for answer in own))
        for group, own in zip(asked, _by_prompt(answers, each), strict=True)
    ]


def _by_prompt(answers: Sequence[Answer], each: int) -> list[Sequence[Answer]]:
    return [answers[start : start + each] for start in range(0, len(answers), each)]


def _seed(seed: int, number: int) -> int:
    """One for each step; no two runs of neighbouring seeds share any."""
    return seed * 1_000_003 + number
