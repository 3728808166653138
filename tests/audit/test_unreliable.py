"""Annotators that were planted: one like a coin, one the wrong way round; and what votes say of themselves."""

import random

import pytest
from planted_bias import finding, looked_at, write

from prefsmith.audit.unreliable import Unreliable

ACCURACY = {"good": 0.95, "fair": 0.85, "fine": 0.9, "sound": 0.9, "coin": 0.5, "turned": 0.1}


def voted(count, seed, say, *, prompts=10_000, **more):
    rng = random.Random(seed)
    made = []
    for number in range(count):
        truth = rng.choice("ab")
        row = {"prompt": f"question {number % prompts}", "a": f"one {number}", "b": f"two {number}"}
        row["votes"] = [{"annotator": name, "vote": vote} for name, vote in say(rng, truth, number)]
        made.append({**row, **{key: value(rng, truth, number) for key, value in more.items()}})
    return made


def by_accuracy(rng, truth, number):
    other = {"a": "b", "b": "a"}[truth]
    return [(name, truth if rng.random() < right else other) for name, right in ACCURACY.items()]


def unreliable(tmp_path, made):
    return looked_at(Unreliable(), (write(tmp_path / "votes.jsonl", made), "train"))


def test_the_coin_and_the_turned_one_are_named_and_nobody_else(tmp_path):
    found = finding(unreliable(tmp_path, voted(300, 0, by_accuracy)), "unreliable.annotators")
    assert found.numbers["at_chance"] == ["coin"] and found.numbers["reversed"] == ["turned"]
    assert found.severity == "warning" and (found.count, found.of) == (2, 6)
    assert found.title == "Annotators vote like a coin, or the wrong way round"
    shares = {each["annotator"]: each["share"] for each in found.numbers["annotators"]}
    assert list(shares)[:2] == ["turned", "coin"] and shares["good"]["value"] > 0.8
    assert shares["turned"]["high"] < 0.5 and shares["coin"]["low"] < 0.5 < shares["coin"]["high"]


def test_an_annotators_own_vote_does_not_judge_it(tmp_path):
    """Fault: of two annotators each agrees with a majority that its own vote makes, so that coins look sound."""

    def coins(rng, truth, number):
        return [(name, rng.choice("ab")) for name in ("one", "two", "three")]

    found = finding(unreliable(tmp_path, voted(400, 1, coins)), "unreliable.annotators")
    assert all(each["share"]["low"] < 0.5 < each["share"]["high"] for each in found.numbers["annotators"])


def both_ways(*votes):
    """Votes of annotators who were shown each pair in both orders."""
    return [
        {"annotator": name, "vote": vote, "order": order} for name, *said in votes for order, vote in enumerate(said)
    ]


def test_an_annotator_who_was_shown_both_ways_agrees_with_nobody_else(tmp_path):
    """Fault: its vote on the other order is one of "the others", so that it is judged against itself."""
    rng = random.Random(14)
    made = [{**row, "votes": both_ways(("ann", *rng.choice(["aa", "bb", "ab"])))} for row in voted(60, 0, by_accuracy)]
    found = unreliable(tmp_path, made)
    assert {each.code for each in found.findings} == {"unreliable.alone", "unreliable.split"}


def test_two_presentations_are_one_vote(tmp_path):
    """Fault: of two coins who stand by what they said, a third of all twos are of one coin, and intervals take twice
    as many votes as there are."""
    rng = random.Random(15)
    made = [{**row, "votes": both_ways(*((name, *rng.choice(["aa", "bb"])) for name in ("ann", "bob")))}
            for row in voted(200, 0, by_accuracy)]  # fmt: skip
    once = [{**row, "votes": [vote for vote in row["votes"] if not vote["order"]]} for row in made]
    found, same = (unreliable(tmp_path, each) for each in (made, once))
    for code, numbers in (("agreement", ("agreement", "alpha")), ("annotators", ("annotators",))):
        told, alike = (finding(each, f"unreliable.{code}").numbers for each in (found, same))
        assert [told[name] for name in numbers] == [alike[name] for name in numbers]
    alpha = finding(found, "unreliable.agreement").numbers["alpha"]
    assert alpha["low"] < 0 < alpha["high"] and alpha["n"] == 400


def test_half_a_vote_each_way(tmp_path):
    """By hand: ann says a and b, bob a twice, cat b once. Twos: ann-bob 1/2, ann-cat 1/2, bob-cat 0."""
    row = {"prompt": "q", "a": "x", "b": "y", "votes": both_ways(("ann", "a", "b"), ("bob", "a", "a"), ("cat", "b"))}
    found = finding(unreliable(tmp_path, [row]), "unreliable.agreement").numbers
    assert found["agreement"]["value"] == pytest.approx(1 / 3) and found["agreement"]["n"] == 3
    assert found["alpha"]["value"] == pytest.approx(1 - (1 - 1 / 3) / (1 - 2 * 1.5 * 0.5 / (3 * 2)))


