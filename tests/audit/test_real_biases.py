"""Real files, against numbers that were counted by other programs."""

import pytest
from planted_bias import finding, looked_at, write

from prefsmith.audit.biased import Biased
from prefsmith.audit.reading import HowToRead
from prefsmith.audit.run import audit
from prefsmith.audit.unreliable import Unreliable
from prefsmith.data.votes.texts import read_texts


def of_words(result):
    found = finding(result, "biased.length")
    words = found.numbers["features"][0]
    return found.severity, words["chosen_more"], words["chosen_less"], words["equal"]


def test_chosen_answers_of_hh_harmless_are_shorter_and_refuse_more(shared_data):
    """Of all 1,381 rows 582 are longer, 769 shorter, 30 equal; four of them, one longer and three shorter, are refused:
    three whose sides differ before the last answer, and one with an empty answer.

    Another list of refusal-like words, which is not known, finds them in 135 chosen and 80 rejected answers; ours finds
    them in 166 and 88, as far apart.
    """
    result = looked_at(Biased(), (str(shared_data / "hh_harmless.jsonl.gz"), "train"))
    assert result.data.files[0].codes == {"data.diverge": 3, "data.empty": 1}
    assert of_words(result) == ("note", 582 - 1, 769 - 3, 30)
    refusals = finding(result, "biased.refusals")
    assert (refusals.numbers["chosen"], refusals.numbers["rejected"]) == (166, 88)
    assert refusals.title == "Chosen sides refuse more often"
    share = finding(result, "biased.surface").numbers["accuracy"]
    assert share["low"] > 0.5 and share["high"] < 0.7


def test_pandalm(shared_data):
    """Its majorities prefer a side in 498 pairs, the longer one in 337. An answer that is a truth value has no words
    here, and one for whoever counted 29 pairs of equal length."""
    result = audit([(str(shared_data / "pandalm.jsonl.gz"), "train")], [Biased(), Unreliable()], workers=0)
    severity, longer, shorter, equal = of_words(result)
    assert (severity, longer, longer + shorter + equal) == ("warning", 337, 498)
    votes = finding(result, "unreliable.agreement").numbers
    assert votes["agreement"]["value"] == pytest.approx(0.9053, abs=5e-5)
    assert votes["alpha"]["value"] == pytest.approx(0.8463, abs=5e-5)
    assert (votes["unanimous"], votes["pairs"], votes["invalid"]) == (501, 584, 16)
    assert "unreliable.split" not in {each.code for each in result.findings}  # of three, two always agree
    places = finding(result, "biased.position").numbers
    assert (places["first"], places["second"]) == (239, 259)
    assert [each["annotator"] for each in places["annotators"] if each["swayed"]] == []
    wins = {each["writer"]: each["wins"] for each in finding(result, "biased.source").numbers["writers"]}
    assert wins["llama-7b"] == 37 + 43 + 39 + 32 and next(iter(wins)) == "llama-7b"


@pytest.mark.slow
def test_ukpconvarg(shared_data):
    how = HowToRead(texts=read_texts(str(shared_data / "ukpconvarg_arguments.jsonl.gz")))
    files = [(str(shared_data / "ukpconvarg_votes.jsonl.gz"), "train")]
    result = audit(files, [Biased(), Unreliable()], how=how, workers=0)
    assert of_words(result) == ("warning", 4638, 1721, 63)
    votes = finding(result, "unreliable.agreement")
    assert votes.severity == "warning" and votes.of == 88590
    assert votes.numbers["agreement"]["value"] == pytest.approx(0.5143, abs=5e-5)
    assert votes.numbers["alpha"]["value"] == pytest.approx(0.2488, abs=5e-5)
    assert (votes.numbers["unanimous"], votes.numbers["annotators"]) == (1614, 3563)
    split = finding(result, "unreliable.split")
    assert (split.count, split.of, split.severity) == (1453, 8895, "note")
    places = finding(result, "biased.position").numbers
    assert (places["first"], places["second"]) == (3265, 3157)


def test_without_texts_lengths_are_not_made_up(tmp_path):
    """Fault: answers that a file only names have no words, and all pairs are of equal length."""
    votes = [{"annotator": name, "vote": "a"} for name in ("one", "two")]
    rows = [{"topic": "t", "a": f"{number}", "b": f"{number + 1}", "votes": votes} for number in range(60)]
    result = looked_at(Biased(), (write(tmp_path / "names.jsonl", rows), "train"))
    assert {each.code for each in result.findings} == {"biased.position"}


def test_soft_labels_of_alpaca_eval_prefer_by_their_probability(shared_data):
    columns = {"chosen": "b", "rejected": "a", "prob": "p_b"}
    result = looked_at(
        Biased(), (str(shared_data / "alpaca_soft.jsonl.gz"), "train"), how=HowToRead(columns=columns, limit=400)
    )
    rows = [result.data.group(row) for row in range(len(result.data))]
    longer = shorter = 0
    for row in rows:
        (label,) = row.comparisons
        better, worse = row.completions if label.prob > 0.5 else row.completions[::-1]
        longer += len(better.content.split()) > len(worse.content.split()) and label.prob != 0.5
        shorter += len(better.content.split()) < len(worse.content.split()) and label.prob != 0.5
    assert of_words(result)[1:3] == (longer, shorter)
