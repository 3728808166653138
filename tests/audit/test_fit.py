"""How rows fit a model: what is cut, how far answers are from its own, which pairs it orders."""

import numpy as np
import pytest
from planted_bias import write
from tiny import save_model

from prefsmith.audit.fit import Fit, fit_findings
from prefsmith.audit.run import audit
from prefsmith.errors import DataError
from prefsmith.evaluate.fit import Fitting, measure_fit

WORDS = ("a", "b", "c", "d", "e", "f")


def read(tmp_path, rows):
    return audit([(write(tmp_path / "rows.jsonl", rows), "train")], [], workers=0).data


def pairs(count):
    return [{"prompt": f"a b {number}", "chosen": "c d e", "rejected": "f"} for number in range(count)]


def planted(count=40, *, chosen=-2.0, rejected=-3.0, own=-2.0, tokens=(10, 10), longest=None, cut=0, reference=None):
    lengths = tuple(np.full(count, each) for each in tokens)
    nats = tuple(np.full(count, each) * length for each, length in zip((chosen, rejected), lengths, strict=True))
    places = np.arange(count)
    return Fit(
        model="m", sha256="0", reference="r" if reference else "", seed=0, sampled_from=count, longest=longest,
        row=places, prompt=places, prompt_tokens=np.full(count, 5), tokens=lengths, cut=places < cut, scored=lengths,
        nats=nats, reference_nats=reference, own=np.full(20, own), kinds={}, refused={},
    )  # fmt: skip


def found(fit, data):
    return {each.code: each for each in fit_findings(fit, data)}


def test_a_model_that_fits_gives_notes_alone(tmp_path):
    of = found(planted(), read(tmp_path, pairs(40)))
    assert set(of) == {"fit.length", "fit.distance", "fit.margin"}
    assert all(each.severity == "note" for each in of.values())
    assert of["fit.margin"].count == 40 and of["fit.margin"].numbers["ordered"]["value"] == 1.0


def test_answers_that_are_cut_are_a_warning_and_long_prompts_a_note(tmp_path):
    data = read(tmp_path, pairs(40))
    cut = found(planted(longest=12, cut=4), data)["fit.length"]
    assert (cut.severity, cut.count, cut.of) == ("warning", 4, 40) and cut.examples[0].text == "15 tokens"
    over = found(planted(longest=12), data)["fit.length"]
    assert (over.severity, over.count) == ("note", 40) and over.numbers["rows_over"] == 40
    assert found(planted(longest=15), data)["fit.length"].count == 0


@pytest.mark.parametrize(("own", "severity"), [(-1.2, "note"), (-0.8, "warning")])
def test_far_answers_are_far_per_token(tmp_path, own, severity):
    """Fault: sums are compared, so that long answers are far from everything."""
    of = found(planted(chosen=-2.0, own=own, tokens=(50, 3)), read(tmp_path, pairs(40)))["fit.distance"]
    assert of.severity == severity and of.numbers["own_less_chosen"] == pytest.approx(own + 2.0)
    assert of.numbers["rejected"]["value"] == pytest.approx(-3.0) and of.count == 40


def test_margins_are_of_sums_and_of_tokens(tmp_path):
    """A chosen side that is longer loses by the sum and wins by the token."""
    of = found(planted(chosen=-1.0, rejected=-2.0, tokens=(30, 10)), read(tmp_path, pairs(40)))["fit.margin"]
    assert of.count == 0 and of.numbers["ordered_per_token"]["value"] == 1.0
    assert of.numbers["margin"]["mean"] == pytest.approx(-10) and sum(of.numbers["histogram"]["pairs"]) == 40
    assert of.examples[0].text == "rejected is likelier by 10.0 nats"


