"""The page about an implicit reward: its tables, which the terminal shows too, and a drawing above each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from markupsafe import Markup

from prefsmith.report.dots import Dot, dot_plot
from prefsmith.report.page import POLICY, templates
from prefsmith.report.reliability import Reliability, reliability_plot
from prefsmith.train.findings import written

MOST_PARTS = 24
"""Parts that the page shows; evidence.json has them all."""
Numbers = Mapping[str, Any]
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page and the terminal say.

    Args:
        about: what was measured on what, a sentence.
        result: what came of it, a sentence.
        rules: accuracy of each rule, header first.
        numbers: the other main numbers, header first.
        warnings: what has to be known about them.
    """

    about: str
    result: str
    rules: tuple[Row, ...]
    numbers: tuple[Row, ...]
    warnings: tuple[str, ...]


def facts_of(evidence: Numbers) -> Facts:
    """The main tables of what `evaluate.inspection` and the method wrote.

    Args:
        evidence: as evidence.json has it.
    """
    policy, rule = evidence["rules"][0]["accuracy"], _best_rule(evidence["rules"])
    about = (
        f"Implicit reward of {evidence['model']['path']} against {evidence['reference']['path']}, beta "
        f"{evidence['beta']['value']:g} ({evidence['beta']['from']}): {evidence['pairs']:,} pairs of "
        f"{evidence['prompts']:,} prompts."
    )
    result = (
        f"It prefers the better answer in {share(policy)} {ends(policy, share)} of {policy['n']:,} pairs; the best "
        f"rule without training, \u201c{rule['name']}\u201d, in {share(rule['accuracy'])}."
    )
    return Facts(about, result, _rules(evidence["rules"]), _numbers(evidence), tuple(evidence["warnings"]))


def page(evidence: Numbers) -> str:
    """The page as HTML; the same evidence gives the same text."""
    parts = evidence["parts"][:MOST_PARTS]
    return (
        templates()
        .get_template("implicit.html")
        .render(
            policy=POLICY,
            facts=facts_of(evidence),
            name=str(evidence["model"]["path"]),
            accuracy_svg=dot_plot("accuracy", "Accuracy of each rule", "share of the pairs that is told right",
                                     [_dot(each["name"], each["accuracy"], hollow=place > 0)
                                      for place, each in enumerate(evidence["rules"])], level=0.5),
            reliability_svg=_reliability(evidence["calibration"]["bins"]),
            bins=_bins(evidence["calibration"]["bins"]),
            ece=_ece(evidence["calibration"]["ece"]),
            length=_length(evidence["length"]),
            sides=_sides(evidence["length"]["preferred_side"]),
            parts_svg=_parts_plot(parts),
            parts=_parts(parts),
            left_out=len(evidence["parts"]) - len(parts),
            measured=_measured(evidence),
            version=version("prefsmith"),
        )
    )  # fmt: skip


def share(value: Numbers) -> str:
    """A share in per cent; a hyphen where it is undefined."""
    return "-" if value["value"] is None else percent(value["value"])


def percent(value: float) -> str:
    """In per cent, with a real minus."""
    return f"{written(100 * value, '.1f')} %"


def ends(value: Numbers, form: object = None) -> str:
    """The interval in brackets, in per cent for shares; empty where it is unknown."""
    if value["low"] is None or value["high"] is None:
        return ""
    if form is share:
        return f"[{written(100 * value['low'], '.1f')}, {written(100 * value['high'], '.1f')}]"
    return f"[{written(value['low'], '.3f')}, {written(value['high'], '.3f')}]"


def _best_rule(rules: Sequence[Numbers]) -> Numbers:
    return max(rules[1:], key=lambda each: each["accuracy"]["value"])


def _rules(rules: Sequence[Numbers]) -> tuple[Row, ...]:
    rows: list[Row] = [("rule", "accuracy", "95 %", "implicit reward less rule", "95 %", "p (sign test)")]
    for each in rules:
        own, less = each["accuracy"], each.get("policy_less_rule")
        beside = ("", "", "")
        if less is not None:
            points = f"{written(100 * less['value'], '+.1f')} points"
            p = "< 0.001" if less["p"] < 0.001 else f"{less['p']:.3f}"
            beside = (points, ends(less, share), p)
        rows.append((each["name"], share(own), ends(own, share), *beside))
    return tuple(rows)


