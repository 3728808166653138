"""The parts of a page that `make docs` writes; everything around them is written by hand."""

import re
from collections.abc import Mapping

REGION = re.compile(r"^<!-- make docs: (?P<name>.+?) -->\n.*?^<!-- end: (?P=name) -->\n", re.M | re.S)


def region(name: str, body: str) -> str:
    """A part with its marks."""
    return f"<!-- make docs: {name} -->\n\n{body.strip(chr(10))}\n\n<!-- end: {name} -->\n"


def filled(text: str, bodies: Mapping[str, str]) -> str:
    """The page with its parts written anew.

    Raises:
        ValueError: the page has other parts than those given, or one of them twice.
    """
    there = [match["name"] for match in REGION.finditer(text)]
    if sorted(there) != sorted(bodies):
        raise ValueError(f"the page has the parts {sorted(there)}, and {sorted(bodies)} are written")
    return REGION.sub(lambda match: region(match["name"], bodies[match["name"]]), text)
