"""What an implicit reward is worth on labelled pairs: every number of `prefsmith eval implicit`, from scores alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from prefsmith.evaluate.accuracy import gain, hits, rate
from prefsmith.evaluate.bootstrap import Interval, clustered, ratio
from prefsmith.evaluate.calibration import calibration
from prefsmith.evaluate.length import length_bias, longer
from prefsmith.evaluate.pairs import Pairs, PerPair

POLICY = "implicit reward"
FEW = 30
"""Prompts below which an interval is wide and itself unsure."""
TIE = 1e-4
"""Nats. Equal log-probabilities are less far apart where they were computed in other micro-batches."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that says which of two answers is better.

    Args:
        name: in tables.
        difference: its number of the preferred answer less that of the other, for each pair; above zero is right.
        tie: distance within which it says nothing.
    """

    name: str
    difference: Callable[[Pairs], PerPair]
    tie: float = 0.0

    def hits(self, pairs: Pairs) -> PerPair:
        """1, 1/2 or 0 for each pair."""
        return hits(self.difference(pairs), self.tie)


def _per_token(pairs: Pairs) -> PerPair:
    return pairs.difference(pairs.answers.reference / pairs.answers.tokens)


RULES = (
    Rule(POLICY, lambda pairs: pairs.margin, TIE),
    Rule("longer", lambda pairs: pairs.difference(pairs.answers.characters)),
    Rule("shorter", lambda pairs: -pairs.difference(pairs.answers.characters)),
    Rule("reference alone", lambda pairs: pairs.difference(pairs.answers.reference), TIE),
    Rule("reference alone, per token", _per_token, 1e-6),
)


def inspect(pairs: Pairs, beta: float, *, files: Sequence[str] = (), seed: int = 0) -> dict[str, object]:
    """Accuracy, margin, calibration and length, of all pairs and of their parts.

    Args:
        pairs: at least one whose label prefers a side.
        beta: what turns nats into reward.
        files: names, by the numbers in `pairs.files`; parts by file are told where there are several.
        seed: of the draws of every interval.
    """
    decided = pairs.where(pairs.decided)
    policy = RULES[0].hits(decided)
    rules = []
    for rule in RULES:
        own = rule.hits(decided)
        entry: dict[str, object] = {
            "name": rule.name,
            "accuracy": rate(own, decided.weight, decided.prompt, seed=seed).as_dict(),
        }
        if rule.name != POLICY:
            entry["policy_less_rule"] = gain(policy, own, decided.weight, decided.prompt, seed=seed).as_dict()
        rules.append(entry)
    margin = mean(decided.margin, decided, seed)
    return {
        "pairs": len(pairs),
        "prompts": prompts_of(pairs),
        "ties": int((pairs.prob == 0.5).sum()),
        "without_weight": int((pairs.weight == 0).sum()),
        "rules": rules,
        "margin": margin.as_dict(),
        "reward_margin": scaled(margin, beta).as_dict(),
        "calibration": calibration(pairs.margin, beta, pairs.prob, pairs.weight, pairs.prompt, seed=seed).as_dict(),
        "length": _length(pairs, decided, seed),
        "parts": parts(decided, files, seed),
    }


def mean(values: PerPair, pairs: Pairs, seed: int) -> Interval:
    """The weighted mean of a number of each pair, with an interval from draws of whole prompts."""
    columns = np.stack([pairs.weight * values, pairs.weight], axis=1)
    return clustered(columns, pairs.prompt.tolist(), statistic=ratio, seed=seed)


def scaled(interval: Interval, by: float) -> Interval:
    """The same in another unit; `by` is above zero."""
    return Interval(interval.value * by, interval.low * by, interval.high * by, interval.n, interval.clusters)


def prompts_of(pairs: Pairs) -> int:
    """Different prompts."""
    return len(np.unique(pairs.prompt))


def parts(decided: Pairs, files: Sequence[str], seed: int) -> list[dict[str, object]]:
    """The main numbers by file, where there are several, and by tag, the largest part first."""
    found: list[tuple[str, str, Bool[np.ndarray, " pair"]]] = []
    if len(files) > 1:
        found += [("file", name, decided.files == number) for number, name in enumerate(files)]
    names = dict.fromkeys(tag for tags in decided.tags for tag in tags)
    tagged = [("tag", name, np.array([name in tags for tags in decided.tags])) for name in names]
    found += sorted(tagged, key=lambda each: (-int(each[2].sum()), each[1]))
    return [_part(kind, name, decided.where(kept), seed) for kind, name, kept in found if kept.any()]


def warnings(evidence: Mapping[str, object]) -> list[str]:
    """What a reader of the numbers has to know, in sentences."""
    found: list[str] = []
    prompts = evidence["prompts"]
    if isinstance(prompts, int) and prompts < FEW:
        found.append(f"There are {prompts} prompts, fewer than {FEW}: the intervals are wide, and unsure themselves.")
    rules = evidence["rules"]
    assert isinstance(rules, list)  # made by `inspect`
    beaten = [rule["name"] for rule in rules[1:] if not _above(rule["policy_less_rule"])]
    if beaten:
        named = ", ".join(f'"{name}"' for name in beaten)
        found.append(f"The implicit reward is not shown to tell more pairs than the rule {named}.")
    return found


def _above(difference: Mapping[str, float | None]) -> bool:
    low = difference["low"]
    return low is not None and low > 0


def _part(kind: str, name: str, pairs: Pairs, seed: int) -> dict[str, object]:
    by_name = {rule.name: rate(rule.hits(pairs), pairs.weight, pairs.prompt, seed=seed).as_dict() for rule in RULES}
    return {
        "kind": kind,
        "name": name,
        "pairs": len(pairs),
        "prompts": prompts_of(pairs),
        "few": prompts_of(pairs) < FEW,
        "accuracy": by_name,
        "margin": mean(pairs.margin, pairs, seed).as_dict(),
    }


def _length(pairs: Pairs, decided: Pairs, seed: int) -> dict[str, object]:
    """Correlations, and how often the longer answer is preferred: by the labels, and by the implicit reward."""
    longer_by = decided.difference(decided.answers.tokens)
    apart = decided.where(longer_by != 0)
    sign = np.sign(apart.difference(apart.answers.tokens))
    by_labels = rate((sign > 0).astype(np.float64), apart.weight, apart.prompt, seed=seed)
    by_policy = rate(hits(sign * apart.margin, TIE), apart.weight, apart.prompt, seed=seed)
    answers = decided.answers
    return {
        **length_bias(pairs, seed=seed).as_dict(),
        "longer_is_preferred": {"labels": by_labels.as_dict(), "policy": by_policy.as_dict()},
        "preferred_side": {
            unit: longer(decided.difference(values))
            for unit, values in (
                ("characters", answers.characters),
                ("words", answers.words),
                ("tokens", answers.tokens),
            )
        },
    }
