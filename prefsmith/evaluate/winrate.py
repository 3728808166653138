"""From votes on two sides to a win rate: what was won, lost, tied and not judged, and how sure all of it is.

Completion 0 of each group is the side that the rate is of, completion 1 the one that it is compared with. A tie counts
one half. What an annotator said of both presentations of a pair is joined: where they disagree, the pair is a tie and
counted as inconsistent; where one is no verdict, so is the pair. Such pairs are not in the rate, and two bounds say
what it were if all of them were lost, or won.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from prefsmith.evaluate.bootstrap import Interval, average, clustered, ratio
from prefsmith.evaluate.paired import SignTest, sign_test_of
from prefsmith.records import Group, Vote
from prefsmith.stats import Share, wilson
from prefsmith.wording import counted

Verdict = Literal["win", "loss", "tie", "invalid"]
POINTS: Mapping[Verdict, float] = {"win": 1.0, "tie": 0.5, "loss": 0.0}
FEW = 30
"""Prompts below which a warning stands beside the interval."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one annotator found of one pair.

    Args:
        prompt: key of the prompt.
        annotator: who.
        verdict: for completion 0.
        lengths: characters of completion 0 and of completion 1.
        both: whether it was asked in both presentations.
        agree: whether all presentations led to one verdict; None where one is no verdict.
        shown_first: verdicts for the completion shown first, and for the one shown second.
    """

    prompt: str
    annotator: str
    verdict: Verdict
    lengths: tuple[int, int]
    both: bool
    agree: bool | None
    shown_first: tuple[int, int]

    @property
    def points(self) -> float | None:
        """1, 1/2 or 0; None where it is no verdict."""
        return POINTS.get(self.verdict)


@dataclass(frozen=True, slots=True)
class WinRate:
    """One side against the other.

    Args:
        prompts: different ones that were judged, or tried to be.
        wins: pairs won, over all annotators.
        losses: pairs lost.
        ties: pairs tied, the inconsistent ones among them.
        invalid: pairs without a verdict.
        unjudged: pairs that nobody voted on.
        inconsistent: pairs whose presentations disagree.
        asked_twice: pairs judged in both presentations, of which those are a part.
        rate: with Wilson's interval, as if every prompt were one trial; None without a verdict.
        by_prompt: the same rate with the bootstrap's interval over prompts.
        if_lost: the rate if every invalid pair were lost.
        if_won: the rate if every one were won.
        first: share of verdicts for the answer shown first, among pairs judged in both presentations: one half where
            position does not matter; None without such verdicts.
        against_half: the sign test over prompts.
    """

    prompts: int
    wins: int
    losses: int
    ties: int
    invalid: int
    unjudged: int
    inconsistent: int
    asked_twice: int
    rate: Share | None
    by_prompt: Interval | None
    if_lost: float | None
    if_won: float | None
    first: Interval | None
    against_half: SignTest

    @property
    def judged(self) -> int:
        """Pairs with a verdict."""
        return self.wins + self.losses + self.ties

    def warnings(self) -> list[str]:
        """What a reader must know before the number is used."""
        found = []
        if self.rate is None:
            return ["no pair has a verdict: there is no win rate"]
        if self.rate.n < FEW:
            found.append(f"only {counted(round(self.rate.n), 'prompt')}: the interval is wide, and rough")
        if self.invalid * 20 > self.judged + self.invalid:
            share = self.invalid / (self.judged + self.invalid)
            found.append(f"{share:.0%} of the pairs have no verdict: see the bounds")
        if self.unjudged:
            found.append(f"pairs that nobody voted on, and that are not in the rate: {self.unjudged:,}")
        if self.first is not None and (self.first.low > 0.5 or self.first.high < 0.5):  # ends may be unknown
            side = "first" if self.first.value > 0.5 else "second"
            found.append(f"the judge prefers what it is shown {side}: {self.first.value:.0%} of its verdicts")
        return found

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        return {
            **{name: getattr(self, name) for name in _COUNTS},
            "rate": None if self.rate is None else asdict(self.rate),
            "by_prompt": None if self.by_prompt is None else self.by_prompt.as_dict(),
            "if_lost": self.if_lost,
            "if_won": self.if_won,
            "shown_first": None if self.first is None else self.first.as_dict(),
            "against_half": asdict(self.against_half),
            "warnings": self.warnings(),
        }


_COUNTS = ("prompts", "wins", "losses", "ties", "invalid", "unjudged", "inconsistent", "asked_twice")


def outcomes(groups: Iterable[Group]) -> list[Outcome]:
    """What each annotator found of each pair; a group without votes gives none.

    Args:
        groups: of two completions, with votes on them.
    """
    found = []
    for group in groups:
        lengths = (len(group.completions[0].content), len(group.completions[1].content))
        by_annotator: dict[str, list[Vote]] = {}
        for vote in group.votes:
            by_annotator.setdefault(vote.annotator, []).append(vote)
        key = group.prompt_key()
        found += [_joined(key, annotator, votes, lengths) for annotator, votes in by_annotator.items()]
    return found


def win_rate(found: Sequence[Outcome], *, unjudged: int = 0, draws: int = 2000, seed: int = 0) -> WinRate:
    """The rate of completion 0, with everything that is not in it.

    Wilson's interval takes a prompt as one trial, however many pairs it has, and is wider than need be where there are
    ties. The bootstrap draws prompts.

    Args:
        found: one of each pair and annotator.
        unjudged: pairs without any vote.
        draws: of the bootstrap.
        seed: of the bootstrap.
    """
    counts = {verdict: sum(each.verdict == verdict for each in found) for verdict in (*POINTS, "invalid")}
    valid = [(each.prompt, each.points) for each in found if each.points is not None]
    prompts = len({each.prompt for each in found})
    rate = by_prompt = if_lost = if_won = None
    if valid:
        won = sum(points for _, points in valid)
        share, n = won / len(valid), len({prompt for prompt, _ in valid})
        rate = wilson(share * n, n)
        keys, points = zip(*valid, strict=True)
        by_prompt = clustered(points, keys, statistic=average, draws=draws, seed=seed)
        if_lost = won / len(found)
        if_won = (won + counts["invalid"]) / len(found)
    return WinRate(
        prompts=prompts,
        wins=counts["win"],
        losses=counts["loss"],
        ties=counts["tie"],
        invalid=counts["invalid"],
        unjudged=unjudged,
        inconsistent=sum(each.agree is False for each in found),
        asked_twice=sum(each.both and each.agree is not None for each in found),
        rate=rate,
        by_prompt=by_prompt,
        if_lost=if_lost,
        if_won=if_won,
        first=_shown_first(found, draws, seed),
        against_half=sign_test_of(score - 0.5 for score in prompt_scores(found).values()),
    )


def prompt_scores(found: Iterable[Outcome]) -> dict[str, float]:
    """The mean of the points of each prompt that has a verdict, in [0, 1]."""
    points: dict[str, list[float]] = {}
    for each in found:
        if each.points is not None:
            points.setdefault(each.prompt, []).append(each.points)
    return {prompt: sum(values) / len(values) for prompt, values in points.items()}


def unjudged(groups: Iterable[Group]) -> int:
    """Groups that nobody voted on."""
    return sum(not group.votes for group in groups)


def _joined(prompt: str, annotator: str, votes: Sequence[Vote], lengths: tuple[int, int]) -> Outcome:
    said: list[Verdict] = [_of_first_completion(vote) for vote in votes]
    both = {vote.order for vote in votes} >= {0, 1}
    first = sum(vote.verdict == "left" for vote in votes), sum(vote.verdict == "right" for vote in votes)
    if "invalid" in said:
        return Outcome(prompt, annotator, "invalid", lengths, both, None, first)
    agree = len(set(said)) == 1
    return Outcome(prompt, annotator, said[0] if agree else "tie", lengths, both, agree, first)


def _of_first_completion(vote: Vote) -> Verdict:
    if vote.verdict in ("tie", "invalid"):
        return vote.verdict
    better = vote.left if vote.verdict == "left" else vote.right
    return "win" if better == 0 else "loss"


def _shown_first(found: Sequence[Outcome], draws: int, seed: int) -> Interval | None:
    """Where each pair is shown in both orders, an answer's quality favours neither place."""
    asked = [each for each in found if each.both and each.agree is not None and sum(each.shown_first)]
    if not asked:
        return None
    values = [(each.shown_first[0], sum(each.shown_first)) for each in asked]
    return clustered(values, [each.prompt for each in asked], statistic=ratio, draws=draws, seed=seed)
