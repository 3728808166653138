"""Rules, rewards and recorded votes as judges: which side wins, and what is no verdict."""

import math
from dataclasses import replace

import pytest

from prefsmith.errors import ConfigError, DataError
from prefsmith.feedback import rules
from prefsmith.feedback.functions import load_function
from prefsmith.feedback.judge import Judge, presented, shown
from prefsmith.feedback.recorded import RecordedJudge
from prefsmith.feedback.rules import RuleJudge
from prefsmith.feedback.scores import ScoreJudge, each_answer
from prefsmith.records import Completion, Group, Message, Vote


def pair(first="one", second="three", prompt="Count.", source="f:1", **more):
    return Group("row", source, prompt, (Completion(first), Completion(second)), **more)


def verdict(judge, group):
    (((vote,),)) = judge.votes([group])
    return vote.verdict


def test_a_verdict_is_about_what_was_shown():
    assert shown(0) == (0, 1) and shown(1) == (1, 0)
    assert presented("left", 0, "ann") == Vote(0, 1, "left", "ann", 0)
    assert presented("left", 1, "ann") == Vote(1, 0, "left", "ann", 1)


@pytest.mark.parametrize("rule, first, second, said", [
    (rules.longer(), "one", "three", "right"), (rules.longer(), "three", "one", "left"),
    (rules.longer(), "one", "two", "tie"), (rules.shorter(), "one", "three", "left"),
    (rules.contains("thank you"), "thank you!", "no", "left"), (rules.contains("a.c"), "abc", "a.c", "right"),
    (rules.contains("x"), "x", "xx", "tie"), (rules.matches(r"\d+"), "none", "12", "right"),
    (rules.matches("^a"), "b\na", "a", "right"), (rules.matches("a"), "b", "c", "tie"),
])  # fmt: skip
def test_rules(rule, first, second, said):
    judge = RuleJudge("rule", rule)
    assert judge.votes([pair(first, second)]) == [(Vote(0, 1, said, "rule"),)] and isinstance(judge, Judge)


def test_a_rule_of_the_users_that_says_nonsense_is_invalid_and_counted():
    judge = RuleJudge("mine", lambda prompt, left, right: {"p": "left", "q": "LEFT"}[prompt])
    assert [verdict(judge, pair(prompt=prompt)) for prompt in "pqq"] == ["left", "invalid", "invalid"]
    assert judge.describe()["presentations"] == 3 and judge.describe()["without_verdict"] == {"unreadable": 2}
    with pytest.raises(DataError) as found:
        judge.votes([pair(prompt="r", source="f:7")])
    assert found.value.code == "judge.function" and found.value.where == "f:7" and "KeyError" in found.value.what


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"judge\.pattern"):
        rules.matches("(")


def test_a_prompt_of_messages_is_given_as_text():
    seen = []
    judge = RuleJudge("mine", lambda prompt, left, right: seen.append(prompt) or "tie")
    judge.votes([pair(prompt=(Message("system", "Be brief."), Message("user", "Hi")))])
    assert seen == ["Be brief.\nHi"]


@pytest.mark.parametrize("left, right, margin, said", [
    (1.0, 0.0, 0.0, "left"), (0.0, 1.0, 0.0, "right"), (1.0, 1.0, 0.0, "tie"), (1.5, 1.0, 0.5, "tie"),
    (1.0, 1.5, 0.5, "tie"), (1.0, 1.51, 0.5, "right"), (math.nan, 1.0, 9.0, "invalid"),
    (1.0, math.nan, 0.0, "invalid"), (math.inf, 1.0, 0.0, "invalid"), (math.inf, math.inf, 0.0, "invalid"),
])  # fmt: skip
def test_rewards_within_the_margin_are_tied_and_those_that_are_no_number_invalid(left, right, margin, said):
    judge = ScoreJudge("reward", lambda groups: [(left, right) for _ in groups], tie_margin=margin)
    assert verdict(judge, pair()) == said and isinstance(judge, Judge)
    assert judge.describe()["without_verdict"] == {"unreadable": int(said == "invalid")}


def test_a_reward_is_given_prompt_and_answer():
    judge = ScoreJudge("r", each_answer("r", lambda prompt, answer: float(answer in prompt)))
    assert [verdict(judge, each) for each in (pair("Count", "x"), pair("x", "Count"))] == ["left", "right"]
    assert judge.votes([]) == []
    broken = ScoreJudge("r", each_answer("mine", lambda prompt, answer: 1 / (len(answer) - 5)))
    with pytest.raises(DataError, match="mine fails on this row: ZeroDivisionError"):
        broken.votes([pair()])


