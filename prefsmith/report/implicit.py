"""The page about an implicit reward: its tables, which the terminal shows too, and a drawing above each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from prefsmith.report.dots import Dot, dot_plot
from prefsmith.report.excerpt import Drawing, Excerpt, grid
from prefsmith.report.inspected import (
    BinFound,
    CalibrationError,
    Inspected,
    LengthFound,
    ModelFound,
    Number,
    PartFound,
    RuleFound,
    Share,
    Sides,
    inspected,
)
from prefsmith.report.page import templates
from prefsmith.report.reliability import Reliability, reliability_plot
from prefsmith.train.findings import written

MOST_PARTS = 24
"""Parts that the page shows; evidence.json has them all."""
POLICY_RULE, LONGER, REFERENCE = "implicit reward", "longer", "reference alone"
ACCURACY = (
    "Share of the pairs in which a rule prefers the answer that the label prefers; it counts one half where it cannot "
    "tell. The dashed line is chance. Rules of length count characters; \u201creference alone\u201d takes the likelier "
    "answer."
)
RELIABILITY = (
    "Pairs by how sure the implicit probability is of the side that it prefers. On the dashed line, pairs told with "
    "80 % are right in 80 %; below it, the policy is too sure of itself. Bars are 95 % intervals."
)
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


def facts_of(evidence: Mapping[str, Any]) -> Facts:
    """The main tables of what `evaluate.inspection` and the method wrote.

    Args:
        evidence: as evidence.json has it.
    """
    return _facts(inspected(evidence))


def page(evidence: Mapping[str, Any]) -> str:
    """The page as HTML; the same evidence gives the same text."""
    found = inspected(evidence)
    parts = found.parts[:MOST_PARTS]
    return (
        templates()
        .get_template("implicit.html")
        .render(
            facts=_facts(found),
            name=found.model.path,
            accuracy_svg=_accuracy("accuracy", found.rules),
            reliability_svg=_reliability("reliability", found.calibration.bins),
            accuracy_caption=ACCURACY,
            reliability_caption=RELIABILITY,
            bins=_bins(found.calibration.bins),
            ece=_ece(found.calibration.ece),
            length=_length(found.length),
            sides=_sides(found.length.preferred_side),
            parts_svg=_parts_plot(parts),
            parts=_parts(parts),
            left_out=len(found.parts) - len(parts),
            measured=_measured(found),
        )
    )


def implicit_excerpt(found: Inspected, name: str) -> Excerpt:
    """What the page of a run says of it.

    Args:
        found: the evidence.
        name: unique in the page, for the drawings.
    """
    facts, bins = _facts(found), _bins(found.calibration.bins)
    files = ", ".join(file.path for file in found.data)
    return Excerpt(
        title=f"Implicit reward on {files}",
        results=(facts.result, facts.about),
        drawings=(
            Drawing(_accuracy(f"{name}-accuracy", found.rules), ACCURACY),
            Drawing(_reliability(f"{name}-reliability", found.calibration.bins), RELIABILITY),
        ),
        grids=(
            grid("Accuracy of each rule", facts.rules[0], facts.rules[1:]),
            grid("Calibration", bins[0], bins[1:], f"Mean distance from the line: {_calibration_error(found)}."),
        ),
        warnings=facts.warnings,
        weights=frozenset(_folders(found.model)),
    )


def share(value: Number) -> str:
    """A share in per cent; a hyphen where it is undefined."""
    return "-" if value.value is None else percent(value.value)


def percent(value: float) -> str:
    """In per cent, with a real minus."""
    return f"{written(100 * value, '.1f')} %"


def ends(value: Number, form: object = None) -> str:
    """The interval in brackets, in per cent for shares; empty where it is unknown."""
    if value.low is None or value.high is None:
        return ""
    if form is share:
        return f"[{written(100 * value.low, '.1f')}, {written(100 * value.high, '.1f')}]"
    return f"[{written(value.low, '.3f')}, {written(value.high, '.3f')}]"


def _facts(found: Inspected) -> Facts:
    policy, rule = found.rules[0].accuracy, _best_rule(found.rules)
    about = (
        f"Implicit reward of {found.model.path} against {found.reference.path}, beta "
        f"{found.beta.value:g} ({found.beta.whence}): {found.pairs:,} pairs of {found.prompts:,} prompts."
    )
    result = (
        f"It prefers the better answer in {share(policy)} {ends(policy, share)} of {policy.n:,} pairs; the best "
        f"rule without training, \u201c{rule.name}\u201d, in {share(rule.accuracy)}."
    )
    return Facts(about, result, _rules(found.rules), _numbers(found), found.warnings)


def _folders(model: ModelFound) -> list[str]:
    return [] if model.folder_sha256 is None else [model.folder_sha256]


def _best_rule(rules: Sequence[RuleFound]) -> RuleFound:
    return max(rules[1:], key=lambda each: -1.0 if each.accuracy.value is None else each.accuracy.value)


def _rules(rules: Sequence[RuleFound]) -> tuple[Row, ...]:
    rows: list[Row] = [("rule", "accuracy", "95 %", "implicit reward less rule", "95 %", "p (sign test)")]
    for each in rules:
        own, less = each.accuracy, each.policy_less_rule
        beside = ("", "", "")
        if less is not None and less.value is not None:
            points = f"{written(100 * less.value, '+.1f')} points"
            p = "< 0.001" if less.p < 0.001 else f"{less.p:.3f}"
            beside = (points, ends(less, share), p)
        rows.append((each.name, share(own), ends(own, share), *beside))
    return tuple(rows)


def _numbers(found: Inspected) -> tuple[Row, ...]:
    calibration, length = found.calibration, found.length
    rows: list[Row] = [("measure", "value", "95 %", "how to read it")]
    measures: tuple[tuple[str, Number, str], ...] = (
        ("margin, nats", found.margin, "above 0 the better answers are preferred"),
        ("reward margin", found.reward_margin, "beta times the margin"),
        ("calibration error (ECE)", calibration.ece, _ece(calibration.ece)),
        ("sureness less share right", calibration.overconfidence, "above 0 it is too sure"),
        ("Brier score", calibration.brier, "a coin has 0.250"),
        ("log loss, nats", calibration.log_loss, "a coin has 0.693"),
        ("correlation with length", length.pearson, "of log-ratio and tokens, over answers"),
        ("the same within pairs", length.within, "of their differences"),
    )
    rows += [(name, _number(value.value), ends(value), words) for name, value, words in measures]
    return tuple(rows)


def _ece(value: CalibrationError) -> str:
    chance = value.by_chance
    if chance.mean is None or chance.high is None:
        return "what chance alone gives is not known"
    return f"chance alone gives {chance.mean:.3f}, and below {chance.high:.3f} in 95 %"


def _calibration_error(found: Inspected) -> str:
    ece = found.calibration.ece
    return f"{_number(ece.value)} {ends(ece)}; {_ece(ece)}"


def _number(value: float | None) -> str:
    return "-" if value is None else written(value, ".3f")


def _accuracy(name: str, rules: Sequence[RuleFound]) -> Markup:
    dots = [dot for place, each in enumerate(rules) for dot in _dots(each.name, each.accuracy, hollow=place > 0)]
    return dot_plot(name, "Accuracy of each rule", "share of the pairs that is told right", dots, level=0.5)


def _dots(name: str, value: Number, *, hollow: bool = False) -> list[Dot]:
    """One, or none where the number is undefined."""
    return [] if value.value is None else [Dot(name, value.value, value.low, value.high, hollow)]


def _reliability(name: str, bins: Sequence[BinFound]) -> Markup:
    points = []
    for each in bins:
        value, low, high = each.right.value, each.right.low, each.right.high
        if value is not None and low is not None and high is not None:
            points.append(Reliability(each.sureness, value, low, high, each.right.n))
    return reliability_plot(name, points)


def _bins(bins: Sequence[BinFound]) -> tuple[Row, ...]:
    rows = [
        (
            f"{each.low:.2f} to {each.high:.2f}",
            f"{each.right.n:,}",
            percent(each.sureness),
            share(each.right),
            ends(each.right, share),
        )
        for each in bins
    ]
    return (("sureness", "pairs", "mean sureness", "right", "95 %"), *rows)


def _length(length: LengthFound) -> tuple[Row, ...]:
    rows: list[Row] = [("measure", "value", "95 %")]
    correlations = (
        ("Pearson, over answers", length.pearson),
        ("Spearman, over answers", length.spearman),
        ("within pairs", length.within),
    )
    rows += [(f"correlation, {name}", _number(value.value), ends(value)) for name, value in correlations]
    preferred = length.longer_is_preferred
    for name, rate in (("the labels", preferred.labels), ("the implicit reward", preferred.policy)):
        rows.append((f"the longer answer is preferred by {name}", share(rate), ends(rate, share)))
    return tuple(rows)


def _sides(sides: Mapping[str, Sides]) -> tuple[Row, ...]:
    rows = [(unit, f"{each.longer:,}", f"{each.shorter:,}", f"{each.equal:,}") for unit, each in sides.items()]
    return (("counted in", "preferred is longer", "shorter", "equal"), *rows)


def _parts_plot(parts: Sequence[PartFound]) -> Markup | None:
    if len(parts) < 2:
        return None
    dots = [dot for each in parts if POLICY_RULE in each.accuracy for dot in _dots(each.name, _of(each, POLICY_RULE))]
    return dot_plot("parts", "Accuracy by part", "share of the pairs that is told right", dots, level=0.5)


def _of(part: PartFound, rule: str) -> Share:
    return part.accuracy.get(rule, Share(value=None, low=None, high=None, n=0))


def _parts(parts: Sequence[PartFound]) -> tuple[Row, ...]:
    header = ("part", "pairs", "prompts", POLICY_RULE, "95 %", LONGER, REFERENCE, "margin, nats", "95 %")
    rows = [
        (
            f"{each.kind} {each.name}" + (" (few prompts)" if each.few else ""),
            f"{each.pairs:,}",
            f"{each.prompts:,}",
            share(_of(each, POLICY_RULE)),
            ends(_of(each, POLICY_RULE), share),
            share(_of(each, LONGER)),
            share(_of(each, REFERENCE)),
            _number(each.margin.value),
            ends(each.margin),
        )
        for each in parts
    ]
    return (header, *rows)


def _measured(found: Inspected) -> list[tuple[str, str]]:
    """What went into the numbers."""
    rows: list[tuple[str, str]] = []
    for who, model in (("model", found.model), ("reference", found.reference)):
        rows += [(who, f"{model.path} ({model.origin})"), (f"sha256 of the {who}", model.sha256)]
    for file in found.data:
        rows.append(("file", f"{file.path}: {file.rows:,} rows; {file.recognised}"))
        rows += [("sha256 of the file", file.sha256)] if file.sha256 else []
        rows += [("noted", f"{count:,} {what}") for what, count in file.notes.items()]
    rows += [("when encoded", f"{count:,} rows {what}") for what, count in found.encoding.items()]
    rows += [("refused", f"{count:,} {code}") for code, count in found.refused.items()]
    return [*rows, ("seed of the draws", str(found.seed)), ("draws", f"{found.draws:,}")]