def _numbers(evidence: Numbers) -> tuple[Row, ...]:
    found, length = evidence["calibration"], evidence["length"]
    rows: list[Row] = [("measure", "value", "95 %", "how to read it")]
    for name, value, words in (
        ("margin, nats", evidence["margin"], "above 0 the better answers are preferred"),
        ("reward margin", evidence["reward_margin"], "beta times the margin"),
        ("calibration error (ECE)", found["ece"], _ece(found["ece"])),
        ("sureness less share right", found["overconfidence"], "above 0 it is too sure"),
        ("Brier score", found["brier"], "a coin has 0.250"),
        ("log loss, nats", found["log_loss"], "a coin has 0.693"),
        ("correlation with length", length["pearson"], "of log-ratio and tokens, over answers"),
        ("the same within pairs", length["within"], "of their differences"),
    ):
        rows.append((name, _number(value["value"]), ends(value), words))
    return tuple(rows)


def _ece(value: Numbers) -> str:
    chance = value["by_chance"]
    return f"chance alone gives {chance['mean']:.3f}, and below {chance['high']:.3f} in 95 %"


def _number(value: float | None) -> str:
    return "-" if value is None else written(value, ".3f")


def _dot(name: str, value: Numbers, *, hollow: bool = False) -> Dot:
    return Dot(name, value["value"], value["low"], value["high"], hollow)


def _reliability(bins: Sequence[Numbers]) -> Markup:
    points = [
        Reliability(each["sureness"], right["value"], right["low"], right["high"], right["n"])
        for each in bins
        for right in [each["right"]]
    ]
    return reliability_plot("reliability", points)


def _bins(bins: Sequence[Numbers]) -> tuple[Row, ...]:
    rows = [
        (
            f"{each['low']:.2f} to {each['high']:.2f}",
            f"{each['right']['n']:,}",
            percent(each["sureness"]),
            share(each["right"]),
            ends(each["right"], share),
        )
        for each in bins
    ]
    return (("sureness", "pairs", "mean sureness", "right", "95 %"), *rows)


def _length(length: Numbers) -> tuple[Row, ...]:
    rows: list[Row] = [("measure", "value", "95 %")]
    for name, key in (("Pearson, over answers", "pearson"), ("Spearman, over answers", "spearman"),
                      ("within pairs", "within")):  # fmt: skip
        rows.append((f"correlation, {name}", _number(length[key]["value"]), ends(length[key])))
    for name, value in (("the labels", "labels"), ("the implicit reward", "policy")):
        rate = length["longer_is_preferred"][value]
        rows.append((f"the longer answer is preferred by {name}", share(rate), ends(rate, share)))
    return tuple(rows)


def _sides(sides: Numbers) -> tuple[Row, ...]:
    rows = [(unit, *(f"{counts[key]:,}" for key in ("longer", "shorter", "equal"))) for unit, counts in sides.items()]
    return (("counted in", "preferred is longer", "shorter", "equal"), *rows)


def _parts_plot(parts: Sequence[Numbers]) -> Markup | None:
    if len(parts) < 2:
        return None
    dots = [_dot(each["name"], each["accuracy"]["implicit reward"]) for each in parts]
    return dot_plot("parts", "Accuracy by part", "share of the pairs that is told right", dots, level=0.5)


def _parts(parts: Sequence[Numbers]) -> tuple[Row, ...]:
    header = (
        "part",
        "pairs",
        "prompts",
        "implicit reward",
        "95 %",
        "longer",
        "reference alone",
        "margin, nats",
        "95 %",
    )
    rows = []
    for each in parts:
        own = each["accuracy"]
        rows.append(
            (
                f"{each['kind']} {each['name']}" + (" (few prompts)" if each["few"] else ""),
                f"{each['pairs']:,}",
                f"{each['prompts']:,}",
                share(own["implicit reward"]),
                ends(own["implicit reward"], share),
                share(own["longer"]),
                share(own["reference alone"]),
                _number(each["margin"]["value"]),
                ends(each["margin"]),
            )
        )
    return (header, *rows)


def _measured(evidence: Numbers) -> list[tuple[str, str]]:
    """What went into the numbers."""
    rows = []
    for who in ("model", "reference"):
        rows += [(who, f"{evidence[who]['path']} ({evidence[who]['origin']})"),
                 (f"sha256 of the {who}", str(evidence[who]["sha256"]))]  # fmt: skip
    for file in evidence["data"]:
        rows.append(("file", f"{file['path']}: {file['rows']:,} rows; {file['recognised']}"))
        rows += [("sha256 of the file", str(file["sha256"]))] if "sha256" in file else []
        rows += [("noted", f"{count:,} {what}") for what, count in file["notes"].items()]
    rows += [("when encoded", f"{count:,} rows {what}") for what, count in evidence["encoding"].items()]
    rows += [("refused", f"{count:,} {code}") for code, count in evidence["refused"].items()]
    return [*rows, ("seed of the draws", str(evidence["seed"])), ("draws", f"{evidence['draws']:,}")]
