"""From a row to a group: every row is checked at this border."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from prefsmith.data import dialogue
from prefsmith.data.asked import asked
from prefsmith.data.cells import Cells, Prompt
from prefsmith.data.ranked import ranked_answers, writers_of
from prefsmith.data.ranking import score_gap
from prefsmith.data.rows import Row
from prefsmith.data.schema import WRITERS, Schema, refuse_late_columns
from prefsmith.data.voted import share_of_votes
from prefsmith.errors import DataError
from prefsmith.records import Comparison, Completion, Group, Message, Rating, Vote


def parse_row(row: Row, schema: Schema, notes: Counter[str]) -> Group:
    """Check one row and make it a group.

    Args:
        row: as it stands in the file.
        schema: what the file's rows are.
        notes: counts what was done to rows.

    Raises:
        DataError: with the row's place, what is wrong in it and how to mend it.
    """
    cell = Cells(row, schema, notes)
    refuse_late_columns(row, schema)
    if schema.format in ("preference", "dialogue"):
        cell, prob, votes = _judged(cell, row, schema, notes)
        prompt, completions = _two_sides(cell, schema, notes)
        scores = [cell.score("score_chosen"), cell.score("score_rejected")]
        completions = _with_writers(_with_scores(completions, scores), cell)
        gap = cell.score("margin") if None in scores else score_gap(completions, 0, 1)
        _note_contradiction(prob, gap, notes)
        comparison = Comparison(0, 1, prob=prob, weight=cell.weight(), score_gap=gap)
        return replace(_group(cell, prompt, completions, comparisons=(comparison,)), votes=votes)
    if schema.listing is not None:
        answers, scores, tiers = ranked_answers(cell, schema.listing)
        prompt, completions = _answers(asked(cell), answers, row.source, notes)
        completions = _with_scores(completions, scores or [None] * len(completions))
        named = zip(completions, writers_of(cell), strict=True)
        completions = tuple(replace(each, writer=writer) if writer else each for each, writer in named)
        return replace(_group(cell, prompt, completions), ranking=tiers, weight=cell.weight())
    if "messages" in schema.columns:
        prompt, completion = _split_messages(cell.messages("messages"), row.source)
    else:
        prompt, (completion,) = _answers(asked(cell), [cell.content("completion")], row.source, notes)
    value = cell.truth() if schema.format == "rating" else 1.0
    return _group(cell, prompt, (completion,), ratings=(Rating(0, value, cell.weight()),))


def _judged(cell: Cells, row: Row, schema: Schema, notes: Counter[str]) -> tuple[Cells, float, tuple[Vote, ...]]:
    """The row with the winner as chosen, the probability that it is better (half for a tie), and votes on it."""
    if schema.sides is None:
        return cell, cell.number("prob", 1.0, 0.0, 1.0), ()
    if schema.sides.voted:
        prob, votes = share_of_votes(cell.required("winner"), schema.sides, cell.source)
        return cell, prob, votes
    verdict = schema.sides.verdict(cell.required("winner"), cell.source)
    if verdict == "second":
        notes[f"turned round, since {schema.sides.column} names {schema.sides.second}"] += 1
        return Cells(row, schema.turned_round(), notes), 1.0, ()
    if verdict == "tie":
        notes["kept as ties, with probability 0.5"] += 1
    return cell, 0.5 if verdict == "tie" else 1.0, ()


def _note_contradiction(prob: float, gap: float | None, notes: Counter[str]) -> None:
    """A judge may say otherwise than the label. The row is kept as it is, and counted."""
    if gap is None or prob == 0.5:
        return
    if gap == 0:
        notes["with equal scores of chosen and rejected, kept as labelled"] += 1
    elif (gap > 0) != (prob > 0.5):
        notes["whose scores contradict the label, kept as labelled"] += 1


def _with_scores(completions: Sequence[Completion], scores: Sequence[float | None]) -> tuple[Completion, ...]:
    return tuple(replace(each, score=score) for each, score in zip(completions, scores, strict=True))


def _with_writers(completions: tuple[Completion, ...], cell: Cells) -> tuple[Completion, ...]:
    """Sides with the names of who wrote them, where the row has both."""
    writers = [cell.optional(name) for name in WRITERS]
    if not all(isinstance(writer, str) and writer for writer in writers):
        return completions
    return tuple(replace(each, writer=str(name)) for each, name in zip(completions, writers, strict=True))


def _group(
    cell: Cells,
    prompt: Prompt,
    completions: tuple[Completion, ...],
    *,
    comparisons: tuple[Comparison, ...] = (),
    ratings: tuple[Rating, ...] = (),
) -> Group:
    system = cell.optional_text("system")
    if system:
        prompt = (Message("user", prompt),) if isinstance(prompt, str) else prompt
        prompt = (Message("system", system), *prompt)
    for completion in completions:
        if not completion.content.strip() and not any(message.extra for message in completion.messages):
            name = cell.name_of(completions.index(completion))
            fix = "drop the row, or data.skip_bad=true"
            raise DataError("data.empty", f"{name} is empty, so there is nothing to score", where=cell.source, fix=fix)
    return Group(
        id=cell.identity(),
        source=cell.source,
        prompt=prompt,
        completions=completions,
        comparisons=comparisons,
        ratings=ratings,
        tags=cell.tags(),
        tools=cell.tools(),
    )


def _two_sides(cell: Cells, schema: Schema, notes: Counter[str]) -> tuple[Prompt, tuple[Completion, ...]]:
    """The prompt and both answers, wherever the prompt stands."""
    chosen, rejected = cell.content("chosen"), cell.content("rejected")
    if chosen == rejected:
        raise DataError(
            "data.identical",
            "chosen and rejected are the same, so the pair teaches nothing",
            where=cell.source,
            fix="drop the row, or data.skip_bad=true",
        )
    if isinstance(chosen, str) != isinstance(rejected, str):
        what = "chosen is a text and rejected a list of messages, or the reverse"
        raise DataError("data.type", what, where=cell.source, fix="give both sides in one form")
    if schema.format == "dialogue":
        return _split_pair(chosen, rejected, cell.source, notes)
    return _answers(asked(cell), (chosen, rejected), cell.source, notes)


def _answers(
    prompt: Prompt, answers: Sequence[Prompt], source: str, notes: Counter[str]
) -> tuple[Prompt, tuple[Completion, ...]]:
    """A prompt and its answers, all texts or all messages."""
    if len({type(answer) for answer in answers}) > 1:
        what = "some answers are texts and others lists of messages"
        raise DataError("data.type", what, where=source, fix="give all answers in one form")
    texts = [answer for answer in answers if isinstance(answer, str)]
    if isinstance(prompt, str) and texts and dialogue.is_dialogue(prompt):
        return _in_turns(prompt, texts, notes)
    completions = tuple(_without_prompt(answer, prompt, source) for answer in answers)
    if isinstance(prompt, str) and completions[0].text is None:
        prompt = (Message("user", prompt),)
    return prompt, completions


def _split_pair(
    chosen: Prompt, rejected: Prompt, source: str, notes: Counter[str]
) -> tuple[Prompt, tuple[Completion, ...]]:
    """Split whole dialogues at their last answer; what stands before it must be the same on both sides."""
    if isinstance(chosen, tuple) and isinstance(rejected, tuple):
        (prompt, better), (other, worse) = _split_messages(chosen, source), _split_messages(rejected, source)
        _same_prompt(prompt, other, source)
        return prompt, (better, worse)
    assert isinstance(chosen, str) and isinstance(rejected, str)  # both sides have one form, checked above
    for name, text in (("chosen", chosen), ("rejected", rejected)):
        if not dialogue.is_dialogue(text):
            raise DataError(
                "data.dialogue",
                f"{name} is not a dialogue with turns marked Human: and Assistant:",
                where=source,
                fix="add a prompt column, or give chosen and rejected as lists of messages",
            )
    (prompt, answer), (other, worse_answer) = (
        dialogue.split_last_answer(chosen),
        dialogue.split_last_answer(rejected),
    )
    _same_prompt(prompt, other, source)
    return _in_turns(prompt, (answer, worse_answer), notes)


def _in_turns(prompt: str, answers: Sequence[str], notes: Counter[str]) -> tuple[Prompt, tuple[Completion, ...]]:
    """A dialogue in text as messages, so that a chat template can write it; as it is where a character would change."""
    if (turns := dialogue.in_turns(prompt, answers)) is None:
        notes["dialogues kept as plain text"] += 1
        return prompt, tuple(map(Completion, answers))
    notes["dialogues in text split into turns"] += 1
    return turns[0], tuple(Completion(messages=(Message("assistant", text),)) for text in turns[1])


def _same_prompt(prompt: Prompt, other: Prompt, source: str) -> None:
    if prompt != other:
        raise DataError(
            "data.diverge",
            "chosen and rejected differ before their last answer, so they do not share a prompt",
            where=source,
            fix="drop the row: its sides answer different questions; data.skip_bad=true does",
        )


def _split_messages(messages: tuple[Message, ...], source: str) -> tuple[tuple[Message, ...], Completion]:
    """Everything before the last message, which must be the assistant's, and that message as the completion."""
    if len(messages) < 2 or messages[-1].role != "assistant":
        roles = ", ".join(message.role for message in messages) or "none"
        what = f"the messages are not something said and an answer to it; their roles: {roles}"
        fix = "the last message is the assistant's, and at least one stands before it"
        raise DataError("data.messages", what, where=source, fix=fix)
    return messages[:-1], Completion(messages=messages[-1:])


def _without_prompt(side: Prompt, prompt: Prompt, source: str) -> Completion:
    """One side as a completion; a list of messages may repeat the prompt in front of its answer."""
    if isinstance(side, str):
        return Completion(text=side) if isinstance(prompt, str) else Completion(messages=(Message("assistant", side),))
    asked = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    if len(side) > 1 and side[:-1] != asked:
        what = "a side holds messages before its answer that are not the prompt's"
        raise DataError("data.diverge", what, where=source, fix="leave the prompt out of the sides, or drop its column")
    if not side or side[-1].role != "assistant":
        what = "a side given as messages is one message of the assistant"
        raise DataError(
            "data.messages", what, where=source, fix='for example [{"role": "assistant", "content": "..."}]'
        )
    return Completion(messages=side[-1:])