def test_alpha_is_the_same_whichever_side_the_file_names_first(tmp_path):
    """Fault: where the first side is the chosen one, its share of the votes is taken for agreement by chance."""

    def good(rng, truth, number):
        other = {"a": "b", "b": "a"}[truth]
        return [(name, truth if rng.random() < 0.9 else other) for name in ("one", "two", "three")]

    made = voted(300, 16, good)
    labels = []
    for row in made:
        said = [vote["vote"] for vote in row["votes"]]
        chosen, rejected = sorted("ab", key=lambda side: -said.count(side))
        names = {chosen: "chosen", rejected: "rejected"}
        votes = [{**vote, "vote": names[vote["vote"]]} for vote in row["votes"]]
        labels.append({"prompt": row["prompt"], "chosen": row[chosen], "rejected": row[rejected], "votes": votes})
    before, after = (finding(unreliable(tmp_path, each), "unreliable.agreement").numbers for each in (made, labels))
    assert before["agreement"] == after["agreement"]
    assert after["alpha"]["value"] == pytest.approx(before["alpha"]["value"], abs=0.01)


def test_good_annotators_give_no_warning(tmp_path):
    def good(rng, truth, number):
        other = {"a": "b", "b": "a"}[truth]
        return [(name, truth if rng.random() < 0.9 else other) for name in ("one", "two", "three")]

    result = unreliable(tmp_path, voted(300, 2, good))
    assert all(each.severity == "note" for each in result.findings)
    agreement = finding(result, "unreliable.agreement").numbers
    assert agreement["agreement"]["low"] < 0.82 < agreement["agreement"]["high"]  # .9^2 + .1^2
    assert agreement["alpha"]["low"] < 0.64 < agreement["alpha"]["high"]


def test_hundreds_of_sound_annotators_are_none_too_many(tmp_path):
    """Fault: each is held to an interval of its own, and of two hundred some are said to be coins."""

    def many(rng, truth, number):
        other = {"a": "b", "b": "a"}[truth]
        return [(f"w{rng.randrange(60)}-{seat}", truth if rng.random() < 0.75 else other) for seat in range(3)]

    found = finding(unreliable(tmp_path, voted(1000, 3, many)), "unreliable.annotators")
    assert found.of > 100 and found.count == 0


def test_categories_are_beside_the_whole(tmp_path):
    def say(rng, truth, number):
        other = {"a": "b", "b": "a"}[truth]
        right = 0.5 if number % 4 == 0 else 0.97
        return [(name, truth if rng.random() < right else other) for name in ("one", "two", "three")]

    made = voted(400, 4, say, category=lambda rng, truth, number: "vague" if number % 4 == 0 else "clear")
    of = finding(unreliable(tmp_path, made), "unreliable.agreement").numbers["categories"]
    assert [(each["category"], each["pairs"], each["below"]) for each in of] == [
        ("category=vague", 100, True), ("category=clear", 300, False),
    ]  # fmt: skip


def test_votes_without_a_majority_are_counted(tmp_path):
    def say(rng, truth, number):
        return [("one", "a"), ("two", "b" if number < 30 else "a"), ("three", "tie" if number < 30 else "a")]

    found = finding(unreliable(tmp_path, voted(100, 5, say)), "unreliable.split")
    assert (found.count, found.of, found.severity) == (30, 100, "warning")
    assert found.examples[0].text == "1 for the first, 1 for the second, 1 for a tie"


def test_pairs_that_people_and_programs_doubt_are_proposed_at_half_weight(tmp_path):
    """Rows 0 to 9: two of three people, and the program says the opposite. Rows 10 to 19: it agrees with them."""

    def say(rng, truth, number):
        return [("one", "a"), ("two", "a"), ("three", "b" if number < 20 else "a")]

    made = voted(100, 6, say, judges=lambda rng, truth, number: {"model": "a" if 10 <= number < 20 else "b"})
    found = finding(unreliable(tmp_path, made), "unreliable.doubted")
    assert (found.count, found.of) == (10, 100)
    assert found.proposal.rows.tolist() == list(range(10)) and set(found.proposal.weights) == {0.5}


def test_where_people_cannot_tell_a_program_that_can_leaves_no_doubt(tmp_path):
    """Fault: every pair without a majority is doubted by the model too. Rows 0 to 4: the program says tie."""

    def say(rng, truth, number):
        return [("one", "a"), ("two", "b" if number < 10 else "a")]

    made = voted(50, 9, say, judges=lambda rng, truth, number: {"model": "tie" if number < 5 else "a"})
    found = finding(unreliable(tmp_path, made), "unreliable.doubted")
    assert found.proposal.rows.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("names", [["one"], ["one", "one again"]])
def test_one_vote_a_pair_says_nothing_of_annotators(tmp_path, names):
    def say(rng, truth, number):
        return [(names[number % len(names)], truth)]

    (found,) = unreliable(tmp_path, voted(60, 7, say)).findings
    assert found.code == "unreliable.alone" and found.count == 60


def test_all_agree_on_one_label(tmp_path):
    found = finding(unreliable(tmp_path, voted(40, 8, lambda *_: [("one", "a"), ("two", "a")])), "unreliable.agreement")
    assert found.numbers["alpha"]["value"] is None and found.numbers["agreement"]["value"] == 1.0


def test_files_without_votes_have_no_such_findings(tmp_path):
    made = [{"prompt": f"q {number}", "chosen": "a", "rejected": "b"} for number in range(20)]
    assert not unreliable(tmp_path, made).findings
