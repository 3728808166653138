"""Rewards as judges: the answer with the larger number wins, and close ones are tied."""

import math
from collections.abc import Callable, Mapping, Sequence

from prefsmith.errors import DataError
from prefsmith.feedback.judge import Verdict, require_pair
from prefsmith.feedback.rules import failed, prompt_text
from prefsmith.records import Group, Vote

Reward = Callable[[str, str], float]
"""Prompt and answer to a number, larger for better."""
Scores = Callable[[Sequence[Group]], Sequence[Sequence[float]]]
"""Groups to a number for each of their completions, in their order."""


class ScoreJudge:
    """A judge that compares numbers. It sees no order, so that one vote a pair is enough.

    Args:
        name: the annotator of its votes.
        scores: of the completions, for many groups at once.
        tie_margin: answers whose numbers differ by no more than this are tied; >= 0.
        facts: further facts for a report, such as a digest of a reward model.
    """

    def __init__(
        self, name: str, scores: Scores, *, tie_margin: float = 0.0, facts: Mapping[str, object] | None = None
    ) -> None:
        if not tie_margin >= 0:
            raise ValueError(f"tie_margin is {tie_margin}, and must be 0 or above")
        self._name, self.scores, self.tie_margin = name, scores, tie_margin
        self.facts = dict(facts or {})
        self._judged = self._nameless = 0

    @property
    def name(self) -> str:
        """The annotator of its votes."""
        return self._name

    def votes(self, groups: Sequence[Group]) -> list[tuple[Vote, ...]]:
        """One vote for each group; `invalid` where a number is not finite.

        Raises:
            DataError: a group has not two completions, or a user's function fails on it.
        """
        for group in groups:
            require_pair(group)
        numbers = self.scores(groups) if groups else []
        return [(self._vote(*each),) for each in numbers]

    def describe(self) -> Mapping[str, object]:
        """Its name and margin; how many pairs it judged, and how many had a number that is not finite."""
        return {
            "kind": "reward",
            "name": self.name,
            "tie_margin": self.tie_margin,
            **self.facts,
            "presentations": self._judged,
            "without_verdict": {"unreadable": self._nameless},
        }

    def _vote(self, left: float, right: float) -> Vote:
        self._judged += 1
        gap = left - right
        verdict: Verdict = "tie" if abs(gap) <= self.tie_margin else ("left" if gap > 0 else "right")
        if not math.isfinite(gap):
            self._nameless += 1
            verdict = "invalid"
        return Vote(0, 1, verdict, self.name)


def each_answer(name: str, reward: Reward) -> Scores:
    """The numbers of a reward that takes one answer at a time.

    Args:
        name: for messages.
        reward: of prompt and answer.
    """

    def scores(groups: Sequence[Group]) -> list[list[float]]:
        return [[_score(name, reward, group, each.content) for each in group.completions] for group in groups]

    return scores


def _score(name: str, reward: Reward, group: Group, answer: str) -> float:
    try:
        return float(reward(prompt_text(group), answer))
    except Exception as error:
        problem: DataError = failed(name, error, group)
        raise problem from error
