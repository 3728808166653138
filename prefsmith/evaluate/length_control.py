"""The win rate that a side would have if its answers were as long as the other's: judges like long answers.

A logistic regression splits every verdict into three parts; the rate is then taken without the one of length.

    logit P(win on x) = theta + phi tanh((length - other length) / scale) + psi difficulty(x)
    rate = mean over x of s(theta + psi difficulty(x)),   s the logistic function

`scale` is the standard deviation of the differences in length. `difficulty` is how much more than elsewhere the sides
win on a prompt, whoever of them answers: above zero it is easy to win on (the name is AlpacaEval's). It takes several
sides that answered the same prompts to know it, and is left out otherwise. Verdicts may be soft: 1 a win, 0 a loss, 1/2
a tie, and any probability between.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int

from prefsmith.evaluate.bootstrap import DRAWS, Counts, Interval, Numbers, PerDraw, Values, clustered

Columns = Float64[np.ndarray, "value column"]
PerValue = Float64[np.ndarray, " value"]
Index = Int[np.ndarray, " value"]

RIDGE = 1e-2
"""Half of this times the squared coefficients is added to the loss of all rows: it moves nothing that is known, and
keeps finite what is not (a side that wins always)."""
RIDGE_DIFFICULTY = 1.0
"""The same for a prompt's difficulty, of which a few rows know: as if difficulties were drawn with variance 1."""
BEYOND = 0.95
"""Share of pairs with answers on one side of equal length, from which on equal length is beyond what was seen."""
_STEP, _ROUNDS, _SMALL = 3.0, 200, 1e-10


@dataclass(frozen=True, slots=True)
class LengthControlled:
    """A win rate at equal lengths.

    Args:
        rate: with its interval over prompts; the ends are NaN where every pair came out alike.
        strength: theta, in nats.
        length: phi, in nats: above zero where longer answers win.
        difficulty: psi; None where difficulties are not known.
        scale: characters (or what lengths are in) of one standard deviation of the difference; 0 where lengths are
            always equal, and then nothing is controlled for.
        longer: mean difference, this side less the other.
        shorter_share: share of pairs in which this side's answer is the shorter one.
        longer_share: share of pairs in which it is the longer one.
    """

    rate: Interval
    strength: float
    length: float
    difficulty: float | None
    scale: float
    longer: float
    shorter_share: float
    longer_share: float

    def warnings(self) -> list[str]:
        """What a reader must know before the number is used."""
        for word, share in (("shorter", self.shorter_share), ("longer", self.longer_share)):
            if share >= BEYOND:
                return [f"{share:.0%} of the answers are {word} than the other side's: equal lengths are a guess"]
        return []

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        names = ("strength", "length", "difficulty", "scale", "longer", "shorter_share", "longer_share")
        numbers = {name: getattr(self, name) for name in names}
        return {"rate": self.rate.as_dict(), **numbers, "warnings": self.warnings()}


