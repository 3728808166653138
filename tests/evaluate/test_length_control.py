"""Win rates at equal lengths: planted judges, coefficients that are known, and models whose rates are published."""

import gzip
import json

import numpy as np
import pytest

from prefsmith.evaluate.length_control import difficulties, length_controlled, rate_at_equal_length, standardised

PUBLISHED = {
    "FuseChat-Gemma-2-9B-Instruct": 70.18,
    "FuseChat-Llama-3.1-8B-Instruct": 65.39,
    "Mixtral-8x7B-Instruct-v0.1_concise": 22.96,
    "claude-2.1": 25.25,
    "claude-instant-1.2": 25.61,
    "gpt-3.5-turbo-0301": 18.09,
    "gpt-3.5-turbo-1106": 19.30,
    "gpt35_turbo_instruct": 17.73,
    "gpt4_0613_concise": 21.58,
    "jina-chat": 15.87,
    "vicuna-13b-v1.5-togetherai": 11.69,
}
"""Length-controlled win rates of AlpacaEval 2's leaderboard, in percent."""
JUDGE = "weighted_alpaca_eval_gpt4_turbo"
GAMED = ("gpt4_gamed", "NullModel", "gpt4_1106_preview")


def planted(theta, phi, *, n=4000, longer=60.0, seed=0):
    """Verdicts of a judge whose coefficients are known, on answers that are longer by so much on average."""
    generator = np.random.default_rng(seed)
    lengths = generator.normal(300 + longer, 80, n).round()
    others = generator.normal(300, 80, n).round()
    chance = 1 / (1 + np.exp(-theta - phi * standardised(lengths - others)))
    scores = (generator.random(n) < chance).astype(float)
    return scores, lengths, others, [f"p{number}" for number in range(n)]


def test_a_rate_that_length_alone_has_made_is_one_half():
    scores, lengths, others, prompts = planted(0.0, 2.0)
    assert scores.mean() > 0.6
    found = length_controlled(scores, lengths, others, prompts, draws=200)
    assert found.rate.value == pytest.approx(0.5, abs=0.03)
    assert found.rate.low < 0.5 < found.rate.high
    assert found.length == pytest.approx(2.0, abs=0.2) and found.longer == pytest.approx(60, abs=5)


def test_a_side_that_is_better_stays_better_and_one_that_is_short_gains():
    better, lengths, others, prompts = planted(0.8, 2.0)
    found = length_controlled(better, lengths, others, prompts, draws=2)
    assert found.strength == pytest.approx(0.8, abs=0.15)
    assert found.rate.value == pytest.approx(1 / (1 + np.exp(-0.8)), abs=0.03)
    short = length_controlled(*planted(0.0, 2.0, longer=-60.0), draws=2)
    assert short.rate.value == pytest.approx(0.5, abs=0.04)


def test_where_judges_do_not_look_at_length_nothing_changes():
    scores, lengths, others, prompts = planted(0.4, 0.0)
    found = length_controlled(scores, lengths, others, prompts, draws=2)
    assert found.rate.value == pytest.approx(scores.mean(), abs=0.02)
    assert found.length == pytest.approx(0, abs=0.2)


def test_equal_lengths_leave_the_rate_as_it_is():
    scores = np.array([1.0] * 70 + [0.5] * 10 + [0.0] * 20)
    prompts = [f"p{number}" for number in range(100)]
    found = length_controlled(scores, np.full(100, 50), np.full(100, 50), prompts, draws=300)
    assert found.rate.value == pytest.approx(0.75, abs=1e-3)
    assert (found.length, found.scale, found.longer) == (0, 0, 0)
    assert found.rate.low == pytest.approx(0.67, abs=0.03) and found.rate.high == pytest.approx(0.83, abs=0.03)


def test_a_side_that_wins_always_has_a_finite_rate():
    found = length_controlled(np.ones(40), np.arange(40), np.zeros(40), [f"p{n}" for n in range(40)], draws=50)
    assert 0.9 < found.rate.value < 1.0
    assert np.isnan([found.rate.low, found.rate.high]).all()  # forty equal draws are no certainty
    assert np.isfinite([found.strength, found.length]).all()
    assert found.warnings() == ["98% of the answers are longer than the other side's: equal lengths are a guess"]


