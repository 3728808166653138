"""The page of `eval winrate`: the chart, the table below it, methods beside each other, and how it was measured."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from markupsafe import Markup
from pydantic import ValidationError

from prefsmith.errors import ConfigError
from prefsmith.report.contested import Drawn, Rate, Signs, StandingPart, WinRateEvidence
from prefsmith.report.excerpt import Drawing, Excerpt, grid
from prefsmith.report.page import templates, write_page
from prefsmith.report.rates import RatePoint, RateSeries, rates_plot

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Head and rows."""
CHART = (
    "Bands and bars are Wilson\u2019s intervals, a prompt as one trial. The line at one half is that of equals. "
    "A highest point is chosen by its height, and is a little too high for that."
)
RATES = (
    "Over prompts: whole prompts are drawn with replacement. It takes: prompts after which a test at 5 % tells this "
    "rate from one half in four of five trials."
)


def write_winrate_page(folder: Path) -> Path:
    """Draw report.html from the evidence.json of a folder.

    Raises:
        ConfigError: there is no such evidence, or the page cannot be written.
    """
    source = folder / "evidence.json"
    try:
        evidence = WinRateEvidence.model_validate_json(source.read_bytes())
    except (OSError, ValidationError) as error:
        what, fix = "this is no evidence of win rates", "write it again with `prefsmith eval winrate`"
        raise ConfigError("winrate.evidence", what, where=str(source), fix=fix) from error
    path = folder / "report.html"
    write_page(path, winrate_page(evidence))
    return path


def winrate_page(evidence: WinRateEvidence) -> str:
    """The page as HTML; the same evidence gives the same text."""
    equal = [_equal_series(name, of) for name, of in _by_method(evidence).items()]
    return (
        templates()
        .get_template("winrate.html")
        .render(
            version=evidence.version,
            evidence=evidence,
            results=list(results(evidence)),
            chart=_rate_chart("rates", evidence),
            chart_caption=CHART,
            equal_chart=_chart("equal-length", "Win rate at equal length", "win rate at equal length", equal),
            rates=rate_table(evidence.standings),
            rates_rule=RATES,
            counts=count_table(evidence.standings),
            lengths=length_table(evidence.standings),
            between=between_table(evidence),
            answers=answer_table(evidence),
            judge=_facts(evidence.judge),
            settings=_facts(evidence.settings),
        )
    )


def winrate_excerpt(evidence: WinRateEvidence, name: str) -> Excerpt:
    """What the page of a run says of it.

    Args:
        evidence: the whole of it.
        name: unique in the page, for the drawing.
    """
    chart = _rate_chart(f"{name}-rates", evidence)
    return Excerpt(
        title=f"Win rate against {evidence.baseline}",
        results=tuple(results(evidence)),
        drawings=() if chart is None else (Drawing(chart, CHART),),
        grids=(grid("Win rates", *rate_table(evidence.standings), RATES),),
        warnings=evidence.warnings,
        weights=frozenset(_weights(evidence.settings)),
    )


def results(evidence: WinRateEvidence) -> Iterator[str]:
    """The best of each method, in a sentence."""
    for name, of in _by_method(evidence).items():
        known = [each for each in of if each.rate is not None]
        if not known:
            yield f"{name}: no pair has a verdict."
            continue
        best = max(known, key=lambda each: each.rate.value if each.rate else 0.0)
        assert best.rate is not None  # of those that are known
        many = f", its highest of {len(known)} temperatures" if len(known) > 1 else ""
        yield (
            f"{name} wins {best.rate.value:.1%} [{best.rate.low:.1%}, {best.rate.high:.1%}] against "
            f"{evidence.baseline}{_at(best)}{many}; {best.rate.n:,.0f} prompts."
        )


def rate_table(standings: Sequence[StandingPart]) -> Table:
    """The rates and how sure they are."""
    head = (
        "method", "temperature", "win rate", "95 % Wilson", "95 % over prompts", "all invalid lost", "all invalid won",
        "p against one half", "prompts it takes",
    )  # fmt: skip
    rows = [
        (
            each.method,
            _temperature(each.temperature),
            "none" if each.rate is None else f"{each.rate.value:.3f}",
            _ends(each.rate),
            _ends(each.by_prompt),
            _number(each.if_lost),
            _number(each.if_won),
            _chance(each.against_half),
            "" if each.needed is None else f"{each.needed:,}",
        )
        for each in standings
    ]
    return head, rows


def count_table(standings: Sequence[StandingPart]) -> Table:
    """Everything that was said, and what was not."""
    head = (
        "method", "temperature", "prompts", "pairs", "wins", "losses", "ties", "equal texts",
        "orders disagree", "invalid", "no vote", "for the first shown",
    )  # fmt: skip
    rows = [
        (
            each.method,
            _temperature(each.temperature),
            *(f"{value:,}" for value in (each.prompts, each.pairs, each.wins, each.losses, each.ties, each.identical)),
            f"{each.inconsistent:,} of {each.asked_twice:,}" if each.asked_twice else "asked once",
            f"{each.invalid:,}",
            f"{each.unjudged:,}",
            "" if each.shown_first is None else f"{_number(each.shown_first.value)} {_ends(each.shown_first)}".strip(),
        )
        for each in standings
    ]
    return head, rows


