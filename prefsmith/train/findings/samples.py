"""Samples of the policy before and after training: how far they moved in length, ends, repetition and likelihood."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from prefsmith.train.findings.estimate import Estimate, mean_interval
from prefsmith.train.findings.finding import Finding, number, percent, written

LONGER, MUCH_LONGER = 0.10, 0.30
"""Changes of mean length, as shares, that are noted and warned of: one answer in ten words is seen, three are felt."""
ENDS_LESS = 0.20
"""Fall of the share of samples that end which is warned of: one answer in five is then cut."""
HARDLY_ENDS = 0.10
"""Share of samples that end below which lengths and log-probabilities are those of cut texts."""
REPEATS_MORE = 0.10
"""Rise of the share of repeated word 4-grams which is warned of; in ordinary answers the share itself is below 0.01."""
UNLIKE = 0.30
"""Nats per token below samples of the starting model which are warned of: each token is a quarter less likely."""
WORDS = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """A completion that a policy drew.

    Args:
        step: 0 before training.
        source: file:line of its prompt.
        split: `eval` for a held-out prompt, `train` otherwise.
        prompt: a text, or messages as (role, content).
        completion: the text.
        tokens: that were drawn.
        ended: whether it wrote its end token; otherwise it was cut.
        policy_logprob: nats under the model that drew it.
        reference_logprob: nats under the starting model.
    """

    step: int
    source: str
    split: str
    prompt: str | tuple[tuple[str, str], ...]
    completion: str
    tokens: int
    ended: bool
    policy_logprob: float | None
    reference_logprob: float | None


def sample_of(row: Mapping[str, object]) -> Sample | None:
    """A row of samples.jsonl; None where it is none."""
    prompt, completion, step, tokens = row.get("prompt"), row.get("completion"), number(row, "step"), row.get("tokens")
    if isinstance(prompt, list):
        if not all(isinstance(each, Mapping) for each in prompt):
            return None
        prompt = tuple((str(each.get("role", "")), str(each.get("content") or "")) for each in prompt)
    if not isinstance(prompt, str | tuple) or not isinstance(completion, str) or step is None:
        return None
    return Sample(
        step=int(step),
        source=str(row.get("source", "")),
        split=str(row.get("split", "")),
        prompt=prompt,
        completion=completion,
        tokens=tokens if isinstance(tokens, int) and not isinstance(tokens, bool) else 0,
        ended=row.get("ended") is True,
        policy_logprob=number(row, "policy_logprob"),
        reference_logprob=number(row, "reference_logprob"),
    )


@dataclass(frozen=True, slots=True)
class Change:
    """Means before and after on the same prompts, and the mean difference with its interval."""

    before: float
    after: float
    by: Estimate


@dataclass(frozen=True, slots=True)
class Drift:
    """How far samples moved; a part is None where fewer than four prompts have it before and after.

    Args:
        tokens: length.
        ended: share that wrote the end token.
        repeated: share of word 4-grams that stood in the sample before.
        likelihood: nats per token under the starting model.
        kl: mean of log policy - log starting model over the samples after training, in nats a completion.
    """

    tokens: Change | None
    ended: Change | None
    repeated: Change | None
    likelihood: Change | None
    kl: Estimate | None


def matched(samples: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    """Before and after, by prompt: the n-th sample of a source goes with the n-th of the same source."""
    last = max((each.step for each in samples), default=0)
    before = dict(_numbered(each for each in samples if each.step == 0))
    after = dict(_numbered(each for each in samples if each.step == last > 0))
    return [(first, after[key]) for key, first in before.items() if key in after]


def drift(samples: Sequence[Sample]) -> Drift:
    """How far the samples after training are from those before it."""
    pairs = matched(samples)
    return Drift(
        tokens=_change(pairs, lambda each: float(each.tokens)),
        ended=_change(pairs, lambda each: float(each.ended)),
        repeated=_change(pairs, lambda each: repeated(each.completion)),
        likelihood=_change(pairs, likelihood),
        kl=kl_estimate([after for _, after in pairs]),
    )


def kl_estimate(samples: Sequence[Sample]) -> Estimate | None:
    """Mean of log policy - log starting model over samples of the policy: an estimate of KL, in nats a completion."""
    return mean_interval(
        each.policy_logprob - each.reference_logprob
        for each in samples
        if each.policy_logprob is not None and each.reference_logprob is not None
    )


def likelihood(sample: Sample) -> float | None:
    """Nats per token under the starting model."""
    return sample.reference_logprob / sample.tokens if sample.reference_logprob is not None and sample.tokens else None


def repeated(text: str) -> float | None:
    """Share of a text's word 4-grams that stand in it before; None for fewer than four words."""
    words = text.split()
    runs = [tuple(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else None


def sample_findings(samples: Sequence[Sample]) -> list[Finding]:
    """What samples before and after say of the training."""
    seen = drift(samples)
    checks = (_lengths(seen.tokens), _ends(seen.ended), _repeats(seen.repeated), _unlike(seen.likelihood))
    return [finding for finding in checks if finding is not None]


def _numbered(samples: Iterator[Sample]) -> Iterator[tuple[tuple[str, str, int], Sample]]:
    counts: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        key = (sample.split, sample.source)
        yield (*key, counts[key]), sample
        counts[key] += 1


def _change(pairs: Sequence[tuple[Sample, Sample]], measure: Callable[[Sample], float | None]) -> Change | None:
    measured = [(measure(before), measure(after)) for before, after in pairs]
    known = [(before, after) for before, after in measured if before is not None and after is not None]
    by = mean_interval(after - before for before, after in known)
    if by is None:
        return None
    return Change(fmean(before for before, _ in known), fmean(after for _, after in known), by)


def _lengths(change: Change | None) -> Finding | None:
    if change is None or not change.by.beyond_noise or change.before <= 0:
        return None
    share = change.by.value / change.before
    if abs(share) < LONGER:
        return None
    longer = share > 0
    return Finding(
        "lengths_drifted",
        "warning" if abs(share) >= MUCH_LONGER else "note",
        f"Answers became {'longer' if longer else 'shorter'}.",
        f"{change.before:.0f} tokens before, {change.after:.0f} after: {percent(abs(share))} "
        f"{'more' if longer else 'fewer'}, {_interval(change.by, '+.0f')} tokens on {change.by.n} prompts.",
        f"As a rule the {'longer' if longer else 'shorter'} answers are preferred in the data, "
        "and length is easier to learn than quality.",
        "If that is not wanted, balance lengths in the data, or raise loss.beta.",
    )


def _ends(change: Change | None) -> Finding | None:
    if change is None:
        return None
    amount = f"{percent(change.before)} of the samples end before training, {percent(change.after)} after it"
    if change.by.beyond_noise and change.by.value <= -ENDS_LESS:
        return Finding(
            "samples_do_not_end",
            "warning",
            "The policy has unlearnt to end its answers.",
            f"{amount} (of {change.by.n}).",
            "The end token is missing from the chosen answers (a cut answer has none), or the policy has degenerated.",
            "Raise data.max_length so that answers are not cut; lower optim.learning_rate.",
        )
    if max(change.before, change.after) < HARDLY_ENDS:
        return Finding(
            "samples_are_cut",
            "note",
            "Nearly all samples are cut before they end.",
            f"{amount} (of {change.by.n}).",
            "The answers are longer than evaluate.sample_tokens, or the model never writes an end token. Lengths and "
            "log-probabilities are those of cut texts.",
            "Raise evaluate.sample_tokens to see whole answers.",
        )
    return None


def _repeats(change: Change | None) -> Finding | None:
    if change is None or change.by.low <= 0 or change.by.value < REPEATS_MORE:
        return None
    return Finding(
        "samples_repeat",
        "warning",
        "The policy repeats itself.",
        f"{percent(change.before)} of the four-word runs in a sample were repetitions before training, "
        f"{percent(change.after)} after it (on {change.by.n} prompts).",
        "The policy was pushed so far that its texts degenerate.",
        "Lower optim.learning_rate, raise loss.beta, or train fewer steps.",
    )


def _unlike(change: Change | None) -> Finding | None:
    if change is None or change.by.high >= 0 or change.by.value > -UNLIKE:
        return None
    return Finding(
        "samples_unlike_start",
        "warning",
        "The samples no longer read like the starting model's.",
        f"Under the starting model a token of a sample has {written(change.before)} nats before training and "
        f"{written(change.after)} after it: {_interval(change.by, '+.2f')} on {change.by.n} prompts.",
        "The policy has moved to texts that the starting model would hardly write; they may be gibberish: read them.",
        "Lower optim.learning_rate, raise loss.beta, train fewer steps, or add an sft term to the loss.",
    )


def _interval(estimate: Estimate, form: str) -> str:
    low, high = written(estimate.low, form), written(estimate.high, form)
    return f"{written(estimate.value, form)} [{low}, {high}]"
