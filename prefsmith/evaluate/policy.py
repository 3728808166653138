"""A policy on fresh samples of its own: reward, KL to the reference, length, and whether its answers end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from prefsmith.data.encode import Encoder
from prefsmith.evaluate.kl import require_own_distribution, sequence_kl
from prefsmith.evaluate.points import SequenceKL
from prefsmith.evaluate.samples import Answer, draw
from prefsmith.feedback.reward import Reward
from prefsmith.model.generate import Sampling
from prefsmith.model.score import Frozen
from prefsmith.records import Completion, Group
from prefsmith.stats import Mean, Share, mean, wilson


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found.

    Every prompt is asked equally often and no other is meant, so that the samples are the trials: intervals are those
    of their mean, a little wide where prompts differ.

    Args:
        reward: mean reward.
        kl: mean KL to the reference in nats, both estimates.
        tokens: mean length, the end token included.
        ended: share that the policy ended itself.
        rewards: one for each answer.
        answers: those to one prompt side by side, in the order of the prompts.
    """

    reward: Mean
    kl: SequenceKL
    tokens: Mean
    ended: Share
    rewards: list[float]
    answers: list[Answer]


def measure_policy(
    policy: Frozen,
    reference: Frozen,
    encoder: Encoder,
    prompts: Sequence[Group],
    reward: Reward,
    sampling: Sampling,
    *,
    per_prompt: int,
    token_budget: int,
) -> Measured:
    """Draw answers to every prompt and measure them.

    Args:
        policy: that answers.
        reference: what it is compared with.
        encoder: of both.
        prompts: that are asked.
        reward: gives every answer a number.
        sampling: at temperature 1 with top_p 1; policies that are measured with one seed share their noise.
        per_prompt: answers to each; two in all at least.
        token_budget: most tokens of a forward.

    Raises:
        ConfigError: the answers would not be of the policy's own distribution.
        DataError: a prompt cannot be written for the model.
    """
    require_own_distribution(sampling)
    answers = draw(policy, encoder, prompts, sampling, per_prompt=per_prompt)
    rewards = [value for own in reward.rewards(as_groups(answers)) for value in own]
    ended = sum(answer.ended for answer in answers)
    return Measured(
        reward=mean(rewards),
        kl=sequence_kl(policy, reference, answers, sampling, token_budget=token_budget),
        tokens=mean([len(answer.ids) for answer in answers]),
        ended=wilson(ended, len(answers)),
        rewards=rewards,
        answers=answers,
    )


def as_groups(answers: Sequence[Answer]) -> list[Group]:
    """Neighbours that answer one prompt as one group with their texts as completions."""
    runs = (list(run) for _, run in groupby(answers, key=lambda answer: answer.group.id))
    return [replace(run[0].group, completions=tuple(Completion(each.text) for each in run)) for run in runs]
