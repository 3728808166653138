"""What is measured on stories, against numbers worked out by hand."""

import math
from random import Random
from statistics import fmean, stdev

import pytest
import torch
from story.measures import (
    Comparison,
    Estimate,
    Measured,
    distinct_share,
    in_errors,
    jackknife,
    known_share,
    loss_per_character,
    measure,
    vocabulary,
)
from story.rules import RULES
from story.teller import TEMPERATURE, open_teller
from tiny import save_model

from prefsmith.records import Group
from prefsmith.stats import mean


def mean_score(stories):
    return fmean(each.score for each in stories)


def measured(scores, simple_error, told):
    """Stories with these scores, a list for each opening."""
    stories = [told(opening=f"Opening {n}", score=score) for n, some in enumerate(scores) for score in some]
    other = Estimate(0.0, 0.0, len(stories))
    return Measured(stories, other, other, other, other, other, simple_error)


def test_the_interval_of_a_mean_is_that_of_the_openings_means(told):
    random = Random(0)
    clusters = [[told(score=place + random.gauss(0, 1)) for _ in range(3)] for place in range(5)]
    found = jackknife(clusters, mean_score)
    means = [mean_score(cluster) for cluster in clusters]
    assert found.value == pytest.approx(fmean(means))
    assert found.error == pytest.approx(stdev(means) / math.sqrt(5))
    assert found.n == 15
    by_hand = mean(means)
    assert (found.low, found.high) == (pytest.approx(by_hand.low), pytest.approx(by_hand.high))


def test_stories_that_repeat_within_an_opening_make_nothing_surer(told):
    once = [[told(score=value)] for value in (1.0, 2.0, 4.0)]
    often = [cluster * 9 for cluster in once]
    assert jackknife(often, mean_score).error == pytest.approx(jackknife(once, mean_score).error)


def test_the_error_of_a_ratio_is_that_of_its_linear_part(told):
    """Leaving one out must leave out its characters as well as its nats."""
    random = Random(1)
    stories = [told("x" * random.randint(50, 150), loss=random.gauss(60, 20)) for _ in range(400)]
    ratio = loss_per_character(stories)
    characters = fmean(len(each.answer.text) for each in stories)
    residuals = [(each.loss - ratio * len(each.answer.text)) / characters for each in stories]
    found = jackknife([[each] for each in stories], loss_per_character)
    assert found.error == pytest.approx(stdev(residuals) / 20, rel=0.02)


def test_log_loss_is_all_nats_by_all_characters(told):
    assert loss_per_character([told("abcd", loss=2.0), told("a", loss=3.0)]) == 1.0
    assert loss_per_character([told("", loss=2.0)]) == 2.0


def test_known_words_are_a_share_of_all_words(told):
    stories = [told("tim ran ran"), told("zorp")]
    assert known_share(stories, frozenset({"tim", "ran"})) == 0.75
    assert known_share([told("")], frozenset({"tim"})) == 0.0


def test_distinct_pairs_do_not_reach_from_one_story_into_the_next(told):
    assert distinct_share([told("a b a b"), told("b a")]) == pytest.approx(2 / 4)
    assert distinct_share([told("a b"), told("c d")]) == 1.0
    assert distinct_share([told("a"), told("")]) == 0.0


def test_known_words_occur_twice_and_the_last_word_of_a_story_may_be_cut(told):
    stories = [told(text).answer for text in ("Tim ran to the do", "tim saw the do", "ran ho")]
    assert vocabulary(stories) == {"tim", "ran", "the"}


def test_a_movement_is_that_of_each_opening_in_its_own_errors(told):
    before = measured([[0, 2], [10, 10], [21, 19]], 0.06, told)  # openings differ by far more than they change
    after = measured([[2, 2], [13, 11], [23, 23]], 0.08, told)
    moved = Comparison("these", before, after)  # by 1, 2 and 3
    assert (moved.movement.value, moved.movement.n) == (pytest.approx(2.0), 6)
    assert moved.movement.error == pytest.approx(1 / math.sqrt(3))
    assert (moved.errors, moved.simple_errors) == (pytest.approx(2 * math.sqrt(3)), pytest.approx(20.0))
    assert Comparison("these", after, before).errors == pytest.approx(-2 * math.sqrt(3))


@pytest.mark.parametrize(("value", "errors"), [(2.0, math.inf), (-2.0, -math.inf), (0.0, 0.0)])
def test_where_nothing_scatters_a_movement_is_all_or_nothing(value, errors):
    assert in_errors(value, 0.0) == errors


def nats_by_hand(policy, start, answer, temperature):
    """KL of the next-token distributions summed along an answer, and minus the start's log-probability of it."""
    ids = torch.tensor([answer.prompt + answer.ids])
    logits = [each.model.scorer.causal(ids).logits[0, len(answer.prompt) - 1 : -1].double() for each in (policy, start)]
    own, others = ((each / temperature).log_softmax(-1) for each in logits)
    loss = -logits[1].log_softmax(-1).gather(1, torch.tensor(answer.ids)[:, None]).sum()
    return float((own.exp() * (own - others)).sum()), float(loss)


@torch.no_grad()
def test_divergence_is_at_the_temperature_of_the_stories_and_loss_at_one(tiny_model, tmp_path):
    openings = [Group(text, "made:1", text, ()) for text in ("lily ran", "tim and the dog")]
    words = (
        "lily",
        "tim",
        "ran",
        "home",
        "and",
        "the",
        "dog",
        "happy",
        "smiled",
        "friend",
        "sad",
        "cried",
        "lost",
        ".",
    )
    other = save_model(tmp_path / "other", words, max_position_embeddings=20, seed=1)
    policy, start = open_teller(other, openings), open_teller(tiny_model, openings)
    answers = policy.tell(openings, seed=0, each=3)
    found = measure(policy, start, answers, RULES["share"], frozenset({"ran"}))
    for story in found.stories:
        divergence, loss = nats_by_hand(policy, start, story.answer, TEMPERATURE)
        assert (story.divergence, story.loss) == (pytest.approx(divergence, abs=1e-4), pytest.approx(loss, abs=1e-4))
        assert story.score == RULES["share"].score(story.answer.text)
    scores = [story.score for story in found.stories]
    assert found.score.value == pytest.approx(fmean(scores))
    assert found.simple_error == pytest.approx(stdev(scores) / math.sqrt(6))
    means = [fmean(scores[:3]), fmean(scores[3:])]
    assert found.score.error == pytest.approx(stdev(means) / math.sqrt(2))
    text_words = [story.answer.text.replace(".", "").split()[:-1] for story in found.stories]
    own = [word for each in text_words for word in each]
    assert found.known.value == pytest.approx(own.count("ran") / len(own))
    assert 0 < found.known.value < 1
    assert found.distinct.value == distinct_share(found.stories)
    assert found.loss.value == loss_per_character(found.stories)
    assert found.divergence.value == pytest.approx(fmean(story.divergence for story in found.stories))
    itself = measure(start, start, answers, RULES["share"], frozenset())
    assert {story.divergence for story in itself.stories} == {0.0}