def test_a_trained_model_is_judged_by_what_it_started_from_and_doubts_with_the_votes(tmp_path):
    """Rows 0 to 4 have two votes of three, rows 5 to 9 all three; the trained model turned against rows 0 to 6."""
    rows = [{"prompt": f"q {number}", "a": f"x {number}", "b": f"y {number}", "votes": [
        {"annotator": name, "vote": "b" if number < 5 and name == "three" else "a"} for name in ("one", "two", "three")
    ]} for number in range(10)]  # fmt: skip
    count = 10
    before = (np.full(count, -10.0), np.full(count, -20.0))
    fit = planted(count, chosen=-2.0, rejected=-2.0, reference=before)
    fit.nats[0][:7] = -30.0  # implicit margin (-30 + 10) - (-20 + 20) < 0
    of = found(fit, read(tmp_path, rows))
    assert of["fit.margin"].count == 10  # under the reference
    doubted = of["fit.doubted"]
    assert (doubted.count, doubted.of) == (5, 10) and doubted.proposal.rows.tolist() == [0, 1, 2, 3, 4]
    assert doubted.examples[0].text == "implicit margin -20.00 nats"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(save_model(tmp_path_factory.mktemp("fit") / "model", WORDS, max_position_embeddings=16))


def test_a_real_model_scores_what_it_would_score_in_training(tmp_path, model):
    rows = [{"prompt": "a b", "chosen": " c d e", "rejected": " f"},
            {"prompt": " ".join("abc" * 6), "chosen": " d e", "rejected": " f a b"},
            {"prompt": "a", "chosen": " " + " ".join("def" * 8), "rejected": " b"}]  # fmt: skip
    data = read(tmp_path, rows)
    fit = measure_fit(Fitting(model, token_budget=64), data, say=lambda line: None)
    assert fit.longest == 16 and fit.row.tolist() == [0, 1, 2] and fit.reference == ""
    assert [each.tolist() for each in fit.tokens] == [[4, 3, 25], [2, 4, 2]]  # with the end token
    assert fit.cut.tolist() == [False, False, True] and fit.scored[0][2] < 25
    assert (fit.prompt_tokens + np.maximum(*fit.tokens)).tolist() == [7, 23, 27]
    assert (fit.nats[0] < 0).all() and (fit.own < 0).all() and len(fit.own) == 3
    again = measure_fit(Fitting(model, token_budget=8192), data, say=lambda line: None)
    np.testing.assert_allclose(again.nats, fit.nats, rtol=1e-5)
    sampled = measure_fit(Fitting(model, rows=2, seed=1), data, say=lambda line: None)
    assert len(sampled) == 2 and sampled.sampled_from == 3


def test_rows_without_a_label_or_without_tokens_are_said(tmp_path, model):
    ties = [{"prompt": "a", "chosen": "b", "rejected": "c", "prob": 0.5}]
    assert measure_fit(Fitting(model), read(tmp_path, ties), say=lambda line: None) is None
    with pytest.raises(DataError, match="none of 1 sampled rows can be encoded"):
        measure_fit(Fitting(model, max_length=1), read(tmp_path, pairs(1)), say=lambda line: None)


def test_a_trained_run_is_set_beside_what_it_was_trained_from(tmp_path, model):
    """Fault: distance and margin of a run are those of its trained weights."""
    folder = tmp_path / "run"
    save_model(folder / "model", WORDS, max_position_embeddings=16, seed=3)
    (folder / "run.yaml").write_text(f"model: {{path: {model}}}\n", encoding="utf-8")
    data = read(tmp_path, [{"prompt": word, "chosen": " c d e", "rejected": " f"} for word in WORDS])
    base = measure_fit(Fitting(model), data, say=lambda line: None)
    fit = measure_fit(Fitting(str(folder)), data, say=lambda line: None)
    assert fit.reference == model and fit.implicit is not None
    np.testing.assert_allclose(fit.margin, base.margin, rtol=1e-6)
    np.testing.assert_allclose(fit.own, base.own, rtol=1e-6)
    assert np.abs(fit.nats[0] - base.nats[0]).min() > 1e-3
    np.testing.assert_allclose(fit.implicit, fit.nats[0] - fit.nats[1] - base.margin, rtol=1e-4, atol=1e-4)
