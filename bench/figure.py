"""A drawing of a page as a file of its own, with the page's colours.

.venv/bin/python bench/figure.py REPORT.html WHICH OUT.svg

WHICH is its number on the page, from 1, or a part of its title.
"""

import argparse
import re
import sys
from pathlib import Path

STYLE = Path(__file__).parents[1] / "prefsmith" / "report" / "style.css"
DRAWING = re.compile(r"<svg\b.*?</svg>", re.S)
TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.S)


def colours() -> str:
    """The page's variables by day; a picture in a text has the text's paper behind it, which is white."""
    day = STYLE.read_text(encoding="utf-8").partition("{")[2].partition("}")[0]
    return " ".join(re.findall(r"--\w+: #\w+;", day))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="figure", description=__doc__)
    for name in ("report", "which", "out"):
        parser.add_argument(name)
    options = parser.parse_args()
    report, which, out = options.report, options.which, options.out
    drawings = DRAWING.findall(Path(report).read_text(encoding="utf-8"))
    titles = [found[1] if (found := TITLE.search(each)) else "" for each in drawings]
    place = int(which) - 1 if which.isdigit() else next((n for n, each in enumerate(titles) if which in each), -1)
    if not 0 <= place < len(drawings):
        print(f"{report} has no drawing {which!r}, but {', '.join(titles)}", file=sys.stderr)
        return 2
    head, rest = drawings[place].split(">", 1)
    style = f"<style>svg {{ {colours()} background: #fff; font-family: sans-serif; }}</style>"
    Path(out).write_text(f"{head}>{style}{rest}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
