"""Samples as a report shows them: which ones, side by side, and how much of a long text."""

from collections.abc import Iterator
from dataclasses import dataclass

from prefsmith.report.run import RecordedRun
from prefsmith.report.visible import clipped
from prefsmith.train.findings import Sample, matched, written
from prefsmith.wording import counted

MOST = 16
"""Samples on the page; samples.jsonl has the others."""
TEXT = 4000
"""Characters of an answer that are shown."""
PROMPT = 900
"""Characters of a prompt that are shown, from its end: what was asked last stands there."""


@dataclass(frozen=True, slots=True)
class Side:
    """An answer and what is known of it."""

    text: str
    meta: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownSample:
    """A prompt with the answers before and after training.

    Args:
        where: place of the prompt and whether it was trained on.
        prompt: (role, text); the role is empty for plain text.
        clipped: what is said of the part of the prompt that is not shown.
        before: the answer before training.
        after: the answer after it.
    """

    where: str
    prompt: tuple[tuple[str, str], ...]
    clipped: str
    before: Side
    after: Side


@dataclass(frozen=True, slots=True)
class ShownSamples:
    """The samples on the page, and the rule by which they were taken."""

    shown: tuple[ShownSample, ...]
    rule: str


def shown_samples(run: RecordedRun) -> ShownSamples:
    """What a program added first, then held-out prompts, then those trained on; each in its order."""
    pairs = matched(run.samples)
    pairs.sort(key=lambda pair: pair[0].split != "eval")
    added = run.evidence.samples if run.evidence is not None else []
    everything = [ShownSample("", *_prompt(each.prompt), _side(each.before), _side(each.after)) for each in added]
    everything += [_pair(before, after) for before, after in pairs[: max(0, MOST - len(everything))]]
    shown, total = everything[:MOST], len(added) + len(pairs)
    if not shown and run.samples:
        only = [each for each in run.samples if each.step == 0][:MOST]
        shown, total = [_before_only(each) for each in only], sum(each.step == 0 for each in run.samples)
    rule = "" if total <= len(shown) else f"The first {len(shown)} of {total:,}, held-out prompts in front."
    return ShownSamples(tuple(shown), rule)


def _pair(before: Sample, after: Sample) -> ShownSample:
    sides = (Side(clipped(each.completion, TEXT), tuple(_facts(each))) for each in (before, after))
    return ShownSample(_where(before), *_prompt(before.prompt), *sides)


def _before_only(sample: Sample) -> ShownSample:
    before = Side(clipped(sample.completion, TEXT), tuple(_facts(sample)))
    return ShownSample(_where(sample), *_prompt(sample.prompt), before, Side("", ("none is drawn yet",)))


def _side(text: str) -> Side:
    return Side(clipped(text, TEXT))


def _where(sample: Sample) -> str:
    split = "held out" if sample.split == "eval" else "trained on" if sample.split == "train" else sample.split
    return " · ".join(part for part in (sample.source, split) if part)


def _facts(sample: Sample) -> Iterator[str]:
    """Length, end, and log-probability per token under the starting model."""
    if sample.tokens:
        yield f"{counted(sample.tokens, 'token')}, {'ended' if sample.ended else 'cut'}"
        if sample.reference_logprob is not None:
            yield f"{written(sample.reference_logprob / sample.tokens)} nats a token under the starting model"


def _prompt(prompt: str | tuple[tuple[str, str], ...]) -> tuple[tuple[tuple[str, str], ...], str]:
    """The end of a prompt, by turns, and what is said of the rest."""
    turns, room, kept = (("", prompt),) if isinstance(prompt, str) else prompt, PROMPT, []
    for role, text in reversed(turns):
        if room <= 0:
            break
        kept.append((role, text if len(text) <= room else f"… {text[-room:]}"))
        room -= len(text)
    hidden = sum(len(text) for _, text in turns) - PROMPT
    return tuple(reversed(kept)), f"The first {hidden:,} characters of the prompt are not shown." if hidden > 0 else ""
