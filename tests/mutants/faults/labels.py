"""Faults between votes and labels."""

from mutants.fault import Fault

METHODS = ("tests/feedback/aggregate/test_methods.py",)
ORACLES = ("tests/feedback/aggregate/test_oracles.py",)
CONTEST = ("tests/feedback/aggregate/test_contest.py",)
VOTES = ("tests/methods/labels/test_aggregate_votes.py",)
RANK = ("tests/methods/labels/test_rank.py",)

FAULTS = (
    Fault(
        "an annotator's own vote is among those that it is judged by",
        "feedback/aggregate/reliability.py",
        "flat[panel.pair] - own[seat]",
        "flat[panel.pair] - 0 * own[seat]",
        METHODS,
    ),
    Fault(
        "Dawid-Skene learns that the first answer of a file wins",
        "feedback/aggregate/smoothed_dawid_skene.py",
        "return np.maximum((mean + mean[_TURNED[: len(mean)]]) / 2, _LEAST)",
        "return np.maximum(mean, _LEAST)",
        METHODS,
    ),
    Fault(
        "an adversary's votes count as they are said",
        "feedback/aggregate/crowd_bradley_terry.py",
        "pull, bend = weight * (share - chance), weight * chance * (1 - chance)",
        "pull, bend = weight * (1 - chance), weight * chance * (1 - chance)",
        ORACLES,
    ),
    Fault(
        "intervals take estimated strengths for known ones",
        "feedback/aggregate/information.py",
        "return 1 + np.maximum(",
        "return 1 + 0 * np.maximum(",
        ORACLES,
    ),
    Fault(
        "in Copeland's count an item gets nothing for one with as many votes",
        "feedback/aggregate/contest.py",
        "won = contest.beats + 0.5 *",
        "won = contest.beats + 0.0 *",
        CONTEST,
    ),
    Fault(
        "the probability of a row that is turned round is that of the other side",
        "methods/labels/rows.py",
        '{"prob": round(1 - prob if chosen else prob, _DIGITS)}',
        '{"prob": round(prob, _DIGITS)}',
        VOTES,
    ),
    Fault(
        "the votes of a row that is turned round are not",
        "methods/labels/rows.py",
        '== chosen else "rejected"',
        '== 0 else "rejected"',
        VOTES,
    ),
    Fault(
        "the higher rank is better",
        "data/votes/ranks.py",
        'else "a" if rank < other else "b"',
        'else "a" if rank > other else "b"',
        RANK,
    ),
)