def length_table(standings: Sequence[StandingPart]) -> Table:
    """The rates at equal lengths, and what length is worth."""
    head = (
        "method", "temperature", "win rate", "at equal length", "95 % over prompts", "longer by, characters",
        "theta", "phi", "psi",
    )  # fmt: skip
    rows = [
        (
            each.method,
            _temperature(each.temperature),
            "" if each.rate is None else f"{each.rate.value:.3f}",
            _number(equal.rate.value),
            _ends(equal.rate),
            f"{equal.longer:+,.1f}",
            f"{equal.strength:+.2f}",
            f"{equal.length:+.2f}",
            "" if equal.difficulty is None else f"{equal.difficulty:+.2f}",
        )
        for each in standings
        if (equal := each.equal_length) is not None
    ]
    return head, rows


def between_table(evidence: WinRateEvidence) -> Table:
    """Two methods on the same prompts."""
    head = ("methods", "temperature", "difference", "95 % over prompts", "better", "worse", "p", "prompts", "it takes")
    rows = [
        (
            f"{each.first} less {each.second}",
            _temperature(each.temperature),
            "" if each.difference.value is None else f"{each.difference.value:+.3f}",
            _ends(each.difference, "+.3f"),
            f"{each.test.better:,}",
            f"{each.test.worse:,}",
            _chance(each.test),
            f"{each.prompts:,}",
            "" if each.needed is None else f"{each.needed:,}",
        )
        for each in evidence.between
    ]
    return head, rows


def answer_table(evidence: WinRateEvidence) -> Table:
    """What was answered."""
    head = ("side", "temperature", "answers", "mean tokens", "mean characters", "cut", "prompts shortened")
    rows = [
        (
            each.side,
            _temperature(each.temperature),
            f"{each.n:,}",
            "" if each.tokens is None else f"{each.tokens:,.1f}",
            f"{each.characters:,.1f}",
            f"{each.cut:,}",
            f"{each.shortened:,}",
        )
        for each in evidence.answers
    ]
    return head, rows


def _by_method(evidence: WinRateEvidence) -> dict[str, list[StandingPart]]:
    found: dict[str, list[StandingPart]] = {}
    for each in sorted(evidence.standings, key=lambda each: each.temperature or 0.0):
        found.setdefault(each.method, []).append(each)
    names = dict.fromkeys(each.method for each in evidence.standings)
    return {name: found[name] for name in names}


def _series(name: str, of: Sequence[StandingPart]) -> RateSeries:
    points = [
        RatePoint(each.temperature, each.rate.value, each.rate.low, each.rate.high)
        for each in of
        if each.rate is not None
    ]
    return RateSeries(name, tuple(points))


def _equal_series(name: str, of: Sequence[StandingPart]) -> RateSeries:
    """Where the ends are known."""
    rates = [(each.temperature, each.equal_length.rate) for each in of if each.equal_length is not None]
    points = [
        RatePoint(temperature, rate.value, rate.low, rate.high)
        for temperature, rate in rates
        if rate.value is not None and rate.low is not None and rate.high is not None
    ]
    return RateSeries(name, tuple(points))


def _weights(settings: Mapping[str, object]) -> Iterator[str]:
    """sha256 of the folders of the models that were compared; a reference is none of them."""
    methods = settings.get("methods")
    sides = [*methods.values()] if isinstance(methods, Mapping) else []
    for side in [*sides, settings.get("against")]:
        if isinstance(side, Mapping) and side.get("kind") == "model" and isinstance(side.get("sha256"), str):
            yield side["sha256"]


def _rate_chart(name: str, evidence: WinRateEvidence) -> Markup | None:
    unit = f"win rate against {evidence.baseline}"[:60]
    return _chart(name, "Win rate", unit, [_series(method, of) for method, of in _by_method(evidence).items()])


def _chart(name: str, title: str, unit: str, series: Sequence[RateSeries]) -> Markup | None:
    drawn = [each for each in series if each.points]
    return rates_plot(name, title, unit, drawn) if drawn else None


def _facts(values: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in values.items()]


def _at(standing: StandingPart) -> str:
    return "" if standing.temperature is None else f" at temperature {standing.temperature:g}"


def _temperature(value: float | None) -> str:
    return "as given" if value is None else f"{value:g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _ends(rate: Rate | Drawn | None, form: str = ".3f") -> str:
    if rate is None:
        return ""
    return "unknown" if rate.low is None or rate.high is None else f"[{rate.low:{form}}, {rate.high:{form}}]"


def _chance(signs: Signs) -> str:
    return "below 0.0001" if signs.p < 1e-4 else f"{signs.p:.4f}"
