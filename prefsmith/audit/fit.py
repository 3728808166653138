"""How rows fit a model: tokens and truncation, how far the answers are from what it would say, and which it prefers.

The numbers come from `evaluate.fit`, which has the model; what they mean is said here.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from prefsmith.audit.audited import Audited
from prefsmith.audit.decided import voted
from prefsmith.audit.effects import Estimate, in_order, share, standardised
from prefsmith.audit.finding import EXAMPLES, HALF, HALVED, Finding, Proposal
from prefsmith.stats import Z95

KIND = "fit"
CUT = 0.01
"""Share of pairs whose answers are cut from which it costs quality."""
FAR = 1.0
"""Nats per token that chosen answers are less likely than the model's own, from which they are said to be far."""
UNSURE = 2 / 3
"""Share of a pair's votes up to which its majority is in doubt."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

PerPair = Float64[np.ndarray, " pair"]
Tokens = Int[np.ndarray, " pair"]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A sample of decided pairs under a model.

    Args:
        model: as it was named.
        sha256: of its weights.
        reference: what it was trained from; empty where that is not known.
        seed: of the sample and of the model's own answers.
        sampled_from: training rows that the sample is from.
        longest: most tokens of a prompt and an answer; None where there is no limit.
        row: of each pair.
        prompt: number of each pair's prompt, from 0.
        prompt_tokens: before anything is cut.
        tokens: of chosen and rejected before anything is cut.
        cut: pairs of which an answer is cut.
        scored: tokens of chosen and rejected that were scored.
        nats: log-probabilities of chosen and rejected under the model, summed.
        reference_nats: the same under the reference; None where there is none.
        own: mean nats per token of each of the model's own answers to prompts of the sample.
        kinds: what was done to rows as they were encoded.
        refused: rows that cannot be encoded, by code.
    """

    model: str
    sha256: str
    reference: str
    seed: int
    sampled_from: int
    longest: int | None
    row: Int[np.ndarray, " pair"]
    prompt: Int[np.ndarray, " pair"]
    prompt_tokens: Tokens
    tokens: tuple[Tokens, Tokens]
    cut: Bool[np.ndarray, " pair"]
    scored: tuple[Tokens, Tokens]
    nats: tuple[PerPair, PerPair]
    reference_nats: tuple[PerPair, PerPair] | None
    own: Float64[np.ndarray, " answer"]
    kinds: Mapping[str, int]
    refused: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def margin(self) -> PerPair:
        """Log-probability of chosen less that of rejected under what training starts from."""
        chosen, rejected = self.nats if self.reference_nats is None else self.reference_nats
        return chosen - rejected

    @property
    def implicit(self) -> PerPair | None:
        """h: the log-ratio of chosen less that of rejected; None where there is no reference."""
        if self.reference_nats is None:
            return None
        return (self.nats[0] - self.reference_nats[0]) - (self.nats[1] - self.reference_nats[1])


def fit_findings(fit: Fit, data: Audited) -> Iterator[Finding]:
    """What the sample says of all pairs.

    Args:
        fit: at least one pair.
        data: the files that it is from.
    """
    about = {"model": fit.model, "sha256": fit.sha256, "reference": fit.reference, "seed": fit.seed,
             "pairs": len(fit), "sampled_from": fit.sampled_from}  # fmt: skip
    yield _lengths(fit, data, about)
    yield _distance(fit, about)
    yield _margin(fit, data, about)
    if fit.implicit is not None:
        yield from _doubted(fit, fit.implicit, data, about)


def _lengths(fit: Fit, data: Audited, about: Mapping[str, object]) -> Finding:
    longest = np.maximum(*fit.tokens) + fit.prompt_tokens
    over = np.zeros(len(fit), dtype=bool) if fit.longest is None else longest > fit.longest
    cut = int(fit.cut.sum())
    serious = cut >= CUT * len(fit) and cut > 0
    count = int(over.sum())
    return Finding(
        kind=KIND, code="fit.length", severity="warning" if serious else "note",
        title="Answers are cut at the longest sequence" if serious else
        "Rows longer than the longest sequence",
        count=cut if serious else count, of=len(fit), unit="sampled pairs",
        effect="the end of a cut answer is not learnt, nor that answers end" if serious else
        "their prompts lose their start" if count else "",
        cure="raise data.max_length, or data.truncation=drop" if serious else
        "raise data.max_length where the start matters" if count else "nothing has to be done",
        examples=tuple(data.example(int(fit.row[pair]), f"{longest[pair]:,} tokens")
                       for pair in np.flatnonzero(fit.cut if serious else over)[:EXAMPLES]),
        numbers={
            **about,
            "longest": fit.longest,
            "answers_cut": cut,
            "rows_over": count,
            "tokens": {"prompt": _spread(fit.prompt_tokens), "chosen": _spread(fit.tokens[0]),
                       "rejected": _spread(fit.tokens[1]), "whole": _spread(longest)},
            "difference": _difference(fit).to_json(),
            "encoding": dict(fit.kinds),
            "refused": dict(fit.refused),
        },
    )  # fmt: skip


def _difference(fit: Fit) -> Estimate:
    """How much longer chosen sides are, in standard deviations."""
    chosen, rejected = (each.astype(np.float64) for each in fit.tokens)
    return standardised(chosen, rejected, fit.prompt)


