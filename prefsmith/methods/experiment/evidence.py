"""From what was read of every seed and arm to points, criteria, findings, and evidence.json."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np

from prefsmith.evaluate.best_of import best_of
from prefsmith.evaluate.criteria import Check, Ground, Table, checks
from prefsmith.evaluate.frontier import Best, Rewards, best_at, tilted
from prefsmith.evaluate.points import Arm, Average, Point, averages, endpoints
from prefsmith.methods.experiment.arms import REFERENCE, Reading
from prefsmith.methods.experiment.beside import best_curve
from prefsmith.methods.experiment.judged import Sampled
from prefsmith.methods.experiment.rates import Rates, win_rates
from prefsmith.methods.experiment.seed import Learned, Start
from prefsmith.methods.experiment.settings import BEST_OF_N, RLOO, ExperimentConfig
from prefsmith.stats import Mean, Share, mean


@dataclass(frozen=True, slots=True)
class SeedFound:
    """Everything that was found with a seed.

    Args:
        start: what it began with.
        learned: the reward model; None where no method uses one.
        readings: of every trained arm, and of the start.
        digests: sha256 of the start's weights and of the pairs.
        answers: of every arm over temperatures; none where no win rates are measured.
    """

    start: Start
    learned: Learned | None
    readings: Mapping[Arm, Sequence[Reading]]
    digests: Mapping[str, str]
    answers: Mapping[Arm, Sequence[Sampled]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Experiment:
    """What an experiment found.

    Args:
        config: its settings.
        seeds: by seed.
        points: of every arm, step and seed; those of the start have step 0.
        grounds: by seed.
        checks: the criteria.
        rates: win rates over temperatures; None where none are measured.
    """

    config: ExperimentConfig
    seeds: Mapping[int, SeedFound]
    points: tuple[Point, ...]
    grounds: Mapping[int, Ground]
    checks: tuple[Check, ...]
    rates: Rates | None = None

    @property
    def ends(self) -> list[Average]:
        """The last point of every arm, over seeds."""
        return endpoints(averages(self.points))


def gather(config: ExperimentConfig, seeds: Mapping[int, SeedFound]) -> Experiment:
    """Put every reading beside the frontier of its own seed."""
    grounds = {seed: _ground(config, np.array(found.start.rewards)) for seed, found in seeds.items()}
    points = [
        point
        for arm in (REFERENCE, *config.arms())
        for seed, found in seeds.items()
        for point in _points(arm, seed, found, grounds[seed])
    ]
    held = tuple(check for check in checks(points, grounds) if check.name in config.world.criteria)
    rates = None if config.winrate is None else win_rates(config, {seed: each.answers for seed, each in seeds.items()})
    return Experiment(config, seeds, tuple(points), grounds, held, rates)


def _ground(config: ExperimentConfig, rewards: Rewards) -> Ground:
    start = mean(rewards.ravel().tolist())
    return Ground(start, best_curve(rewards), {beta: tilted(rewards, beta) for beta in config.betas})


def _points(arm: Arm, seed: int, found: SeedFound, ground: Ground) -> list[Point]:
    rewards = np.array(found.start.rewards)
    if arm.method != BEST_OF_N:
        return [_point(arm, seed, each, rewards, ground) for each in found.readings[arm]]
    n = arm.setting("n")
    assert isinstance(n, float)  # the settings refuse anything else
    learned = found.learned if arm.setting("reward") == "learned" else None
    scores = None if learned is None else np.array(learned.scores)
    best = best_of(rewards, int(n), scores)
    there = _best_there(rewards, best.kl, ground)
    kl = Mean(best.kl, best.kl, best.kl, rewards.size)
    return [Point(arm, seed, 0, best.reward, kl, there.reward, there.beta, ground.reward.value, most_kl=best.most_kl)]


def _point(arm: Arm, seed: int, reading: Reading, rewards: Rewards, ground: Ground) -> Point:
    kl = reading.kl.averaged
    there = _best_there(rewards, kl.value, ground)
    return Point(
        arm=arm,
        seed=seed,
        step=reading.step,
        reward=reading.reward,
        kl=kl,
        best=there.reward,
        beta=there.beta,
        start=ground.reward.value,
        sequence_kl=reading.kl,
        tokens=reading.tokens,
        ended=reading.ended,
    )


def _best_there(rewards: Rewards, kl: float, ground: Ground) -> Best:
    """The best at a KL; at none it is the reference itself, where no nat is left to be spent."""
    return best_at(rewards, kl) if kl > 0 else Best(0.0, ground.reward.value, 0.0)


def findings(found: Experiment) -> list[dict[str, str]]:
    """What the numbers mean, as far as they can tell."""
    table = Table(found.points, found.grounds)
    said = [*_against_on_policy(table), *_learned_reward(found, table), *_fine_tuning(table)]
    said.append(_finding("note", _asked(found.config)))
    return said


def _asked(config: ExperimentConfig) -> str:
    if config.prompts is None:
        count = len(config.asked("measured", config.seeds[0]))
        return (
            f"The grammar has {count} prompts, and each is asked equally often: intervals are of answers to "
            "these, and nothing is said of other prompts."
        )
    return (
        f"Reward and KL are of {config.prompts.measured} prompts of which none was learnt from, and each is asked "
        "equally often: intervals are of answers to these."
    )


def _against_on_policy(table: Table) -> list[dict[str, str]]:
    """Whether DPO is above on-policy learning on the true reward, as the DPO paper's figure has it.

    Noise is twice the standard error of the difference.
    """
    sides = [
        (end, ours) for end in table.of(RLOO, reward="task") if (ours := table.between("dpo", end.kl.value)) is not None
    ]
    if not sides:
        return []
    noise = [2 * math.hypot(ours.error, end.error) for end, ours in sides]
    gaps = [ours.value - end.reward.value for end, ours in sides]
    numbers = "; ".join(
        f"at KL {end.kl.value:.2f} DPO {ours.value:.2f}, RLOO {end.reward.value:.2f}, noise {room:.2f}"
        for (end, ours), room in zip(sides, noise, strict=True)
    )
    if all(gap > room for gap, room in zip(gaps, noise, strict=True)):
        return [_finding("note", f"DPO lies above RLOO on the true reward at the same KL: {numbers}.")]
    if all(gap >= -room for gap, room in zip(gaps, noise, strict=True)):
        what = f"Noise does not tell whether DPO lies above RLOO on the true reward at the same KL: {numbers}."
        return [_finding("note", what)]
    return [
        _finding(
            "note",
            f"DPO does not lie above on-policy learning on the true reward: {numbers}. The figure of the DPO paper "
            "(arXiv:2305.18290) has DPO above PPO even with the true reward; here that learner is RLOO, which ends at "
            "the closed form, and DPO learns from a finite number of verdicts that err.",
        )
    ]


def _learned_reward(found: Experiment, table: Table) -> list[dict[str, str]]:
    learned = [seed.learned for seed in found.seeds.values() if seed.learned is not None]
    said = [
        f"at beta {end.arm.setting('beta'):g} {end.reward.value:.2f} at KL {end.kl.value:.2f}, "
        f"{end.below:.2f} below the frontier"
        for end in table.of(RLOO, reward="learned")
    ]
    if not learned or not said:
        return []
    alike = float(np.mean([each.correlation for each in learned]))
    text = (
        f"A reward learned from the same pairs, which correlates {alike:.2f} with the true one, takes RLOO to true "
        f"reward {'; '.join(said)}."
    )
    return [_finding("note", text)]


def _fine_tuning(table: Table) -> list[dict[str, str]]:
    tuned = table.of("sft")
    if not tuned:
        return []
    end = tuned[0]
    text = f"Fine-tuning on chosen stops at reward {end.reward.value:.2f} and KL {end.kl.value:.2f}: it imitates the "
    return [_finding("note", f"{text}better half of the start's own answers, and no setting takes it further.")]


def as_json(found: Experiment) -> dict[str, object]:
    """As evidence.json has it: the same settings and seeds give the same bytes, whoever did the work."""
    return {
        "kind": "frontier",
        "version": 1,
        "recipe": found.config.model_dump(mode="json", exclude={"workers"}),
        "versions": {name: version(name) for name in ("prefsmith", "torch", "transformers", "numpy")},
        "criteria": [
            {"name": each.name, "claim": each.claim, "passed": each.passed, "found": each.found}
            for each in found.checks
        ],
        "findings": findings(found),
        "ends": [_average(each) for each in found.ends],
        "seeds": [_seed(seed, each, found.grounds[seed]) for seed, each in found.seeds.items()],
        "points": [_point_row(point, found) for point in found.points],
        **({} if found.rates is None else {"winrates": found.rates.as_dict()}),
    }


def _average(end: Average) -> dict[str, object]:
    return {
        "arm": str(end.arm),
        "method": end.arm.method,
        "settings": dict(end.arm.settings),
        "step": end.step,
        "seeds": len(end.points),
        "reward": end.reward.as_dict(),
        "kl": end.kl.as_dict(),
        "best": end.best,
        "below": end.below,
        "below_error": end.error,
        "efficiency": end.efficiency,
        "tokens": end.tokens,
        "most_kl": end.points[0].most_kl,
        "by_seed": [point.reward.value for point in end.points],
    }


def _seed(seed: int, found: SeedFound, ground: Ground) -> dict[str, object]:
    learned = found.learned
    return {
        "seed": seed,
        "sha256": dict(found.digests),
        "pairs": found.start.pairs,
        "verdicts_right": found.start.right,
        "reward": ground.reward.as_dict(),
        "frontier": [[each.kl, each.reward] for each in ground.curve],
        "closed_form": [{"beta": beta, "kl": at.kl, "reward": at.reward} for beta, at in ground.at.items()],
        "reward_model": None
        if learned is None
        else {
            "accuracy": None if learned.accuracy is None else _share(learned.accuracy),
            "correlation": learned.correlation,
            "step": learned.step,
        },
    }


def _point_row(point: Point, found: Experiment) -> dict[str, object]:
    kl = point.sequence_kl
    row: dict[str, object] = {
        "arm": str(point.arm),
        "seed": point.seed,
        "step": point.step,
        "reward": point.reward.as_dict(),
        "kl": point.kl.as_dict(),
        "best": point.best,
        "below": point.below,
        "below_error": point.error,
        "efficiency": point.efficiency,
    }
    if kl is not None:
        row["kl_sampled"], row["kl_gap"] = kl.sampled.as_dict(), kl.gap.as_dict()
        row["kl_errors"] = {"averaged": kl.averaged.error, "sampled": kl.sampled.error, "gap": kl.gap.error}
        readings = found.seeds[point.seed].readings[point.arm]
        own = next(each for each in readings if each.step == point.step)
        row["tokens"], row["ended"] = own.tokens.as_dict(), _share(own.ended)
        row["grammatical"], row["sample"] = _share(own.grammatical), own.sample
    return row


def _share(value: Share) -> dict[str, float]:
    return {"value": value.value, "low": value.low, "high": value.high, "n": value.n}


def _finding(severity: str, what: str, fix: str = "") -> dict[str, str]:
    return {"severity": severity, "what": what, "fix": fix}
