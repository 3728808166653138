"""Biases that were planted are found with their sign and size, and a balanced file has none."""

import numpy as np
import pytest
from planted_bias import balanced, finding, looked_at, rows, text, write

from prefsmith.audit.biased import Biased
from prefsmith.audit.decided import PROGRAM, decided, voted
from prefsmith.audit.probe import probe
from prefsmith.audit.surface import NAMES, surface
from prefsmith.errors import ConfigError
from prefsmith.records import Comparison, Completion, Group, Vote


def biased(tmp_path, found, part="train"):
    return looked_at(Biased(), (write(tmp_path / "rows.jsonl", found), part))


def feature(found, name):
    return next(each for each in found.numbers["features"] if each["feature"] == name)


def test_a_balanced_file_gives_no_warning(tmp_path):
    result = biased(tmp_path, rows(600, 0, balanced))
    assert {each.code for each in result.findings} == {
        "biased.length", "biased.formatting", "biased.refusals", "biased.surface",
    }  # fmt: skip
    assert all(each.severity == "note" for each in result.findings)
    assert not any(each["told_from_none"] for found in result.findings for each in found.numbers.get("features", ()))


@pytest.mark.parametrize(("longer", "word"), [(0.8, "longer"), (0.2, "shorter")])
def test_a_planted_length_is_found_with_sign_and_size(tmp_path, longer, word):
    def make(rng, number):
        sides = text(rng, 30), text(rng, 12)
        return sides if rng.random() < longer else sides[::-1]

    found = finding(biased(tmp_path, rows(400, 1, make)), "biased.length")
    words = feature(found, "words")
    assert found.severity == "warning" and found.title == f"Chosen sides are {word}"
    assert found.count == max(words["chosen_more"], words["chosen_less"]) and found.of == 400
    assert words["share"]["low"] < longer < words["share"]["high"]
    assert (words["standardised_difference"]["value"] > 0) == (longer > 0.5)
    assert len(found.examples) == 3 and found.examples[0].where.startswith(str(tmp_path / "rows.jsonl:"))


@pytest.mark.parametrize(
    ("mark", "name"),
    [("\n- a\n- b", "list items"), ("\n## head", "headings"), (" **b**", "bold"), (" `c`", "code"),
     ("!", "exclamation marks"), ("?", "question marks"), (" http://a.b", "links"), ("\n", "line breaks")],
)  # fmt: skip
def test_planted_formatting_is_found_by_name(tmp_path, mark, name):
    def make(rng, number):
        one, other = balanced(rng, number)
        return (one + mark * 3, other) if rng.random() < 0.9 else (one, other + mark * 3)

    found = finding(biased(tmp_path, rows(300, 2, make)), "biased.formatting")
    assert found.severity == "warning" and feature(found, name)["told_from_none"]
    assert feature(found, name)["share"]["low"] > 0.6


def test_planted_refusals_are_found(tmp_path):
    def make(rng, number):
        sides = text(rng, 20) + f" {number}", text(rng, 20)
        if rng.random() < 0.5:
            refusing = 0 if rng.random() < 0.85 else 1
            sides = tuple(f"I cannot {side}" if place == refusing else side for place, side in enumerate(sides))
        return sides

    found = finding(biased(tmp_path, rows(400, 3, make)), "biased.refusals")
    assert found.severity == "warning" and found.title == "Chosen sides refuse more often"
    assert found.numbers["chosen"] == feature(found, "refusal")["chosen_more"] == found.count


def test_a_rare_feature_costs_nothing(tmp_path):
    """Fault: five pairs with a link, all of them chosen, are a warning."""

    def make(rng, number):
        return text(rng, 20) + (" http://a.b" if number < 20 else f" {number}"), text(rng, 20)

    assert finding(biased(tmp_path, rows(400, 4, make)), "biased.formatting").severity == "note"