def length_controlled(
    scores: Numbers,
    lengths: Numbers,
    other_lengths: Numbers,
    prompts: Sequence[str],
    *,
    difficulty: Mapping[str, float] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> LengthControlled:
    """The win rate of one side at equal lengths; the model is fitted anew to each draw of prompts.

    Args:
        scores: of each pair, in [0, 1]; pairs without a verdict are left out before. At least one.
        lengths: of this side's answers.
        other_lengths: of the other's.
        prompts: key of the prompt of each pair.
        difficulty: of each prompt, from `difficulties`.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Source:
        Dubois et al. 2024, arXiv:2404.04475, section 3. There difficulties come from all models of a leaderboard and
        are fixed; the fit is penalised by cross-validation. Here a small fixed ridge is enough.
    """
    wanted = np.asarray(scores, dtype=np.float64)
    differences = np.asarray(lengths, dtype=np.float64) - np.asarray(other_lengths, dtype=np.float64)
    scale = float(differences.std())
    parts = [np.ones_like(wanted), standardised(differences)]
    if difficulty is not None:
        parts.append(np.array([difficulty[prompt] for prompt in prompts]))
    table = np.column_stack([wanted, *parts])
    found = _fit(table[:, 1:], wanted, np.ones((1, len(wanted))))[0]
    rate = clustered(table, prompts, statistic=rate_at_equal_length, draws=draws, seed=seed)
    if wanted.min() == wanted.max():  # every draw is the same, and that is no certainty
        rate = replace(rate, low=math.nan, high=math.nan)
    return LengthControlled(
        rate=rate,
        strength=float(found[0]),
        length=float(found[1]),
        difficulty=float(found[2]) if difficulty is not None else None,
        scale=scale,
        longer=float(differences.mean()),
        shorter_share=float((differences < 0).mean()),
        longer_share=float((differences > 0).mean()),
    )


def standardised(differences: PerValue) -> PerValue:
    """tanh of the differences in standard deviations; zeros where they are all equal to zero.

    The mean is not taken off: equal lengths must be at zero.
    """
    scale = float(differences.std())
    if scale == 0:
        return np.sign(differences) * np.tanh(1.0)
    return np.tanh(differences / scale)


def rate_at_equal_length(values: Values, counts: Counts) -> PerDraw:
    """The rate of each draw: fitted to it, and averaged over it without the part of length.

    Args:
        values: columns score, 1, standardised length, and difficulty where it is known.
        counts: how often each row is in each draw.
    """
    coefficients = _fit(values[:, 1:], values[:, 0], counts)
    equal = values[:, 1:].copy()
    equal[:, 1] = 0
    rates = _logistic(coefficients @ equal.T)
    return (rates * counts).sum(axis=1) / counts.sum(axis=1)


def difficulties(
    scores: Sequence[Numbers], standardised_lengths: Sequence[Numbers], prompts: Sequence[Sequence[str]]
) -> dict[str, float] | None:
    """How much more than elsewhere the sides win on each prompt, whoever answers: one regression over several sides.

        logit P(side m wins on x) = theta_m + phi_m tanh(standardised length) + gamma_x

    Args:
        scores: of each side, those of its pairs.
        standardised_lengths: likewise.
        prompts: likewise, the key of each pair's prompt.

    Returns:
        gamma of each prompt, above zero where the sides win more than elsewhere; None with fewer than two sides, whose
        verdicts cannot tell a prompt from a side.
    """
    sides = len(scores)
    if sides < 2:
        return None
    keys = {key: number for number, key in enumerate(dict.fromkeys(key for each in prompts for key in each))}
    side = np.concatenate([np.full(len(each), number) for number, each in enumerate(prompts)])
    prompt = np.array([keys[key] for each in prompts for key in each])
    wanted = np.concatenate([np.asarray(each, dtype=np.float64) for each in scores])
    length = np.concatenate([np.asarray(each, dtype=np.float64) for each in standardised_lengths])
    columns = np.zeros((len(wanted), 2 * sides))
    columns[np.arange(len(wanted)), side] = 1
    columns[np.arange(len(wanted)), sides + side] = length
    return dict(zip(keys, _fit_jointly(columns, prompt, wanted, len(keys)).tolist(), strict=True))


def _fit(columns: Columns, wanted: PerValue, counts: Counts) -> Float64[np.ndarray, "draw column"]:
    """Coefficients of each draw, by Newton's steps on all of them at once."""
    width = columns.shape[1]
    products = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), width * width)
    found = np.zeros((len(counts), width))
    for _ in range(_ROUNDS):
        chance = _logistic(found @ columns.T)
        slope = (counts * (wanted - chance)) @ columns - RIDGE * found
        bend = ((counts * chance * (1 - chance)) @ products).reshape(-1, width, width) + RIDGE * np.eye(width)
        step = _bounded(np.linalg.solve(bend, slope[:, :, None])[:, :, 0])
        found += step
        if np.abs(step).max() < _SMALL:
            break
    return found


def _fit_jointly(columns: Columns, prompt: Index, wanted: PerValue, prompts: int) -> Float64[np.ndarray, " prompt"]:
    """The prompts' part of a regression with a coefficient for each prompt; its block is diagonal and eliminated."""
    width = columns.shape[1]
    found, own = np.zeros(width), np.zeros(prompts)
    for _ in range(_ROUNDS):
        chance = _logistic(columns @ found + own[prompt])
        weight, rest = chance * (1 - chance), wanted - chance
        slope = columns.T @ rest - RIDGE * found
        own_slope = np.bincount(prompt, rest, prompts) - RIDGE_DIFFICULTY * own
        own_bend = np.bincount(prompt, weight, prompts) + RIDGE_DIFFICULTY
        cross = np.zeros((prompts, width))
        np.add.at(cross, prompt, columns * weight[:, None])
        bend = columns.T @ (columns * weight[:, None]) + RIDGE * np.eye(width) - cross.T @ (cross / own_bend[:, None])
        step = np.linalg.solve(bend, slope - cross.T @ (own_slope / own_bend))
        own_step = (own_slope - cross @ step) / own_bend
        both = _bounded(np.concatenate([step, own_step])[None])[0]
        found, own = found + both[:width], own + both[width:]
        if np.abs(both).max() < _SMALL:
            break
    return own


def _bounded(steps: Float64[np.ndarray, "draw column"]) -> Float64[np.ndarray, "draw column"]:
    """Steps cut to a length from which Newton's method comes back where the logistic function is flat."""
    largest = np.abs(steps).max(axis=1, keepdims=True)
    return steps * np.minimum(1.0, _STEP / np.maximum(largest, _SMALL))


def _logistic(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(values / 2))  # exact where exp would overflow
