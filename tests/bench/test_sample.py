"""A sample stands for its population."""

import pytest
from speed.lengths import Drawn, Lengths, batches_of, padding
from speed.regimes import DRAWN, REGIMES
from speed.sample import draw, padding_of_population

POPULATION = [Lengths(100 + 37 * n % 211, 20 + 53 * n % 97, 20 + 71 * n % 131) for n in range(400)]


def test_padding_is_padded_over_unique_tokens():
    pairs = [Lengths(10, 5, 2), Lengths(4, 1, 6), Lengths(100, 100, 100)]
    # The two are padded to 15: 2 x 2 x 15 tokens for 17 + 11; the third is in no batch.
    assert padding(pairs, [[0, 1]]) == 60 / 28
    assert padding(pairs, [[0], [1]]) == (30 + 20) / 28


@pytest.mark.parametrize("key", [key for key, each in REGIMES.items() if each.lengths in DRAWN])
def test_a_regimes_sample_has_the_lengths_and_the_padding_of_what_it_stands_for(key):
    regime = REGIMES[key]
    population = regime.population()
    sample = draw(population, regime.pairs, regime.batch)
    assert sample.padding.shuffled == pytest.approx(sample.population.shuffled, rel=0.03)
    assert sample.padding.sorted == pytest.approx(sample.population.sorted, rel=0.03)
    for facts in (lambda each: each.unique, lambda each: each.chosen + each.rejected):
        found, wanted = (sum(map(facts, each)) / len(each) for each in (sample.pairs, population))
        assert found == pytest.approx(wanted, rel=0.05)


def test_both_orders_hold_every_pair_once_in_batches_of_the_size():
    sample = draw(POPULATION, 24, 8)
    for batches in (sample.shuffled, sample.sorted):
        assert sorted(index for batch in batches for index in batch) == list(range(24))
        assert [len(batch) for batch in batches] == [8, 8, 8]
    longest = [sample.pairs[index].longest for batch in sample.sorted for index in batch]
    assert longest == sorted(longest)
    assert sample.shuffled != sample.sorted


def test_a_sample_is_the_same_each_time():
    assert draw(POPULATION, 16, 4) == draw(POPULATION, 16, 4)


def test_its_padding_is_that_of_its_own_batches():
    sample = draw(POPULATION, 16, 4)
    assert sample.padding.shuffled == padding(sample.pairs, sample.shuffled)
    assert sample.padding.sorted == padding(sample.pairs, sample.sorted)


def test_a_population_sorted_pads_less_and_alone_the_same():
    eight, one = padding_of_population(POPULATION, 8), padding_of_population(POPULATION, 1)
    assert eight.sorted < eight.shuffled
    assert one.sorted == pytest.approx(one.shuffled)


@pytest.mark.parametrize(("count", "batch"), [(25, 8), (408, 8)])
def test_what_is_no_whole_number_of_batches_or_too_much_is_refused(count, batch):
    with pytest.raises(ValueError, match=str(count)):
        draw(POPULATION, count, batch)


def test_whole_batches_only():
    assert batches_of([3, 1, 2, 0, 4], 2) == [[3, 1], [2, 0]]


def test_drawn_lengths_have_their_means_and_stay_below_the_longest():
    drawn = Drawn((100, 0.6), (150, 0.7)).population()
    assert sum(each.prompt for each in drawn) / len(drawn) == pytest.approx(100, rel=0.02)
    # A few completions are cut at 512, which takes some of their mean.
    assert sum(each.chosen for each in drawn) / len(drawn) == pytest.approx(147, rel=0.02)
    assert max(each.chosen for each in drawn) == 512