@pytest.mark.parametrize(
    ("words", "refuses"),
    [("I'm sorry, but no.", 1), ("I can\u2019t help with that.", 1), ("I am unable to say.", 1), ("As an AI, no.", 1),
     ("Sure, you can.", 0), ("The can of soup.", 0), ("You cannot lose.", 0)],
)  # fmt: skip
def test_phrases_of_a_refusal(words, refuses):
    assert surface(words)[NAMES.index("refusal")] == refuses


def test_marks_are_counted():
    found = dict(zip(NAMES, surface("# A\n\n- b!\n2. c?\n**d** `e` https://f"), strict=True))
    assert found == {
        "words": 9, "characters": 35, "line breaks": 4, "list items": 2, "headings": 1, "bold": 1, "code": 2,
        "exclamation marks": 1, "question marks": 1, "links": 1, "refusal": 0,
    }  # fmt: skip


def test_the_probe_is_a_coin_on_random_labels():
    """Fault: pairs are judged by weights that saw them, or one side stands first in all of them."""
    accuracies = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = probe(rng.normal(size=(200, 11)), np.arange(200), seed)
        accuracies.append(found.accuracy.value)
        assert found.accuracy.low < 0.5 + 0.06 and found.accuracy.high > 0.5 - 0.06
    assert abs(np.mean(accuracies) - 0.5) < 0.02


def test_the_probe_holds_out_whole_prompts():
    """Fault: folds by pair, so that copies of a prompt stand on both sides and noise is learnt by heart."""
    rng = np.random.default_rng(0)
    of_prompts = rng.normal(size=(40, 30)).repeat(20, axis=0)
    found = probe(of_prompts, np.arange(40).repeat(20), 0)
    assert found.accuracy.value < 0.65


def test_the_probe_is_blind_to_which_side_stands_where():
    rng = np.random.default_rng(1)
    apart, prompts = rng.normal((0.5, 0, 0), size=(150, 3)), np.arange(150)
    there, back = probe(apart, prompts, 0), probe(-apart, prompts, 0)
    assert there.accuracy.value == back.accuracy.value > 0.6
    assert there.weights == pytest.approx([-each for each in back.weights], abs=1e-6)


def test_few_pairs_are_not_probed():
    assert probe(np.ones((49, 2)), np.arange(49)) is None
    assert probe(np.ones((100, 2)), np.zeros(100, dtype=int)) is None


def test_a_surface_that_is_enough_is_a_warning(tmp_path):
    def make(rng, number):
        sides = text(rng, 30) + "!", text(rng, 12)
        return sides if rng.random() < 0.85 else sides[::-1]

    found = finding(biased(tmp_path, rows(300, 5, make)), "biased.surface")
    assert found.severity == "warning" and found.effect == "a model will learn them instead"
    assert found.numbers["accuracy"]["low"] < 0.85 < found.numbers["accuracy"]["high"]


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.linear_model", None)
    with pytest.raises(ConfigError, match=r"prefsmith\[audit\]"):
        probe(np.random.default_rng(0).normal(size=(60, 2)), np.arange(60))


def judged(count, seed, first):
    """Rows of two answers of which the first wins with a probability, and who wrote them."""
    made = []
    for row in rows(count, seed, balanced):
        made.append({"prompt": row["prompt"], "response_a": row["chosen"], "response_b": row["rejected"],
                     "winner": first(len(made))})  # fmt: skip
    return made


def test_a_winner_column_tells_which_place_won(tmp_path):
    """Fault: the reader puts the winner first, and every winner stood first."""
    made = judged(300, 6, lambda number: ("a", "a", "a", "b", "tie")[number % 5])
    found = finding(biased(tmp_path, made), "biased.position")
    assert (found.numbers["first"], found.numbers["second"]) == (180, 60)
    assert found.severity == "warning" and found.title == "The answer that stands first is chosen more often"
    even = finding(biased(tmp_path, judged(300, 6, lambda number: "ab"[number % 2])), "biased.position")
    assert even.severity == "note" and even.numbers["share"]["value"] == 0.5


def test_chosen_and_rejected_say_nothing_of_places(tmp_path):
    assert "biased.position" not in {each.code for each in biased(tmp_path, rows(60, 7, balanced)).findings}


