"""The controlled experiment in small: a world in which the true reward is known, so that "better" can be measured.

Reviews from a grammar; a small model trained on them from scratch; samples of it, judged by Bradley-Terry on the true
reward; DPO; then reward and KL on fresh samples, beside the best reward that any policy could have at that KL. Nothing
is special to it but its corpus and its reward: every part is what a run on other data uses.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prefsmith import report
from prefsmith.config import RunConfig
from prefsmith.evaluate.frontier import Best, best_at, curve
from prefsmith.evaluate.policy import measure_policy
from prefsmith.evaluate.reader import Reader, open_reader
from prefsmith.evaluate.samples import Answer
from prefsmith.feedback.reviews import Reviews, true_reward
from prefsmith.feedback.world import TrueReward
from prefsmith.methods.experiment.world import (
    BATCH,
    TOKEN_BUDGET,
    judged_answers,
    learn,
    one_thread,
    quiet,
    write_answers,
    write_rows,
    write_text,
)
from prefsmith.model.generate import Sampling
from prefsmith.run import Watch, fit
from prefsmith.stats import Mean, Share, mean, wilson
from prefsmith.train.folder import free_folder

Say = Callable[[str], None]

WORLD = Reviews()
BETA = 1.0
REVIEWS = 8_000
SFT_STEPS, DPO_STEPS = 600, 180
ANSWERS = 4  # to each prompt, all of them compared
JUDGED_PROMPTS = 168  # times each of the grammar's twelve
MEASURED, FRONTIER = 200, 1_500  # samples of each of the twelve


@dataclass(frozen=True, slots=True)
class Measured:
    """A policy on fresh samples. `rewards` has one per sample, in the order of the prompts."""

    reward: Mean
    kl: Mean
    grammatical: Share
    rewards: list[float]
    answers: list[Answer]


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo found.

    Args:
        folder: the run's, with its report.
        before: the model that DPO started from.
        after: the trained one, on the same prompts with the same noise.
        gain: of reward, by pairs of samples that share their noise.
        best: the best that any policy could have at the KL of `after`.
        seconds: of it all.
    """

    folder: Path
    before: Measured
    after: Measured
    gain: Mean
    best: Best
    seconds: float


def demo(out: Path | None, *, seed: int = 0, say: Say = print, watch: Watch | None = None) -> Demo:
    """Run the experiment.

    Args:
        out: folder for everything. Default: the first free runs/demo.
        seed: of corpus, weights, samples and labels; the same seed gives the same numbers.
        say: is given a line at a time.
        watch: is given every row of metrics, as in `fit`.

    Raises:
        ConfigError: the folder is not empty.
        TrainingError: the disk is full or fails.
    """
    started = time.perf_counter()
    folder = free_folder(out, "runs/demo")
    with one_thread():
        say(f"1/5  A corpus: {REVIEWS:,} short reviews from a grammar, whose true reward is known")
        say("2/5  A small language model learns the corpus from scratch (sft)")
        sft = learn(
            WORLD, folder, examples=REVIEWS, steps=SFT_STEPS, per_step=96, learning_rate=3e-3, seed=seed, watch=watch
        )
        say("3/5  It writes answers; a judge that errs compares them (Bradley-Terry on the true reward)")
        reader = open_reader(sft, device="cpu")
        judged = judged_answers(WORLD, reader, WORLD.prompts(), asked=JUDGED_PROMPTS, answers=ANSWERS, seed=seed + 1)
        pairs = write_rows(folder / "pairs.jsonl", [each.as_row() for each in judged])
        right = sum(each.gap > 0 for each in judged) / len(judged)
        say(f"     {len(judged):,} pairs; {right:.0%} of the verdicts agree with the reward")
        say(f"4/5  DPO, beta {BETA:g}")
        dpo = fit(_dpo(sft, pairs, folder / "dpo", seed), say=quiet, watch=watch).folder
        say("5/5  Fresh samples of both, against the best that any policy could have")
        before, after, frontier = _measure(sft, dpo / "model", seed)
    gain = mean([new - old for new, old in zip(after.rewards, before.rewards, strict=True)])
    best = best_at(frontier, after.kl.value)
    evidence = _evidence(before, after, curve(frontier, max(3.0, 1.5 * after.kl.value)))
    write_text(dpo / "evidence.json", json.dumps(evidence, indent=1))
    report.write(dpo)
    return Demo(dpo, before, after, gain, best, time.perf_counter() - started)


