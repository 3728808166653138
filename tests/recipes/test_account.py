"""What is said of the numbers: that stories moved, that they still read well, or that they do not and what helps."""

from dataclasses import replace
from pathlib import Path

import pytest
from story.account import Account
from story.measures import Comparison, Estimate, Measured
from story.rules import RULES

from prefsmith.report.evidence import Evidence


def estimate(value, error=0.01):
    return Estimate(value, error, 8)


def eight(told, name, *scores):
    """Two stories from each of four openings, both with the opening's score."""
    return [told(f"{name} {place}", f"Opening {place // 2}", score=scores[place // 2]) for place in range(8)]


@pytest.fixture
def before(told):
    stories = eight(told, "before", 4, 4, 4, 4)
    return Measured(
        stories, estimate(4.0), estimate(0.0, 0.0), estimate(0.6), estimate(0.94), estimate(0.4), simple_error=0.02
    )


@pytest.fixture
def account(told, before):
    """Of a training that went well, but for what is changed on one of its sides."""

    def account(side="unseen", **changes):
        stories = eight(told, "after", 8, 8, 10, 10)
        after = Measured(
            stories, estimate(9.0), estimate(7.0), estimate(0.62), estimate(0.93), estimate(0.35), simple_error=0.02
        )
        sides = {name: Comparison(f"{name} openings", before, after) for name in ("trained", "unseen")}
        sides[side] = replace(sides[side], after=replace(after, **changes))
        return Account(Path("run"), RULES["share"], sides["trained"], sides["unseen"], "unseen is other", 1e-4)

    return account


def said(account, severity):
    return [f"{each['what']} {each['fix']}" for each in account.findings() if each["severity"] == severity]


def test_what_went_well_is_said_with_its_numbers(account):
    moved, readable = said(account(), "good")
    assert not said(account(), "warning")
    # Changes of 4, 4, 6 and 6: the error of their mean is 0.577.
    assert moved.startswith("Upbeat words less sad ones moved by +5 [+3.87, +6.13] in 100 words, 8.7 standard errors")
    assert "KL of 7 [6.98, 7.02] nats, on trained openings" in moved and "on unseen openings." in moved
    assert "still read" in readable
    assert "from 0.600 to 0.62 [0.6, 0.64] nats a character" in readable
    assert "known words from 0.940 to 0.93 [0.91, 0.95]" in readable


@pytest.mark.parametrize("side", ["trained", "unseen"])
@pytest.mark.parametrize("changes", [{"loss": estimate(0.66)}, {"known": estimate(0.90)}])
def test_gibberish_is_said_whichever_set_shows_it_with_the_cure(account, side, changes):
    (warning,) = said(account(side, **changes), "warning")
    assert warning.startswith("The stories turned to gibberish: ")
    assert "lower --learning-rate: it was 0.0001, and a tenth of it is 1e-05" in warning and "--beta" in warning
    assert not said(account(side, **changes), "good")
    assert "moved by +5" in said(account(side, **changes), "note")[0]  # which is no success then


@pytest.mark.parametrize("changes", [{"loss": estimate(0.645)}, {"known": estimate(0.915)}, {"loss": estimate(0.3)}])
def test_small_changes_are_no_gibberish(account, changes):
    assert not said(account(**changes), "warning")


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    [
        ({"divergence": estimate(15.5)}, "warning", "more than 15 nats"),
        ({"distinct": estimate(0.14)}, "warning", "more alike: 35% of the distinct pairs"),
        ({"distinct": estimate(0.30)}, "note", "more alike: 75% of the distinct pairs"),
    ],
)
def test_what_is_less_than_good_is_said(account, changes, severity, words):
    assert [each for each in said(account(**changes), severity) if words in each]


@pytest.mark.parametrize("scores", [(5, 4, 5, 4), (2, 2, 2, 1)])
def test_what_did_not_rise_is_not_called_a_movement(account, told, scores):
    small = account(stories=eight(told, "after", *scores))
    (warning,) = said(small, "warning")
    assert warning.startswith("Upbeat words less sad ones moved on one set of openings alone")
    small = replace(small, trained=small.unseen)
    (warning,) = said(small, "warning")
    assert warning.startswith("Upbeat words less sad ones did not rise measurably") and "--samples" in warning


def test_the_report_takes_the_evidence_as_it_is(account):
    evidence = Evidence.model_validate(account().evidence())
    assert len(evidence.measures) == 10 and len(evidence.findings) == 4
    score = next(each for each in evidence.measures if each.name == "upbeat words less sad ones, unseen openings")
    assert (score.before.value, score.after.value, score.after.n) == (4.0, 9.0, 8)
    assert (score.after.low, score.after.high) == (pytest.approx(8.98, abs=1e-3), pytest.approx(9.02, abs=1e-3))
    assert evidence.frontier.points[-1].name == "after, unseen openings" and evidence.frontier.points[-1].kl == 7.0
    pairs = [(each.prompt, each.before, each.after) for each in evidence.samples]
    assert pairs == [(f"Opening {n}", f"before {2 * n}", f"after {2 * n}") for n in range(4)]


def test_the_table_has_every_measure_of_both_sets_and_the_errors_of_the_movement(account):
    text = "\n".join(account().lines())
    assert text.count("nats a character") == 2 + 2  # in both tables, and in the finding for both sets
    assert text.count("8.7 standard errors by openings; 176.8 if all stories were independent") == 2
