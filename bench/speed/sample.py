"""A few pairs that stand for many: as long, as much of it prompt, and padded as much in batches of the same size.

The population is ordered by length and cut into as many strata as there are batches. Every stratum gives one window of
neighbours, so that a window is what length-sorted batching would make. Where the windows lie, and which shuffle makes
the other batches, is searched for: the sample's numbers are to be the population's.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .lengths import Lengths, batches_of, padding, shuffled_order, sorted_order

WINDOWS, KEPT, SHUFFLES = 600, 40, 100  # places of windows that are tried, kept, and shuffles of each
EPOCHS = 20  # shuffles of the population that its padding is the mean of


@dataclass(frozen=True, slots=True)
class Padding:
    """Padded over unique tokens, in shuffled and in length-sorted batches."""

    shuffled: float
    sorted: float


@dataclass(frozen=True, slots=True)
class Sample:
    """The pairs and their batches.

    Args:
        pairs: lengths.
        shuffled: indices of each batch, in the order of a shuffle.
        sorted: the same pairs in length-sorted batches.
        padding: of this sample.
        population: padding of what it was drawn from.
    """

    pairs: list[Lengths]
    shuffled: list[list[int]]
    sorted: list[list[int]]
    padding: Padding
    population: Padding


def padding_of_population(population: Sequence[Lengths], batch: int) -> Padding:
    """What an epoch pads, in the mean over shuffles."""
    epochs = [
        padding(population, batches_of(shuffled_order(len(population), seed), batch))
        for seed in range(max(1, EPOCHS * 2000 // len(population)))
    ]
    return Padding(sum(epochs) / len(epochs), padding(population, batches_of(sorted_order(population), batch)))


def draw(population: Sequence[Lengths], count: int, batch: int) -> Sample:
    """The sample of `count` pairs in batches of `batch`; the same arguments give the same sample.

    Raises:
        ValueError: the pairs are no whole number of batches, or the population has too few.
    """
    if count % batch or count > len(population):
        raise ValueError(f"{count} pairs out of {len(population)} in batches of {batch}")
    whole = padding_of_population(population, batch)
    order = sorted_order(population)
    mean = [sum(values) / len(population) for values in zip(*map(_facts, population), strict=True)]

    def distance(seed: int) -> float:
        pairs = _windows(population, order, count, batch, seed)
        found = [sum(values) / count for values in zip(*map(_facts, pairs), strict=True)]
        away = sum(abs(one / other - 1) for one, other in zip(found, mean, strict=True))
        return away + abs(padding(pairs, batches_of(range(count), batch)) / whole.sorted - 1)

    # The nearest few windows, and of all their shuffles the one whose padding is nearest.
    nearest = sorted(range(WINDOWS), key=distance)[:KEPT]
    distance_of = {windows: distance(windows) for windows in nearest}
    tries = ((windows, shuffle) for windows in nearest for shuffle in range(SHUFFLES))

    def off(windows: int, shuffle: int) -> float:
        pairs = _windows(population, order, count, batch, windows)
        ratio = padding(pairs, batches_of(shuffled_order(count, shuffle), batch))
        return abs(ratio / whole.shuffled - 1) + distance_of[windows] / 4

    windows, shuffle = min(tries, key=lambda each: off(*each))
    pairs = _windows(population, order, count, batch, windows)
    by_length, by_chance = batches_of(range(count), batch), batches_of(shuffled_order(count, shuffle), batch)
    own = Padding(padding(pairs, by_chance), padding(pairs, by_length))
    return Sample(pairs, by_chance, by_length, own, whole)


def _facts(pair: Lengths) -> tuple[int, int]:
    """What decides the work: unique tokens, and those that are scored."""
    return pair.unique, pair.chosen + pair.rejected


def _windows(population: Sequence[Lengths], order: Sequence[int], count: int, batch: int, seed: int) -> list[Lengths]:
    """From every stratum of the ordered population one run of neighbours."""
    rng = random.Random(seed)
    strata, found = count // batch, []
    for stratum in range(strata):
        low, high = stratum * len(order) // strata, (stratum + 1) * len(order) // strata
        start = rng.randint(low, max(low, high - batch))
        found += [population[order[index]] for index in range(start, start + batch)]
    return found