def summary(found: Demo) -> Iterator[str]:
    """The table at the end, a line at a time."""
    before, after = found.before, found.after
    start = before.reward.value
    share = (after.reward.value - start) / max(found.best.reward - start, 1e-9)
    n = f"{after.reward.n:,} fresh samples each, 95 % intervals"
    yield f"{n:<44} {'before':<20} after"
    for name, old, new in (
        ("mean true reward", _interval(before.reward), _interval(after.reward)),
        ("KL to the reference, nats", "0", _interval(after.kl)),
        ("best reward of any policy at that KL", "", f"{found.best.reward:+.2f}"),
        ("samples that are grammatical", _interval(before.grammatical), _interval(after.grammatical)),
    ):
        yield f"  {name:<42} {old:<20} {new}"
    yield (
        f"The reward rose by {found.gain.value:+.2f} [{found.gain.low:+.2f}, {found.gain.high:+.2f}]: "
        f"{share:.0%} of what that KL can buy."
    )
    yield "Samples of both with the same random numbers, from across the prompts:"
    pairs = zip(before.answers, after.answers, strict=True)
    different = [(old, new) for old, new in pairs if old.text != new.text and old.ended and new.ended]
    for old, new in different[:: max(1, len(different) // 3)][:3]:
        yield f"  {old.group.prompt} ...{old.text}"
        yield f"  {'':{len(str(old.group.prompt))}}  ->{new.text}"


def _dpo(model: Path, pairs: Path, out: Path, seed: int) -> RunConfig:
    return RunConfig.model_validate(
        {
            "model": {"path": str(model), "device": "cpu"},
            "data": {"train": str(pairs), "eval_fraction": 0.08},
            "loss": {"name": "dpo", "beta": BETA},
            "optim": {"learning_rate": 5e-4},
            "train": {"pairs_per_step": 64, "epochs": 2, "max_steps": DPO_STEPS, "seed": seed},
            "checkpoint": {"every": 1000, "keep": 1},
            "evaluate": {"every": 50, "sample_tokens": WORLD.longest},
            "out": str(out),
        }
    )


def _measure(before: Path, after: Path, seed: int) -> tuple[Measured, Measured, np.ndarray]:
    reference, policy = open_reader(before, device="cpu"), open_reader(after, device="cpu")
    sampling = Sampling(max_new_tokens=WORLD.longest, seed=seed + 2, batch_size=BATCH)
    prompts, reward = WORLD.prompts(), TrueReward(WORLD)

    def measured(reader: Reader) -> Measured:
        models = reader.model, reference.model
        found = measure_policy(
            *models, reader.encoder, prompts, reward, sampling, per_prompt=MEASURED, token_budget=TOKEN_BUDGET
        )
        good = [each.ended and WORLD.well_formed(str(each.group.prompt), each.text) for each in found.answers]
        grammatical = wilson(sum(good), len(found.answers))
        return Measured(found.reward, found.kl.averaged, grammatical, found.rewards, found.answers)

    many = write_answers(WORLD, reference, prompts, per_prompt=FRONTIER, seed=seed + 3)
    rewards = np.array([true_reward(answer.text) for answer in many]).reshape(len(prompts), FRONTIER)
    return measured(reference), measured(policy), rewards


def _evidence(before: Measured, after: Measured, frontier: Sequence[Best]) -> dict[str, object]:
    """As the report reads it."""
    points = [
        {
            "name": name,
            "reward": each.reward.value,
            "reward_low": each.reward.low,
            "reward_high": each.reward.high,
            "kl": each.kl.value,
            "kl_low": each.kl.low,
            "kl_high": each.kl.high,
            "n": each.reward.n,
        }
        for name, each in (("before", before), ("after DPO", after))
    ]
    measures = [
        {"name": name, "before": _numbers(old), "after": _numbers(new), "unit": unit}
        for name, old, new, unit in (
            ("mean true reward", before.reward, after.reward, "nats"),
            ("KL to the reference", before.kl, after.kl, "nats"),
            ("samples that are grammatical", before.grammatical, after.grammatical, "share"),
        )
    ]
    best = [[each.kl, each.reward] for each in frontier]
    return {
        "frontier": {"reward": "true reward of the grammar", "points": points, "best": best},
        "measures": measures,
        "samples": [
            {"prompt": str(old.group.prompt), "before": old.text, "after": new.text}
            for old, new in list(zip(before.answers, after.answers, strict=True))[::MEASURED]
        ],
    }


def _numbers(value: Mean | Share) -> dict[str, float]:
    return {"value": value.value, "low": value.low, "high": value.high, "n": value.n}


def _interval(value: Mean | Share) -> str:
    sign = "+" if isinstance(value, Mean) else ""
    return f"{value.value:{sign}.2f} [{value.low:{sign}.2f}, {value.high:{sign}.2f}]"
