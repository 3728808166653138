"""Win rates of an experiment's methods over sampling temperatures, as its page shows them."""

from collections.abc import Sequence
from typing import Literal

from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field

from prefsmith.report.arms import title_of
from prefsmith.report.contested import Drawn, Rate
from prefsmith.report.rates import RatePoint, RateSeries, rates_plot

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Head and rows."""


class ShownRate(BaseModel):
    """A method at a temperature, as far as the page shows it."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    method: str
    settings: dict[str, float | str]
    temperature: float
    wins: int
    ties: int
    losses: int
    rate: Rate
    by_prompt: Drawn
    by_seed: list[float]
    reward: Rate
    tokens: Rate
    ended: Rate


class ShownClaim(BaseModel):
    """What a paper says, and what was found."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    name: str
    claim: str
    sides: list[str]
    difference: Drawn | None
    verdict: Literal["as in the paper", "the other way round", "not told apart", "not tested"]


class ShownRates(BaseModel):
    """All of it."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    judge: str
    prompts: int
    baseline: Rate
    rates: list[ShownRate] = Field(min_length=1)
    claims: list[ShownClaim]


def temperature_plot(found: ShownRates) -> Markup:
    """A line for each method; bars are Wilson's intervals."""
    series = [
        RateSeries(
            title, tuple(RatePoint(each.temperature, each.rate.value, each.rate.low, each.rate.high) for each in own)
        )
        for title, own in _by_title(found.rates).items()
    ]
    return rates_plot(
        "win-rates", "Win rate against temperature", "win rate against the data's answers", series, bars=True
    )


def rate_grid(found: ShownRates) -> Table:
    """A row for each method, a column for each temperature."""
    temperatures = sorted({each.temperature for each in found.rates})
    head = ("method", *(f"temperature {each:g}" for each in temperatures))
    rows = [
        (title, *(f"{each.rate.value:.3f} [{each.rate.low:.3f}, {each.rate.high:.3f}]" for each in own))
        for title, own in _by_title(found.rates).items()
    ]
    return head, rows


def detail_table(found: ShownRates) -> Table:
    """Everything that a rate is made of."""
    head = (
        "method", "temperature", "wins", "ties", "losses", "95 % over prompts", "by seed", "true reward", "tokens",
        "ended",
    )  # fmt: skip
    rows = [
        (
            title_of(each.method, each.settings),
            f"{each.temperature:g}",
            *(f"{count:,}" for count in (each.wins, each.ties, each.losses)),
            _ends(each.by_prompt),
            ", ".join(f"{value:.3f}" for value in each.by_seed),
            f"{each.reward.value:+.2f} [{each.reward.low:+.2f}, {each.reward.high:+.2f}]".replace("-", "\u2212"),
            f"{each.tokens.value:.1f}",
            f"{each.ended.value:.1%}",
        )
        for each in found.rates
    ]
    return head, rows


def numbers_of(claim: ShownClaim) -> str:
    """The difference behind a claim, and of whom it is; empty where nothing tests it."""
    if claim.difference is None or claim.difference.value is None:
        return ""
    return f"{' beside '.join(claim.sides)}: {claim.difference.value:+.3f} {_ends(claim.difference, '+.3f')}"


def _by_title(rates: Sequence[ShownRate]) -> dict[str, list[ShownRate]]:
    """By rising temperature."""
    found: dict[str, list[ShownRate]] = {}
    for each in sorted(rates, key=lambda each: each.temperature):
        found.setdefault(title_of(each.method, each.settings), []).append(each)
    titles = dict.fromkeys(title_of(each.method, each.settings) for each in rates)
    return {title: found[title] for title in titles}


def _ends(value: Drawn, form: str = ".3f") -> str:
    return "unknown" if value.low is None or value.high is None else f"[{value.low:{form}}, {value.high:{form}}]"
