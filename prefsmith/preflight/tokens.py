"""Where a text begins and ends for the model, and what turns messages into text; read from the ids themselves."""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal, cast

from prefsmith.config import DataConfig
from prefsmith.data.counts import PLACES
from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedGroup
from prefsmith.preflight.facts import Begin, End, Refused, Template, Treated
from prefsmith.records import Group

PREFACED = "with text of the template in front of the answer, which is scored"
DIALOGUES = "dialogues in text split into turns"


def begin_of(encoder: Encoder, groups: Sequence[EncodedGroup]) -> Begin:
    """The begin token, by whom it is written, and whether it stands once.

    Args:
        encoder: that encoded the groups.
        groups: training rows, at least one.
    """
    number = cast("int | None", encoder.tokenizer.bos_token_id)
    if number is None:
        return Begin(None, "nobody", len(groups), 0, 0, 0)
    prompts = [group.prompt for group in groups]
    text = encoder.renderer.render_completions(groups[0].group, ()).prompt
    by_template = encoder.renderer.template is not None and text.startswith(str(encoder.tokenizer.bos_token))
    writers: dict[tuple[bool, bool], Literal["tokenizer", "template", "both", "nobody"]] = {
        (True, True): "both",
        (True, False): "tokenizer",
        (False, True): "template",
        (False, False): "nobody",
    }
    return Begin(
        token=str(encoder.tokenizer.bos_token),
        writer=writers[encoder.begin is not None, by_template],
        rows=len(groups),
        present=sum(prompt[:1] == (number,) for prompt in prompts),
        # Where begin and end are one token, it ends the turns before.
        repeated=0 if number in encoder.ends else sum(number in prompt[1:] for prompt in prompts),
        doubled=sum(prompt[:2] == (number, number) for prompt in prompts),
    )


def end_of(encoder: Encoder, groups: Sequence[EncodedGroup], generation_ends: Collection[int]) -> End:
    """The end token, by whom it is written, and how many answers end with it.

    Args:
        encoder: that encoded the groups.
        groups: training rows.
        generation_ends: ids at which sampling from the model stops.
    """
    last = [answer.ids[-1] for group in groups for answer in group.completions]
    ends = Counter(number for number in last if number in encoder.ends)
    usual = [number for number, _ in ends.most_common()]
    return End(
        tokens=_names(encoder, usual),
        known=_names(encoder, sorted(encoder.ends)),
        writer="prefsmith" if encoder.renderer.template is None else "template",
        answers=len(last),
        ended=ends.total(),
        generation=usual[0] in generation_ends if usual else bool(generation_ends),
    )


def template_of(
    config: DataConfig,
    encoder: Encoder,
    groups: Sequence[Group],
    notes: Collection[str],
    refused: Sequence[Refused],
    treated: Sequence[Treated],
) -> Template:
    """What turns messages into text.

    Args:
        config: says which template is wanted.
        encoder: that has it.
        groups: training rows; the first tells what rows are.
        notes: what was done to rows when they were read.
        refused: rows that cannot be used.
        treated: rows to which something was done.
    """
    text = encoder.renderer.template
    turns = bool(groups) and not isinstance(groups[0].prompt, str)
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    given = config.template not in ("auto", "plain")
    return Template(
        kind="plain" if text is None else "file" if given else "model",
        path=config.template if given else None,
        first_line=lines[0] if lines else None,
        sha256=None if text is None else hashlib.sha256(text.encode()).hexdigest(),
        wraps="dialogues" if turns and DIALOGUES in notes else "turns" if turns else "texts",
        prefix_broken=sum(each.count for each in refused if each.code == "data.template_prefix"),
        prefaced=sum(each.count for each in treated if each.what == PREFACED and each.side == "train"),
    )


def unknown_in(encoder: Encoder, groups: Sequence[EncodedGroup], side: str) -> Treated | None:
    """Rows with text that the tokenizer cannot write; None where there are none."""
    number = encoder.tokenizer.unk_token_id
    if number is None or number in encoder.ends or number == encoder.tokenizer.bos_token_id:
        return None
    found = [
        group.group.source
        for group in groups
        if number in group.prompt or any(number in answer.ids for answer in group.completions)
    ]
    what = f"with text that the tokenizer cannot write: {encoder.tokenizer.unk_token} stands there"
    return Treated(side, what, len(found), len(groups), tuple(found[:PLACES])) if found else None


def _names(encoder: Encoder, numbers: Sequence[int]) -> tuple[str, ...]:
    return tuple(str(encoder.tokenizer.convert_ids_to_tokens(number)) for number in numbers)