def _distance(fit: Fit, about: Mapping[str, object]) -> Finding:
    """Mean log-probability per token of both sides, beside that of the model's own answers."""
    nats = fit.nats if fit.reference_nats is None else fit.reference_nats
    chosen, rejected = (sums / tokens for sums, tokens in zip(nats, fit.scored, strict=True))
    own = _mean(fit.own, np.arange(len(fit.own)))
    better, worse = _mean(chosen, fit.prompt), _mean(rejected, fit.prompt)
    gap = None if own.value is None or better.value is None else own.value - better.value
    usual = float(np.quantile(fit.own, 0.05)) if len(fit.own) else None
    below = 0 if usual is None else int((chosen < usual).sum())
    far = gap is not None and gap > FAR
    return Finding(
        kind=KIND, code="fit.distance", severity="warning" if far else "note",
        title="Chosen answers are far from what the model would say" if far else
        "Chosen answers beside what the model would say",
        count=below, of=len(fit), unit="sampled pairs whose chosen side is less likely than 95 % of its own answers",
        effect="the policy has to go far before it says anything like them, and may go where no data say what is good"
        if far else "",
        cure="train on the chosen answers first (loss.name=sft), or let the model write the answers that are compared"
        if far else "nothing has to be done",
        numbers={**about, "chosen": better.to_json(), "rejected": worse.to_json(), "own": own.to_json(),
                 "own_less_chosen": gap, "far_from": FAR, "unit": "nats per token"},
    )  # fmt: skip


def _margin(fit: Fit, data: Audited, about: Mapping[str, object]) -> Finding:
    """Which pairs the model orders right before any training."""
    nats = fit.nats if fit.reference_nats is None else fit.reference_nats
    sums = fit.margin
    per_token = nats[0] / fit.scored[0] - nats[1] / fit.scored[1]
    right, by_token = (share(np.where(each > 0, 1.0, np.where(each < 0, 0.0, 0.5)), fit.prompt)
                       for each in (sums, per_token))  # fmt: skip
    wrong = np.argsort(sums, kind="stable")[:EXAMPLES]
    return Finding(
        kind=KIND, code="fit.margin", severity="note", title="Pairs that the model orders as labelled before training",
        count=int((sums > 0).sum()), of=len(fit), unit="sampled pairs",
        effect="pairs far on the wrong side move last, and pull hardest",
        cure="look at the examples: the model is surest that their labels are wrong",
        examples=tuple(data.example(int(fit.row[pair]), f"rejected is likelier by {-sums[pair]:,.1f} nats")
                       for pair in wrong if sums[pair] < 0),
        numbers={**about, "ordered": right.to_json(), "ordered_per_token": by_token.to_json(),
                 "margin": _spread(sums), "margin_per_token": _spread(per_token), "histogram": _histogram(sums)},
    )  # fmt: skip


def _doubted(fit: Fit, implicit: PerPair, data: Audited, about: Mapping[str, object]) -> Iterator[Finding]:
    """Pairs of which annotators are unsure and whose label a trained model does not believe."""
    groups = {int(row): data.group(int(row)) for row in np.unique(fit.row)}
    with_votes = np.array([bool(groups[int(row)].votes) for row in fit.row])
    if not with_votes.any():
        return
    unsure = np.array([_is_unsure([counts for _, counts in voted(groups[int(row)].votes)]) for row in fit.row])
    pairs = np.flatnonzero(with_votes & unsure & (implicit < 0))
    yield Finding(
        kind=KIND, code="fit.doubted", severity="note", title="Pairs that votes and the trained model both doubt",
        count=len(pairs), of=int(with_votes.sum()), unit="sampled pairs with votes",
        effect="their labels are the likeliest to be wrong" if len(pairs) else "",
        cure="let them count half, or ask again" if len(pairs) else "nothing has to be done",
        examples=tuple(data.example(int(fit.row[pair]), f"implicit margin {implicit[pair]:+.2f} nats")
                       for pair in pairs[np.argsort(implicit[pairs], kind="stable")][:EXAMPLES]),
        numbers={**about, "unsure": int((with_votes & unsure).sum()), "implicit_margin": _spread(implicit)},
        proposal=Proposal.weigh(np.unique(fit.row[pairs]), HALVED, HALF) if len(pairs) else None,
    )  # fmt: skip


def _is_unsure(counts: list[Counter[str]]) -> bool:
    """Whether some two sides have no clear majority; one vote alone leaves nothing in doubt."""
    return any(each.total() > 1 and each.most_common(1)[0][1] <= UNSURE * each.total() + 1e-9 for each in counts)


def _mean(values: Float64[np.ndarray, " case"], prompts: Int[np.ndarray, " case"]) -> Estimate:
    """A mean with an interval over prompts."""
    n = len(values)
    if n < 2:
        return Estimate(float(values[0]) if n else None, None, None, n)
    value = float(values.mean())
    sums = np.bincount(in_order(prompts), weights=values - value)
    members = len(sums)
    half = Z95 * float(np.sqrt((sums * sums).sum() * members / max(1, members - 1))) / n
    return Estimate(value, value - half, value + half, n)


def _spread(values: np.ndarray) -> dict[str, float]:
    points = np.quantile(values, QUANTILES)
    named = {f"p{100 * level:02.0f}": float(point) for level, point in zip(QUANTILES, points, strict=True)}
    return {"mean": float(values.mean(dtype=np.float64)), **named, "most": float(values.max())}


def _histogram(values: np.ndarray) -> dict[str, object]:
    """Pairs by margin, in bins of one width between the percentiles 1 and 99, the outer ones in the last bins."""
    low, high = (float(each) for each in np.quantile(values, (0.01, 0.99)))
    edges = np.linspace(low, high if high > low else low + 1.0, 21)
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    return {"edges": [float(each) for each in edges], "pairs": counts.tolist()}
