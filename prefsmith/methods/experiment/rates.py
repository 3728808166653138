"""From answers over temperatures to win rates against the answers of the data, and to what the paper says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from prefsmith.evaluate.claims import Claim, claims
from prefsmith.evaluate.points import Arm
from prefsmith.evaluate.winrate import POINTS, WinRate, outcomes, win_rate
from prefsmith.feedback.scores import ScoreJudge
from prefsmith.feedback.world import TrueReward
from prefsmith.methods.experiment.judged import Sampled
from prefsmith.methods.experiment.settings import ExperimentConfig
from prefsmith.records import Completion, Group
from prefsmith.stats import Mean, Share, mean, wilson

JUDGE = "true reward"


@dataclass(frozen=True, slots=True)
class ArmRate:
    """A method at a temperature, against the answers of the data.

    Args:
        arm: what answered.
        temperature: that it was sampled at.
        rate: what was won, lost and tied, over all seeds.
        by_seed: the rate of each seed.
        reward: mean true reward of the answers.
        tokens: mean length, the end token included.
        ended: share of the answers that the policy ended itself.
    """

    arm: Arm
    temperature: float
    rate: WinRate
    by_seed: tuple[float, ...]
    reward: Mean
    tokens: Mean
    ended: Share

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        return {
            "arm": str(self.arm),
            "method": self.arm.method,
            "settings": dict(self.arm.settings),
            "temperature": self.temperature,
            **self.rate.as_dict(),
            "by_seed": list(self.by_seed),
            "reward": self.reward.as_dict(),
            "tokens": self.tokens.as_dict(),
            "ended": {"value": self.ended.value, "low": self.ended.low, "high": self.ended.high, "n": self.ended.n},
        }


@dataclass(frozen=True, slots=True)
class Rates:
    """Win rates of everything that is compared.

    Args:
        prompts: that were answered, over all seeds.
        temperatures: that answers were sampled at.
        baseline: mean true reward of the answers of the data.
        rates: by arm, then temperature.
        claims: of the DPO paper.
    """

    prompts: int
    temperatures: tuple[float, ...]
    baseline: Mean
    rates: tuple[ArmRate, ...]
    claims: tuple[Claim, ...]

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        return {
            "judge": JUDGE,
            "prompts": self.prompts,
            "temperatures": list(self.temperatures),
            "baseline": self.baseline.as_dict(),
            "rates": [each.as_dict() for each in self.rates],
            "claims": [each.as_dict() for each in self.claims],
        }


def win_rates(config: ExperimentConfig, answers: Mapping[int, Mapping[Arm, Sequence[Sampled]]]) -> Rates:
    """Compare every answer with that of the data.

    Args:
        config: of the experiment, with temperatures.
        answers: by seed and arm, at each temperature.
    """
    assert config.winrate is not None  # nobody asks otherwise
    prompts = {seed: config.asked("judged", seed) for seed in answers}
    own = [(seed, group) for seed, groups in prompts.items() for group in groups]
    first, temperatures = next(iter(answers.values())), tuple(config.winrate.temperatures)
    rates: list[ArmRate] = []
    scores: dict[Arm, np.ndarray] = {}
    for arm in first:
        columns = []
        for index, temperature in enumerate(temperatures):
            sampled = [answers[seed][arm][index] for seed in answers]
            judged = _judged(config, own, [text for each in sampled for text in each.texts])
            rates.append(_rate(arm, temperature, judged, sampled))
            columns.append(_points(judged))
        scores[arm] = np.array(columns).T
    baseline = [config.world.reward(str(group.prompt), group.completions[0].content) for _, group in own]
    found = claims(scores, temperatures, [group.prompt_key() for _, group in own])
    return Rates(len(own), temperatures, mean(baseline), tuple(rates), tuple(found))


def _judged(config: ExperimentConfig, prompts: Sequence[tuple[int, Group]], texts: Sequence[str]) -> list[Group]:
    """Pairs of an answer and that of the data, with the vote of the true reward."""
    pairs = [
        Group(f"{seed}-{group.id}", group.source, group.prompt, (Completion(text), *group.completions))
        for (seed, group), text in zip(prompts, texts, strict=True)
    ]
    votes = ScoreJudge(JUDGE, TrueReward(config.world).rewards).votes(pairs)
    return [replace(pair, votes=own) for pair, own in zip(pairs, votes, strict=True)]


def _rate(arm: Arm, temperature: float, judged: Sequence[Group], sampled: Sequence[Sampled]) -> ArmRate:
    points, each = _points(judged), len(judged) // len(sampled)
    ended = sum(part.ended for part in sampled)
    return ArmRate(
        arm=arm,
        temperature=temperature,
        rate=win_rate(outcomes(judged)),
        by_seed=tuple(sum(points[start : start + each]) / each for start in range(0, len(points), each)),
        reward=mean([reward for part in sampled for reward in part.rewards]),
        tokens=mean([float(count) for part in sampled for count in part.tokens]),
        ended=wilson(ended, len(judged)),
    )


def _points(judged: Sequence[Group]) -> list[float]:
    """One of each pair; a true reward is finite, so that none is without a verdict."""
    return [POINTS[each.verdict] for each in outcomes(judged) if each.verdict != "invalid"]