@pytest.mark.parametrize("margin", [-1.0, math.nan])
def test_a_margin_below_nothing_is_refused(margin):
    with pytest.raises(ValueError, match="tie_margin"):
        ScoreJudge("r", lambda groups: [], tie_margin=margin)


ANN, BEN = Vote(0, 1, "left", "ann", 0), Vote(1, 0, "tie", "ben", 1)


def test_recorded_votes_are_found_by_what_was_judged():
    judge = RecordedJudge("people", [pair(votes=(ANN, BEN)), pair(prompt="Sing.", votes=(Vote(0, 1, "right", "ann"),))])
    asked = [pair(prompt="Sing."), pair(source="g:9"), pair("never", "seen")]
    assert judge.votes(asked) == [(Vote(0, 1, "right", "ann"),), (ANN, BEN), ()]
    facts = judge.describe()
    assert (facts["presentations"], facts["pairs_without_votes"]) == (3, 1) and isinstance(judge, Judge)


def test_recorded_votes_are_turned_where_the_answers_are():
    """What was shown first stays what was shown first, whichever place it has in the group."""
    judge = RecordedJudge("people", [pair("good", "poor", votes=(ANN, BEN))])
    ((ann, ben),) = judge.votes([pair("poor", "good")])
    assert ann == Vote(1, 0, "left", "ann", 1) and ben == Vote(0, 1, "tie", "ben", 0)
    rule = RecordedJudge("rule", [pair("good", "poor", votes=(Vote(0, 1, "left", "rule"),))])
    assert rule.votes([pair("poor", "good")]) == [(Vote(1, 0, "left", "rule", None),)]  # which knows no order


def test_votes_on_one_pair_in_several_rows_come_together_and_equal_answers_count_once():
    judge = RecordedJudge("people", [pair(votes=(ANN,)), pair("three", "one", votes=(replace(ANN, annotator="cy"),))])
    assert judge.votes([pair()]) == [(ANN, Vote(1, 0, "left", "cy", 1))]
    assert RecordedJudge("people", [pair("a", "a", votes=(ANN,))]).votes([pair("a", "a")]) == [(ANN,)]


def test_one_annotator_alone_and_those_who_are_not_there():
    rows = [pair(votes=(ANN, BEN))]
    assert RecordedJudge("people", rows, annotator="ben").votes([pair()]) == [(BEN,)]
    with pytest.raises(DataError) as found:
        RecordedJudge("people", rows, annotator="bob", place="votes.jsonl")
    assert found.value.code == "judge.votes" and "ann, ben" in found.value.fix and found.value.where == "votes.jsonl"
    with pytest.raises(DataError, match="none of the 1 pairs"):
        RecordedJudge("people", rows).votes([pair("never", "seen")])
    with pytest.raises(DataError, match="no votes"):
        RecordedJudge("people", [pair()])


@pytest.mark.parametrize("judge", [
    RuleJudge("r", rules.longer()), ScoreJudge("s", lambda groups: [(0, 1)]), RecordedJudge("v", [pair(votes=(ANN,))]),
], ids=lambda judge: type(judge).__name__)  # fmt: skip
def test_a_group_that_is_no_pair_is_refused(judge):
    for completions in ((Completion("a"),), tuple(map(Completion, "abc"))):
        with pytest.raises(DataError) as found:
            judge.votes([Group("row", "f:4", "p", completions)])
        assert found.value.code == "judge.pair" and found.value.where == "f:4"


def test_functions_come_from_files(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("LIMIT = 3\n\ndef good(prompt, answer):\n    return min(LIMIT, len(answer))\n")
    function, digest = load_function(f"{path}:good", "judge.reward")
    assert function("p", "four") == 3 and len(digest) == 64
    path.write_text(path.read_text() + "raise OSError('no disk')\n")
    for named, message in (
        (f"{tmp_path}/none.py:good", "no Python file"),
        (f"{path}:good", "OSError: no disk"),
        ("good", "no Python file"),
    ):
        with pytest.raises(ConfigError, match=message) as found:
            load_function(named, "judge.reward")
        assert found.value.code == "judge.function_file"
    path.write_text("good = 3\n")
    for name in ("good", "better"):
        with pytest.raises(ConfigError, match=f"no function '{name}'"):
            load_function(f"{path}:{name}", "judge.reward")
