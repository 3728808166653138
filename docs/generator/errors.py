"""docs/errors.md: below the explanation of each code, which is written by hand, its messages as they are printed."""

import re
from collections.abc import Sequence

from .messages import Message, messages
from .regions import REGION, region

SECTION = re.compile(r"^### `(?P<code>[a-z]+\.[a-z_]+)`\n(?P<text>.*?)(?=^#{1,3} |\Z)", re.M | re.S)


def errors_page(text: str, found: Sequence[Message] | None = None) -> tuple[str, list[str]]:
    """The page with the messages of each code below its explanation, and what is wrong with the explanations.

    Args:
        text: the page as it is.
        found: the messages to show; those of the package where None.
    """
    by_code: dict[str, list[Message]] = {}
    for each in messages() if found is None else found:
        by_code.setdefault(each.code, []).append(each)
    explained = {match["code"]: _explanation(match["text"]) for match in SECTION.finditer(text)}
    wrong = [
        f"{code}: write a section headed ### `{code}` that explains it" for code in by_code.keys() - explained.keys()
    ]
    wrong += [f"{code}: no line raises it; take its section out" for code in explained.keys() - by_code.keys()]
    wrong += [f"{code}: its section explains nothing" for code, words in explained.items() if not words]

    def section(match: re.Match[str]) -> str:
        code = match["code"]
        listed = f"\n{region(code, _listed(by_code[code]))}" if code in by_code else ""
        return f"### `{code}`\n\n{explained[code]}\n{listed}\n"

    return SECTION.sub(section, text).rstrip("\n") + "\n", sorted(wrong)


def _explanation(section: str) -> str:
    """What is written by hand. A last sentence that only says the exit status goes: it is written below."""
    return re.sub(r"\s*\bExit\s+status\s+\d\.$", "", REGION.sub("", section).strip())


def _listed(found: Sequence[Message]) -> str:
    """Class and exit status, and every message once."""
    kinds = dict.fromkeys(f"`{each.kind}`, exit status {each.status}" for each in found if each.kind)
    kinds |= dict.fromkeys(f"exit status {each.status}" for each in found if not each.kind)
    words = "; ".join(kinds)
    printed = "\n".join(dict.fromkeys(str(each) for each in found))
    return f"{words[:1].upper()}{words[1:]}:\n\n```text\n{printed}\n```"
