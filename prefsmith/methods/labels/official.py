"""A published table of systems and their scores, and how far two orders are the same."""

import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from prefsmith.data.excerpt import excerpt
from prefsmith.errors import DataError


def read_official(path: Path) -> dict[str, float]:
    """Lines of a name and a number, larger is better, as WMT's tables are; what stands behind them is not read.

    A line of `+` or `-` parts groups that its authors do not tell apart, and is passed over.

    Raises:
        DataError: the file cannot be read, another line is no name and number, or a name stands twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        what = f"the table cannot be read: {error}"
        raise DataError("label.official", what, where=str(path), fix="name a text file with --against") from error
    table: dict[str, float] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip("+-= \t"):
            continue
        try:
            name, score = line.split()[:2]
            value = float(score)
        except ValueError:
            name, value = "", math.nan
        if not math.isfinite(value):
            what, fix = f"this is no name and number: {excerpt(line)}", "a line is a system and its score"
            raise DataError("label.official", what, where=f"{path}:{number}", fix=fix)
        if name in table:
            what, fix = f"{excerpt(name)} has a line already", "give every system one line"
            raise DataError("label.official", what, where=f"{path}:{number}", fix=fix)
        table[name] = value
    return table


def tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b of two lists of scores: 1 is the same order, -1 the reverse, ties are allowed for.

        tau = (same - reverse) / sqrt((pairs - ties in first) (pairs - ties in second))

    NaN where one list is tied throughout.

    Source:
        Kendall 1945, Biometrika 33(3).
    """
    same = untied_first = untied_second = 0
    for (a, b), (c, d) in combinations(zip(first, second, strict=True), 2):
        same += ((a > c) - (a < c)) * ((b > d) - (b < d))
        untied_first, untied_second = untied_first + (a != c), untied_second + (b != d)
    below = (untied_first * untied_second) ** 0.5
    return same / below if below else float("nan")
