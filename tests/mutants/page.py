"""docs/mutants.md: the table of the faults, and of what caught them."""

import re
from collections.abc import Mapping, Sequence

from mutants.fault import Fault

PAGE = """\
# Faults that the tests catch

A test is worth what it catches. Each line below is a fault that was put into a copy of the program by hand, one at a
time, and the first of the ordinary tests that failed because of it. `make mutants` does it again and writes this page;
a fault that no test notices, or that only keeps the program from running, makes it fail and leaves the page as it is.

| fault | file | what stands there instead | caught by |
|---|---|---|---|
{rows}

{count} faults, all caught.
"""


def page(faults: Sequence[Fault], caught: Mapping[str, str]) -> str:
    """The page.

    Args:
        faults: in the order of the table.
        caught: the test that caught each, by the fault's words.
    """
    rows = [row(fault, caught[fault.what]) for fault in faults]
    return PAGE.format(rows="\n".join(rows), count=len(rows))


def row(fault: Fault, test: str) -> str:
    """A line of the table."""
    change = f"{_code(fault.sound)} becomes {_code(fault.broken)}" if fault.broken else f"{_code(fault.sound)} is gone"
    place, _, name = test.removeprefix("tests/").partition("::")
    return f"| {fault.what} | `{fault.file}` | {change} | `{place}` `{name}` |"


def _code(text: str) -> str:
    """On one line, and with nothing in it that ends a cell."""
    line = re.sub(r"\s+", " ", text.strip())
    return "`" + line.replace("|", r"\|") + "`"