def test_the_fit_is_where_its_gradient_is_zero():
    """The penalised likelihood is smallest there: checked by its own formula, of draws with repeated rows."""
    scores, lengths, others, _ = planted(0.5, 1.0, n=60)
    columns = np.column_stack([np.ones(60), standardised(lengths - others)])
    counts = np.stack([np.ones(60), np.repeat([3.0, 0.0, 0.0], 20)])
    from prefsmith.evaluate.length_control import RIDGE, _fit

    for coefficients, times in zip(_fit(columns, scores, counts), counts, strict=True):
        chance = 1 / (1 + np.exp(-columns @ coefficients))
        np.testing.assert_allclose(columns.T @ (times * (scores - chance)), RIDGE * coefficients, atol=1e-8)


def test_prompts_are_told_apart_by_several_sides_and_not_by_one():
    generator = np.random.default_rng(5)
    hard = generator.normal(size=400)
    prompts = [f"p{number}" for number in range(400)]
    scores, lengths = [], []
    for theta, phi in ((-0.5, 1.0), (0.0, 2.0), (0.5, 0.5), (0.2, 1.5), (-0.2, 1.0), (0.3, 1.0)):
        length = standardised(generator.normal(30, 80, 400))
        lengths.append(length)
        scores.append((generator.random(400) < 1 / (1 + np.exp(-theta - phi * length - hard))).astype(float))
    found = difficulties(scores, lengths, [prompts] * 6)
    assert found is not None
    assert np.corrcoef([found[prompt] for prompt in prompts], hard)[0, 1] > 0.65
    assert difficulties(scores[:1], lengths[:1], [prompts]) is None


def test_the_rate_is_a_mean_over_prompts_of_every_difficulty():
    """With theta 0 and psi 2: the mean of s(2) and s(-2), one half each, by draws that have one of them alone too."""
    rows = np.array([[1.0, 1.0, 0.0, 1.0]] * 880 + [[0.0, 1.0, 0.0, 1.0]] * 120)
    rows = np.concatenate([rows, rows * [1, 1, 1, -1]])
    rows[1000:, 0] = 1 - rows[1000:, 0]  # where 880 of 1000 are won, 120 of 1000 are
    counts = np.stack([np.ones(2000), np.repeat([1.0, 0.0], 1000), np.repeat([0.0, 1.0], 1000)])
    np.testing.assert_allclose(rate_at_equal_length(rows, counts), [0.5, 0.88, 0.12], atol=1e-3)


def test_published_rates_are_met_within_a_few_points(shared_data):
    """With difficulties from the models at hand; the leaderboard's come from all of its models."""
    rows: dict[str, list[dict]] = {}
    with gzip.open(shared_data / "alpaca_eval_judgments.jsonl.gz", "rt") as file:
        for line in file:
            row = json.loads(line)
            if row["annotator"] == JUDGE and row["model"] not in GAMED:
                rows.setdefault(row["model"], []).append(row)
    scores = {model: np.array([row["preference"] - 1 for row in each]) for model, each in rows.items()}
    lengths = {
        model: standardised(np.array([float(row["len2"] - row["len1"]) for row in each]))
        for model, each in rows.items()
    }
    prompts = {model: [row["key"] for row in each] for model, each in rows.items()}
    hard = difficulties(list(scores.values()), list(lengths.values()), list(prompts.values()))
    assert set(PUBLISHED) <= set(rows)
    gaps, raw_gaps = [], []
    for model, published in PUBLISHED.items():
        ours, theirs = ([row[name] for row in rows[model]] for name in ("len2", "len1"))
        found = length_controlled(scores[model], ours, theirs, prompts[model], difficulty=hard, draws=2)
        gaps.append(abs(100 * found.rate.value - published))
        raw_gaps.append(abs(100 * scores[model].mean() - published))
    assert max(gaps) < 7 and np.mean(gaps) < 3
    assert np.mean(raw_gaps) > 7  # what it is without the control
