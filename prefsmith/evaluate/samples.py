"""Fresh answers of a model, and how likely they are under it and under another."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.pack import pack, plan
from prefsmith.errors import TrainingError
from prefsmith.files import write_durably
from prefsmith.model.divergence import token_divergence
from prefsmith.model.generate import Sampling, generate
from prefsmith.model.logprobs import sum_per_sequence
from prefsmith.model.score import Frozen, Scores
from prefsmith.records import Group
from prefsmith.train.parallel import ALONE, Ranks
from prefsmith.types import Batch, TokenNats

PerAnswer = Float64[Tensor, " answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote behind a prompt.

    Args:
        group: the row that the prompt is from.
        prompt: its ids, as the model read them.
        ids: of the answer, its end token included.
        text: the answer without its end token.
        ended: whether the model ended it; otherwise it was cut.
    """

    group: Group
    prompt: tuple[int, ...]
    ids: tuple[int, ...]
    text: str
    ended: bool


def draw(
    model: Frozen,
    encoder: Encoder,
    groups: Sequence[Group],
    sampling: Sampling,
    *,
    per_prompt: int = 1,
    first: int = 0,
) -> list[Answer]:
    """Sample answers to the prompts of some rows.

    Args:
        model: the model, with or without its adapter.
        encoder: writes prompts as the model reads them.
        groups: whose prompts are asked; their own completions are not looked at.
        sampling: how.
        per_prompt: answers to each.
        first: number of the first of these prompts, where others were asked before.

    Returns:
        The answers, those to one prompt side by side, in the order of the groups.

    Raises:
        DataError: a prompt cannot be written for this model.
    """
    prompts = [encoder.prompt_ids(group, room=sampling.max_new_tokens) for group in groups]
    with model.looking() as scorer:
        drawn = scorer.within(
            lambda: generate(scorer.model, prompts, sampling, ends=encoder.ends, per_prompt=per_prompt, first=first)
        )
    answers = []
    for group, prompt, samples in zip(groups, prompts, drawn, strict=True):
        for sample in samples:
            text = encoder.text_after(prompt, sample.ids[:-1] if sample.ended else sample.ids)
            answers.append(Answer(group, prompt, sample.ids, text, sample.ended))
    return answers


def answer_nats(model: Scores, answers: Sequence[Answer], *, token_budget: int) -> PerAnswer:
    """Log-probability of each answer behind its prompt, in nats, at temperature 1."""
    (nats,) = answer_sums(answers, lambda batch: (model.token_nats(batch),), token_budget=token_budget)
    return nats


def answer_divergence(
    policy: Frozen, reference: Frozen, answers: Sequence[Answer], *, token_budget: int, temperature: float = 1.0
) -> PerAnswer:
    """KL(policy || reference) along each answer, in nats; the mean over answers of the policy estimates that of whole
    sequences without bias (`model.divergence` has the formula).

    Args:
        policy: the model that wrote the answers.
        reference: what it is compared with.
        answers: sampled from the policy at `temperature`, with top_p 1.
        token_budget: most tokens of a forward.
        temperature: at which both distributions are taken.
    """

    def divergence(batch: Batch) -> tuple[TokenNats]:
        return (token_divergence(policy, reference, batch, temperature=temperature).averaged,)

    (found,) = answer_sums(answers, divergence, token_budget=token_budget)
    return found


def answer_sums(
    answers: Sequence[Answer], measure: Callable[[Batch], Sequence[TokenNats]], *, token_budget: int, columns: int = 1
) -> list[PerAnswer]:
    """Sums over the tokens of each answer, of one or several numbers for each token.

    Args:
        answers: neighbours that answer one prompt share it.
        measure: gives the numbers of each scored token of a batch.
        token_budget: most tokens of a forward.
        columns: how many numbers it gives for each.
    """
    if not answers:
        return [torch.zeros(0, dtype=torch.float64)] * columns
    shared = [list(run) for _, run in groupby(answers, key=lambda answer: (answer.group.id, answer.prompt))]
    groups = [as_group(run) for run in shared]
    sums: dict[int, Sequence[Tensor]] = {}
    for members in plan(groups, token_budget):
        lengths = torch.tensor([len(answer.ids) for index in members for answer in shared[index]])
        totals = [sum_per_sequence(each, lengths) for each in measure(pack([groups[index] for index in members]))]
        sizes = [len(shared[index]) for index in members]
        sums.update(zip(members, zip(*(total.split(sizes) for total in totals), strict=True), strict=True))
    return [torch.cat(column) for column in zip(*(sums[index] for index in range(len(groups))), strict=True)]