def votes(count, seed, say):
    made = []
    for number, row in enumerate(rows(count, seed, balanced)):
        made.append({"prompt": row["prompt"], "a": row["chosen"], "b": row["rejected"],
                     "votes": [{"annotator": name, "vote": vote} for name, vote in say(number)]})  # fmt: skip
    return made


def test_an_annotator_who_looks_at_places_is_named(tmp_path):
    """Two who do not, and one who says `a` nine times of ten."""

    def say(number):
        better = "ab"[number % 2]
        return [("one", better), ("two", better), ("swayed", "b" if number % 10 == 0 else "a")]

    found = finding(biased(tmp_path, votes(200, 8, say)), "biased.position")
    assert found.severity == "warning" and found.title == "Annotators look at places"
    assert [each["annotator"] for each in found.numbers["annotators"] if each["swayed"]] == ["swayed"]
    assert found.numbers["share"]["value"] == 0.5


def test_the_chosen_side_of_votes_without_an_order_was_shown_nobody_knows_where(tmp_path):
    """Fault: in what `label aggregate` writes every winner stood first, and every annotator looks at places."""
    made = [{**row, "votes": [{"annotator": "ann", "vote": "chosen"}]} for row in rows(60, 13, balanced)]
    assert "biased.position" not in {each.code for each in biased(tmp_path, made).findings}
    for number, row in enumerate(made[:40]):
        row["votes"][0]["order"] = int(number >= 30)
    found = finding(biased(tmp_path, made), "biased.position")
    assert (found.numbers["first"], found.numbers["second"]) == (30, 10)
    assert [(each["first"], each["share"]["n"]) for each in found.numbers["annotators"]] == [(30, 40)]


def test_who_wrote_the_sides_may_say_it_all(tmp_path):
    def with_models(name_of):
        return [{**row, "chosen_model": name_of(number)[0], "rejected_model": name_of(number)[1]}
                for number, row in enumerate(rows(100, 9, balanced))]  # fmt: skip

    told = finding(biased(tmp_path, with_models(lambda n: ("big", "small") if n % 10 else ("small", "big"))),
                   "biased.source")  # fmt: skip
    assert told.severity == "warning" and (told.count, told.of) == (90, 100)
    assert [(each["writer"], each["wins"]) for each in told.numbers["writers"]] == [("big", 90), ("small", 10)]
    coin = finding(biased(tmp_path, with_models(lambda n: ("x", "y") if n % 2 else ("y", "x"))), "biased.source")
    assert coin.severity == "note" and coin.count == 0  # of each pair the others say the opposite


def test_only_training_files_are_judged(tmp_path):
    assert not biased(tmp_path, rows(60, 10, balanced), part="eval").findings


def group(*comparisons, votes=(), ranking=()):
    return Group("g", "f:1", "p", tuple(map(Completion, "abc")), comparisons=comparisons, votes=votes, ranking=ranking)


def test_labels_are_turned_and_ties_left_out():
    found = decided(group(Comparison(0, 1), Comparison(0, 2, prob=0.2), Comparison(1, 2, prob=0.5)))
    assert found == [(0, 1), (2, 0)]
    assert decided(group(ranking=((2,), (0, 1)))) == [(2, 0), (2, 1)]


def test_people_outvote_programs_and_places_do_not_matter():
    """Fault: a verdict for the left side is one for completion 0, also where 1 was shown on the left."""
    cast = (Vote(1, 0, "left", "p"), Vote(0, 1, "right", "q"), Vote(0, 1, "left", "r"),
            *(Vote(0, 1, "left", f"{PROGRAM}m{number}") for number in range(5)))  # fmt: skip
    ((sides, counts),) = voted(cast)
    assert sides == (1, 0) and counts == {"right": 2, "left": 1}
    assert decided(group(votes=cast)) == [(1, 0)]
    assert decided(group(votes=(Vote(0, 1, "left", "p"), Vote(0, 1, "right", "q")))) == []
    assert decided(group(votes=(Vote(0, 1, "invalid", "p"),))) == []
