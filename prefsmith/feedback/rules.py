"""Rules as judges: what can be read off two answers decides. They see no order, so that one vote a pair is enough."""

import re
from collections.abc import Callable, Mapping, Sequence

from prefsmith.errors import ConfigError, DataError
from prefsmith.feedback.judge import Verdict, require_pair
from prefsmith.records import Group, Vote

Rule = Callable[[str, str, str], str]
"""Prompt, left and right answer to `left`, `right` or `tie`."""


class RuleJudge:
    """A judge that follows a rule.

    Args:
        name: the annotator of its votes.
        rule: says `left`, `right` or `tie`; anything else is a vote `invalid`.
        facts: further facts for a report.
    """

    def __init__(self, name: str, rule: Rule, *, facts: Mapping[str, object] | None = None) -> None:
        self._name, self.rule, self.facts = name, rule, dict(facts or {})
        self._said: dict[Verdict, int] = {}

    @property
    def name(self) -> str:
        """The annotator of its votes."""
        return self._name

    def votes(self, groups: Sequence[Group]) -> list[tuple[Vote, ...]]:
        """One vote for each group.

        Raises:
            DataError: a group has not two completions, or the rule fails on it.
        """
        return [(self._vote(group),) for group in groups]

    def describe(self) -> Mapping[str, object]:
        """Its name; how many pairs it judged, and how many it gave no verdict on."""
        return {
            "kind": "rule",
            "name": self.name,
            **self.facts,
            "presentations": sum(self._said.values()),
            "without_verdict": {"unreadable": self._said.get("invalid", 0)},
        }

    def _vote(self, group: Group) -> Vote:
        require_pair(group)
        left, right = (completion.content for completion in group.completions)
        try:
            said = self.rule(prompt_text(group), left, right)
        except Exception as error:
            raise failed(self.name, error, group) from error
        verdict: Verdict = said if said in ("left", "right", "tie") else "invalid"
        self._said[verdict] = self._said.get(verdict, 0) + 1
        return Vote(0, 1, verdict, self.name)


def larger(number: Callable[[str], float]) -> Rule:
    """The answer with the larger number wins."""

    def rule(_: str, left: str, right: str) -> str:
        one, other = number(left), number(right)
        return "tie" if one == other else ("left" if one > other else "right")

    return rule


def longer() -> Rule:
    """The answer with more characters wins."""
    return larger(len)


def shorter() -> Rule:
    """The answer with fewer characters wins."""
    return larger(lambda answer: -len(answer))


def contains(text: str) -> Rule:
    """The answer that holds a text wins over one that does not; upper and lower case differ."""
    return larger(lambda answer: text in answer)


def matches(pattern: str) -> Rule:
    """The answer in which a regular expression is found wins over one in which it is not.

    Raises:
        ConfigError: it is no regular expression.
    """
    try:
        found = re.compile(pattern)
    except re.error as error:
        what, fix = f"the pattern is no regular expression: {error.msg}", "write it as Python's re takes it"
        raise ConfigError("judge.pattern", what, where="judge.pattern", fix=fix) from error
    return larger(lambda answer: found.search(answer) is not None)


def prompt_text(group: Group) -> str:
    """The prompt as a text: the contents of its messages, a line for each."""
    if isinstance(group.prompt, str):
        return group.prompt
    return "\n".join(message.content for message in group.prompt)


def failed(name: str, error: Exception, group: Group) -> DataError:
    """A function of the user's that raised."""
    what = f"{name} fails on this row: {type(error).__name__}: {error}"
    return DataError("judge.function", what, where=group.source, fix="mend the function, or leave the row out")