def as_group(answers: Sequence[Answer]) -> EncodedGroup:
    """Answers to one prompt as they are packed, without labels."""
    first = answers[0]
    return EncodedGroup(
        group=first.group,
        prompt=first.prompt,
        completions=tuple(EncodedCompletion(answer.ids) for answer in answers),
        views=(),
        compared=(),
        whole_prompt=len(first.prompt),
    )


def sample_rows(
    policy: Frozen,
    reference: Frozen | None,
    encoder: Encoder,
    groups: Sequence[Group],
    sampling: Sampling,
    *,
    step: int,
    split: str,
    token_budget: int,
) -> list[dict[str, object]]:
    """Answers as samples.jsonl has them, one to each prompt.

    Args:
        policy: whose answers these are.
        reference: what the policy is compared with; where there is none, the policy is that itself before step one.
        encoder: of the run.
        groups: whose prompts are asked.
        sampling: at temperature 1, so that log-probabilities are of what was sampled.
        step: steps that were done.
        split: `eval` or `train`, where the prompts are from.
        token_budget: most tokens of a forward.
    """
    answers = draw(policy, encoder, groups, sampling)
    own = answer_nats(policy, answers, token_budget=token_budget).tolist()
    theirs: list[float | None] = list(own) if step == 0 else [None] * len(own)
    if reference is not None:
        theirs = list(answer_nats(reference, answers, token_budget=token_budget).tolist())
    return [
        {
            "step": step,
            "source": answer.group.source,
            "split": split,
            "prompt": _readable(answer.group),
            "completion": answer.text,
            "tokens": len(answer.ids),
            "ended": answer.ended,
            "policy_logprob": mine,
            "reference_logprob": other,
        }
        for answer, mine, other in zip(answers, own, theirs, strict=True)
    ]


def first_prompts(groups: Iterable[Group], count: int) -> list[Group]:
    """The first rows with different prompts; no more of them are looked at than it takes."""
    different: dict[str, Group] = {}
    rows = iter(groups)
    while len(different) < count and (group := next(rows, None)) is not None:
        different.setdefault(group.prompt_key(), group)
    return list(different.values())


def _readable(group: Group) -> object:
    return group.prompt if isinstance(group.prompt, str) else [message.as_dict() for message in group.prompt]


class SampleLog:
    """samples.jsonl: answers before training, and after it.

    Args:
        path: of the file.
        sample: writes answers, given the steps that were done.
        ranks: the processes of the run. All sample the same, and the first one writes.
    """

    def __init__(
        self, path: Path, sample: Callable[[int], Sequence[Mapping[str, object]]], ranks: Ranks = ALONE
    ) -> None:
        self.path, self.sample, self.ranks = path, sample, ranks

    def before(self) -> None:
        """Answers of the starting policy, unless an earlier start of the run wrote them.

        Raises:
            TrainingError: the disk is full or fails.
        """
        if not self.ranks.from_first(self.path.exists):
            rows = self.sample(0)
            self.ranks.from_first(lambda: self._write(rows))

    def after(self, steps: int) -> None:
        """Answers of the trained policy, behind those from before.

        Raises:
            TrainingError: the disk is full or fails.
        """
        fresh = self.sample(steps)
        self.ranks.from_first(lambda: self._write([*self._first_rows(), *fresh]))

    def _first_rows(self) -> list[Mapping[str, object]]:
        rows = map(json.loads, self.path.read_text(encoding="utf-8").splitlines())
        return [row for row in rows if row["step"] == 0]

    def _write(self, rows: Sequence[Mapping[str, object]]) -> None:
        try:
            write_durably(self.path, "".join(json.dumps(row) + "\n" for row in rows).encode())
        except OSError as error:
            what, fix = f"samples cannot be written: {error.strerror}", "make room and go on with --resume"
            raise TrainingError("run.write", what, where=str(self.path), fix=fix) from error
