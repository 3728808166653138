"""The page about a search: what each trial came to, which of them nothing else beats, and what mattered."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from markupsafe import Markup

from prefsmith.report.dots import Dot, dot_plot
from prefsmith.report.drawing import MUTED, ONE, PAPER, TWO, as_svg, drawing
from prefsmith.report.page import templates
from prefsmith.report.visible import on_one_line
from prefsmith.train.findings import written

Numbers = Mapping[str, Any]
Row = tuple[str, ...]
SIZE = (5.2, 3.4)
NEAR = 0.02
"""Share of the drawing's width and height within which labels would lie on one another."""


def page(found: Numbers) -> str:
    """The page as HTML; the same search gives the same text."""
    return (
        templates()
        .get_template("sweep.html")
        .render(
            found=found,
            result=result_of(found),
            trials_svg=_plot(found),
            trials=table_of(found),
            mattered_svg=_mattered_plot(found["mattered"]),
            mattered=_mattered(found["mattered"]),
            settings=yaml.safe_dump(found["best"]["values"], sort_keys=False),
        )
    )


def result_of(found: Numbers) -> str:
    """What came of the search, in a sentence."""
    best, whole = found["best"], [row for row in found["trials"] if row["worth"]]
    worths = "; ".join(f"{words} {_worth(worth)}" for words, worth in zip(found["words"], best["worth"], strict=True))
    on_front = sum(row["front"] for row in whole)
    return (
        f"Of {len(found['trials'])} trials {len(whole)} came to their end, and {on_front} of them no other beats in "
        f"everything. Taken as the best is trial {best['number']}: {worths}."
    )


def table_of(found: Numbers) -> tuple[Row, ...]:
    """The trials, header first."""
    keys = [each["key"] for each in found["ranges"]]
    rows: list[Row] = [("trial", *keys, *(words.partition(",")[0] for words in found["words"]), "")]
    for row in found["trials"]:
        worths = [_worth(worth) for worth in row["worth"]] if row["worth"] else [""] * len(found["words"])
        mark = "on the front" if row["front"] else "" if row["worth"] else row["state"]
        values = ["" if row["values"][key] is None else f"{row['values'][key]:.4g}" for key in keys]
        rows.append((str(row["number"]), *values, *worths, mark))
    return tuple(rows)


def _plot(found: Numbers) -> Markup:
    """Trials by both objectives, those on the front joined; with one objective by their number."""
    rows = [row for row in found["trials"] if row["worth"]]
    two, places = len(found["words"]) == 2, []
    with drawing(SIZE) as (figure, axes):
        for row in rows:
            first = row["worth"][0]
            x = row["worth"][1] if two else [row["number"], None, None]
            axes.errorbar([x[0]], [first[0]], xerr=_error(x), yerr=_error(first), marker="o" if row["front"] else "s",
                          color=ONE if row["front"] else TWO, markerfacecolor=ONE if row["front"] else PAPER,
                          markersize=5.0, elinewidth=0.8, capsize=2.0, zorder=4)  # fmt: skip
            places.append((row["number"], x[0], first[0]))
        for label, x, y in _labels(places):
            axes.annotate(label, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7.5)
        best = sorted((row["worth"][1][0], row["worth"][0][0]) for row in rows if row["front"]) if two else []
        if len(best) > 1:
            axes.plot(*zip(*best, strict=True), color=MUTED, linestyle="--", linewidth=1.0, zorder=2)
        named = [f"{on_one_line(words)} ({'more' if more else 'less'} is better)"
                 for words, more in zip(found["words"], found["largest"], strict=True)]  # fmt: skip
        axes.set_ylabel(named[0])
        axes.set_xlabel(named[1] if two else "trial")
        axes.margins(0.08)
        described = "; ".join(
            f"trial {row['number']}: " + ", ".join(f"{worth[0]:.3g}" for worth in row["worth"]) for row in rows
        )
        return as_svg(figure, "trials", "What the trials came to", described)


def _labels(places: Sequence[tuple[int, float, float]]) -> list[tuple[str, float, float]]:
    """The numbers of the trials where each stands; trials that stand on one another share a label."""
    widths = [max(values) - min(values) or 1.0 for values in list(zip(*places, strict=True))[1:]] if places else []
    shared: list[list[tuple[int, float, float]]] = []
    for each in places:
        at = (of for of in shared if _near(of[0][1:], each[1:], widths))
        if (found := next(at, None)) is not None:
            found.append(each)
        else:
            shared.append([each])
    return [(", ".join(str(number) for number, _, _ in of), of[0][1], of[0][2]) for of in shared]


def _near(one: Sequence[float], other: Sequence[float], widths: Sequence[float]) -> bool:
    return all(abs(a - b) <= NEAR * width for a, b, width in zip(one, other, widths, strict=True))


def _mattered_plot(mattered: Sequence[Numbers]) -> Markup | None:
    dots = [
        Dot(f"{each['key']}: {each['objective']}", each["value"], each["low"], each["high"])
        for each in mattered
        if each["value"] is not None
    ]
    if not dots:
        return None
    unit = "rank correlation over the trials"
    return dot_plot("mattered", "What mattered", unit, dots, level=0.0, percent=False)


def _mattered(mattered: Sequence[Numbers]) -> tuple[Row, ...]:
    rows = [
        (each["key"], each["objective"], _number(each["value"]), f"[{_number(each['low'])}, {_number(each['high'])}]")
        for each in mattered
    ]
    return (("setting", "objective", "rank correlation", "95 %"), *rows)


def _worth(worth: Sequence[float | None]) -> str:
    value, low, high = worth
    ends = "" if low is None or high is None else f" [{_number(low)}, {_number(high)}]"
    return f"{_number(value)}{ends}"


def _number(value: float | None) -> str:
    return "-" if value is None else written(value, ".3f")


def _error(worth: Sequence[float | None]) -> list[list[float]] | None:
    value, low, high = worth
    if value is None or low is None or high is None:
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]
