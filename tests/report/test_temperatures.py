"""Win rates over temperatures on an experiment's page: every number is there, and nothing in it acts."""

import pytest

from prefsmith.report.temperatures import ShownRates, detail_table, numbers_of, rate_grid, temperature_plot


def number(value, half=0.03):
    return {"value": value, "low": value - half, "high": value + half, "n": 500}


def drawn(value, half=0.03):
    return {**number(value, half), "n": 500, "clusters": 500}


def made(verdict="as in the paper", **changes):
    rates = [
        {"arm": method, "method": method, "settings": settings, "temperature": temperature, "wins": 300, "ties": 40,
         "losses": 160, "rate": number(value), "by_prompt": drawn(value), "by_seed": [value - 0.01, value + 0.01],
         "reward": number(-1.25), "tokens": number(11.5), "ended": number(0.98, 0.01)}
        for method, settings, values in (
            ("reference", {}, (0.5, 0.4)),
            ("dpo", {"beta": 0.3}, (0.8, 0.6)),
            ("rloo", {"reward": "learned"}, (0.7, 0.5)),
        )
        for temperature, value in zip((1.0, 0.0), reversed(values), strict=True)
    ]  # fmt: skip
    claims = [
        {"name": "W1", "claim": "DPO is above <b>its start</b>", "sides": ["dpo, beta 0.3", "reference"],
         "difference": drawn(0.3), "verdict": verdict},
        {"name": "W2", "claim": "more", "sides": [], "difference": None, "verdict": "not tested"},
    ]  # fmt: skip
    return ShownRates.model_validate(
        {"judge": "true reward", "prompts": 500, "baseline": number(1.8), "rates": rates, "claims": claims} | changes
    )


def test_a_row_for_each_method_and_a_column_for_each_temperature_in_rising_order():
    head, rows = rate_grid(made())
    assert head == ("method", "temperature 0", "temperature 1")
    assert rows == [
        ("the start", "0.500 [0.470, 0.530]", "0.400 [0.370, 0.430]"),
        ("DPO, beta 0.3", "0.800 [0.770, 0.830]", "0.600 [0.570, 0.630]"),
        ("RLOO, learned reward", "0.700 [0.670, 0.730]", "0.500 [0.470, 0.530]"),
    ]


def test_details_and_claims_are_told_with_their_intervals():
    _, rows = detail_table(made())
    assert rows[0] == ("the start", "1", "300", "40", "160", "[0.370, 0.430]", "0.390, 0.410",
                       "\u22121.25 [\u22121.28, \u22121.22]", "11.5", "98.0%")  # fmt: skip
    assert [numbers_of(claim) for claim in made().claims] == [
        "dpo, beta 0.3 beside reference: +0.300 [+0.270, +0.330]",
        "",
    ]


def test_the_drawing_says_every_rate_and_names_every_method():
    drawing = temperature_plot(made())
    for words in (
        "the start at temperature 0: 0.500, interval 0.470 to 0.530",
        "DPO, beta 0.3 at temperature 1: 0.600",
    ):
        assert words in drawing
    assert drawing == temperature_plot(made())


def test_a_verdict_that_nobody_gives_is_refused():
    with pytest.raises(ValueError, match="verdict"):
        made(verdict="proved")
