"""Findings on real files are the numbers that were counted by other programs."""

from prefsmith.audit.broken import Broken
from prefsmith.audit.contradictory import Contradictory
from prefsmith.audit.reading import HowToRead
from prefsmith.audit.repeated import Repeated
from prefsmith.audit.run import audit

CHECKS = (Broken(), Contradictory(), Repeated())


def found_in(path, **how):
    result = audit([(str(path), "train")], CHECKS, how=HowToRead(**how), workers=0)
    return {finding.code: finding for finding in result.findings}, result.data


def counts(found):
    return {code: finding.count for code, finding in found.items() if finding.severity != "note"}


def test_dialogues_of_hh(shared_data):
    found, data = found_in(shared_data / "hh_harmless.jsonl.gz")
    # 3 rows diverge before their last answer, 1 is empty; no pair is reversed, none is repeated.
    assert counts(found) == {"broken.diverge": 3, "broken.empty": 1}
    assert data.files[0].rows == found["broken.diverge"].of == 1381
    # Two prompts are used more than once, in four rows; no answer wins here and loses there.
    repeated = found["repeated.prompts"]
    assert (repeated.count, repeated.numbers["prompts"]) == (4, 2)
    assert "contradictory.both_sides" not in found


def test_votes_of_pandalm(shared_data):
    found, data = found_in(shared_data / "pandalm.jsonl.gz")
    assert len(data) == 584
    assert found["broken.type"].count == 6, "responses that are truth values"
    assert found["broken.verdict"].count == 16, "verdicts of gpt-3.5-turbo that are garbage"
    assert "gpt-3.5-turbo" in found["broken.verdict"].title
    assert "broken.same_words" not in found or found["broken.same_words"].count < 5
    assert found["repeated.prompts"].numbers["different_prompts"] == 99


def test_cycles_of_ukpconvarg(shared_data):
    found, data = found_in(shared_data / "ukpconvarg_votes.jsonl.gz")
    assert len(data) == 8895
    numbers = found["contradictory.cycle"].numbers
    assert numbers["of_comparisons"] == 6422, "pairs with a majority for one side"
    assert (numbers["cyclic_triples"], numbers["transitive_triples"]) == (1025, 35840)
    assert "contradictory.both_ways" not in found, "0 contradictory edges"


def test_soft_labels_of_alpaca(shared_data):
    columns = {"chosen": "b", "rejected": "a", "prob": "p_b"}
    found, data = found_in(shared_data / "alpaca_soft.jsonl.gz", columns=columns)
    assert data.files[0].rows == 2826 and found["broken.identical"].count == 7
    assert found["repeated.prompts"].numbers["different_prompts"] == 471
    assert found["repeated.prompts"].numbers["most_rows"] == 6, "one for each model"
