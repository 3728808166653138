"""The drawings of an audit's page, each with its table: lengths, effects, writers, annotators, topics, the model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from prefsmith.report.audited import AuditEvidence, Found
from prefsmith.report.bars import steps_plot
from prefsmith.report.dots import Dot, dot_plot
from prefsmith.train.findings import written

DRAWN = 24
"""Rows of a drawing; the table below it has more."""
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below a header, and what to know of them."""

    header: Row
    rows: list[Row]
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing, what it shows, and its numbers."""

    drawing: Markup | None
    caption: str
    table: Table


@dataclass(frozen=True, slots=True)
class Part:
    """A section of the page."""

    name: str
    title: str
    figures: list[Figure]


def lengths(evidence: AuditEvidence) -> Part | None:
    """Words of chosen and rejected sides."""
    found = evidence.of("biased.length")
    if found is None or "histogram" not in found.numbers:
        return None
    bins, words = found.numbers["histogram"], found.numbers["words"]
    edges = bins["edges"]
    drawing = steps_plot("lengths", "Words of chosen and rejected sides", "words of a side (bins grow with length)",
                         edges, {side: bins[side] for side in ("chosen", "rejected")})  # fmt: skip
    rows = [
        (f"{low:,} to {high - 1:,}" if high - 1 > low else f"{low:,}", f"{one:,}", f"{two:,}")
        for low, high, one, two in zip(edges, edges[1:], bins["chosen"], bins["rejected"], strict=False)
    ]
    names = list(words["chosen"])
    spread = [(name, *(written(words[side][name], ",.1f") for side in ("chosen", "rejected"))) for name in names]
    return Part("lengths", "Lengths", [
        Figure(drawing, "Pairs by the words of their sides.", Table(("words", "chosen", "rejected"), rows)),
        Figure(None, "", Table(("of words", "chosen", "rejected"), spread, "p05 to p95: percentiles over pairs.")),
    ])  # fmt: skip


def effects(evidence: AuditEvidence) -> Part | None:
    """Every surface feature against the label, and the probe of all of them."""
    codes = ("biased.length", "biased.formatting", "biased.refusals")
    features = [each for code in codes if (found := evidence.of(code)) for each in found.numbers.get("features", ())]
    if not features:
        return None
    star = [each["feature"] + (" *" if each.get("told_from_none") else "") for each in features]
    shares = [
        (name, f"{each['chosen_more']:,}", f"{each['chosen_less']:,}", f"{each['equal']:,}", _share(each["share"]),
         _ends(each["share"]))
        for name, each in zip(star, features, strict=True)
    ]  # fmt: skip
    sizes = [
        (name, _number(each["standardised_difference"]), _ends(each["standardised_difference"], percent=False))
        for name, each in zip(star, features, strict=True)
    ]
    header = ("feature", "chosen has more", "less", "equal", "more, of those that differ", "95 %")
    rule = "A star: told from no leaning by an interval that holds for all features at once."
    figures: list[Figure] = []
    if dots := [_dot(each["feature"], each["share"]) for each in features if each["share"]["value"] is not None]:
        unit = "pairs whose chosen side has more, of those that differ"
        drawing = dot_plot("effects", "Surface features against the label", unit, dots, level=0.5)
        caption = "Right of the dashed line chosen sides have more of a feature. Bars are 95 % intervals over prompts."
        figures.append(Figure(drawing, caption, Table(header, shares, rule)))
    differing = [each for each in features if each["standardised_difference"]["low"] is not None]
    if dots := [_dot(each["feature"], each["standardised_difference"]) for each in differing]:
        unit = "mean of chosen less rejected, in standard deviations"
        drawing = dot_plot("differences", "Standardised mean differences", unit, dots, level=0.0, percent=False)
        caption = "The same by size: pairs that differ much count more."
        figures.append(Figure(drawing, caption, Table(("feature", "difference", "95 %"), sizes)))
    figures += _probed(evidence.of("biased.surface"))
    return Part("effects", "What tells chosen from rejected", figures)


def writers(evidence: AuditEvidence) -> Part | None:
    """Who wins how often."""
    found = evidence.of("biased.source")
    if found is None or not found.numbers.get("writers"):
        return None
    of = found.numbers["writers"]
    rows = [
        (each["writer"], f"{each['wins']:,}", f"{each['share']['n']:,}", _share(each["share"]), _ends(each["share"]))
        for each in of
    ]
    dots = [_dot(each["writer"], each["share"]) for each in of[:DRAWN]]
    return Part("writers", "Who wrote the sides", [
        Figure(dot_plot("writers-plot", "Share of wins of each writer", "pairs won, of those with another writer", dots,
                        level=0.5),
               "Pairs of two different writers. Far from the dashed line the name says what the label says.",
               Table(("writer", "won", "pairs", "share", "95 %"), rows)),
    ])  # fmt: skip


def annotators(evidence: AuditEvidence) -> Part | None:
    """Agreement, each annotator beside the others, and their places."""
    found, agreement, places = (
        evidence.of(code) for code in ("unreliable.annotators", "unreliable.agreement", "biased.position")
    )
    figures: list[Figure] = []
    if found is not None:
        of = found.numbers["annotators"]
        rows = [(each["annotator"], "program" if each["program"] else "person", f"{each['share']['n']:,}",
                 _share(each["share"]), _ends(each["share"]), each["verdict"]) for each in of]  # fmt: skip
        dots = [_dot(each["annotator"], each["share"], hollow=each["program"]) for each in of[:DRAWN]]
        figures.append(Figure(
            dot_plot("annotators-plot", "Annotators beside the majority of the others",
                     "votes that say what most others say", dots, level=0.5),
            "The least reliable first. The dashed line is a coin; hollow squares are programs.",
            Table(("annotator", "is a", "votes", "with the others", "95 %", "verdict"), rows,
                  f"Verdicts {found.numbers['rule']}."),
        ))  # fmt: skip
    if agreement is not None and (of := agreement.numbers.get("categories")):
        rows = [(each["category"], f"{each['pairs']:,}", _share(each["agreement"]), _ends(each["agreement"]),
                 _number(each["alpha"]), "below the whole" if each["below"] else "") for each in of]  # fmt: skip
        figures.append(Figure(None, "", Table(("category", "pairs", "votes agree", "95 %", "alpha", ""), rows)))
    if places is not None and (of := places.numbers.get("annotators")):
        rows = [(each["annotator"], f"{each['share']['n']:,}", _share(each["share"]), _ends(each["share"]),
                 "looks at places" if each["swayed"] else "") for each in of]  # fmt: skip
        figures.append(Figure(None, "", Table(("annotator", "votes", "for the first place", "95 %", ""), rows)))
    return Part("annotators", "Annotators", figures) if figures else None


def coverage(evidence: AuditEvidence) -> Part | None:
    """Topics, tags, turns, languages."""
    figures: list[Figure] = []
    found = evidence.of("uncovered.topics")
    if found is not None and (of := found.numbers.get("topics")):
        names = [", ".join(each["terms"]) or "no word stands out" for each in of]
        rows = [(name, f"{each['prompts']:,}", _share(each["share"]), _ends(each["share"]), f"{each['evaluated']:,}",
                 "thin" if each["thin"] else "") for name, each in zip(names, of, strict=True)]  # fmt: skip
        dots = [_dot(name, each["share"], hollow=each["thin"]) for name, each in zip(names, of, strict=True)]
        figures.append(Figure(
            dot_plot("topics", "Topics of the prompts", "share of the sampled prompts", dots[:DRAWN]),
            "Clusters of the prompts' words, named by the words that stand out; hollow squares are thin topics.",
            Table(("topic", "prompts", "share", "95 %", "evaluated", ""), rows)))  # fmt: skip
    for code, name in (("tags", "tag"), ("turns", "turns"), ("languages", "language")):
        found = evidence.of(f"uncovered.{code}")
        if found is not None and (of := found.numbers.get(code)):
            rows = [(str(each[name]), f"{each['rows']:,}", _share(each["share"]), _ends(each["share"]),
                     "thin" if each["thin"] else "") for each in of]  # fmt: skip
            figures.append(Figure(None, "", Table((name, "rows", "share", "95 %", ""), rows)))
    return Part("coverage", "What the prompts are about", figures) if figures else None


def model(evidence: AuditEvidence) -> Part | None:
    """How the rows fit a model."""
    margin, length, distance = (evidence.of(f"fit.{code}") for code in ("margin", "length", "distance"))
    if margin is None or length is None or distance is None:
        return None
    bins = margin.numbers["histogram"]
    edges = bins["edges"]
    rows = [(f"{_signed(low)} to {_signed(high)}", f"{count:,}")
            for low, high, count in zip(edges, edges[1:], bins["pairs"], strict=False)]  # fmt: skip
    drawing = steps_plot("margins", "Margins before training", "log-probability of chosen less rejected, nats", edges,
                         {"pairs": bins["pairs"]}, even=True, level=0.0)  # fmt: skip
    of = length.numbers["tokens"]
    tokens = [(name, *(written(each[key], ",.0f") for key in each)) for name, each in of.items()]
    sides = [(name, _number(distance.numbers[key]), _ends(distance.numbers[key], percent=False))
             for name, key in (("chosen", "chosen"), ("rejected", "rejected"), ("the model's own answers", "own"))
             ]  # fmt: skip
    return Part("model", "How the rows fit the model", [
        Figure(drawing, "Right of the dotted line the model orders a pair as its label does before any training. The "
               "outermost bins hold all that is beyond them.", Table(("margin, nats", "pairs"), rows)),
        Figure(None, "", Table(("answers", "nats per token", "95 %"), sides, "How likely the model finds answers.")),
        Figure(None, "", Table(("tokens of", *next(iter(of.values()))), tokens, "Before anything is cut.")),
    ])  # fmt: skip


PARTS: tuple[Callable[[AuditEvidence], Part | None], ...] = (lengths, effects, writers, annotators, coverage, model)


def _probed(found: Found | None) -> list[Figure]:
    """What the probe of all features came to."""
    if found is None:
        return []
    numbers = found.numbers
    weights = sorted(numbers["weights"].items(), key=lambda each: -abs(each[1]))
    rows = [("accuracy on held-out prompts", f"{_share(numbers['accuracy'])} {_ends(numbers['accuracy'])}"),
            *((f"weight of {name}", written(value, "+.2f")) for name, value in weights)]  # fmt: skip
    rule = (
        f"A logistic regression on differences of all features, {numbers['pairs']:,} pairs of "
        f"{numbers['prompts']:,} prompts; from {numbers['learnt_from']:.0%} on a model will learn them instead."
    )
    return [Figure(None, "", Table(("probe of all features", ""), rows, rule))]


def _dot(name: str, value: dict[str, Any], *, hollow: bool = False) -> Dot:
    return Dot(name, value["value"], value["low"], value["high"], hollow)


def _share(value: dict[str, Any]) -> str:
    return "-" if value["value"] is None else f"{100 * value['value']:.1f} %"


def _number(value: dict[str, Any]) -> str:
    return "-" if value["value"] is None else written(value["value"], ".3f")


def _ends(value: dict[str, Any], *, percent: bool = True) -> str:
    if value["low"] is None or value["high"] is None:
        return ""
    low, high = (100 * value[end] if percent else value[end] for end in ("low", "high"))
    form = ".1f" if percent else ".3f"
    return f"[{written(low, form)}, {written(high, form)}]"


def _signed(value: float) -> str:
    return written(value, "+,.1f")
