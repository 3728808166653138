"""Rows that teach something else than was meant, or little: what, why it matters, and what to do instead."""

from collections.abc import Iterator

from prefsmith.data.encoded import EncodedGroup
from prefsmith.evaluate.implicit import shorter_is_better
from prefsmith.preflight.facts import Caution
from prefsmith.preflight.seen import Seen
from prefsmith.stats import wilson

HELD_OUT = 100
LENGTH_RULE = 0.1
"""Distance from one half at which the accuracy of "the shorter is better" is warned of, if it is beyond its noise."""
BALANCE = (0.8, 1.6)
"""Weighted desirable over weighted undesirable ratings in KTO: its page names 1 to 3/2; some slack."""
CUT = 0.1
"""Share of rows longer than max_length."""
UNENDED = 0.1
"""Share of answers without an end token."""
JOINED = 0.1
"""Share of rows whose prompt and answer run together."""


def doubtful_rows(seen: Seen) -> Iterator[Caution]:
    """What rows, labels, and their way into the model are warned of."""
    for check in CHECKS:
        yield from check(seen)


def _held_out(seen: Seen) -> Iterator[Caution]:
    labels = sum(len(group.views[0]) for group in seen.held_out)
    if labels == 0 and seen.rows.held_out and any(term.entry.mismatched for term in seen.objective.terms):
        yield Caution(
            "held_out",
            "fewer than two prompts are held out",
            "this loss compares answers across prompts, so there will be no evaluation",
            "a larger data.eval_fraction, or data.eval=FILE",
        )
    elif labels == 0:
        yield Caution(
            "held_out",
            "no row is held out",
            "nothing will tell whether the policy learnt more than its training rows",
            "data.eval_fraction=0.1, or data.eval=FILE",
        )
    elif labels < HELD_OUT:
        share = wilson(labels / 2, labels)
        sure = f"an accuracy on them is known to about ±{100 * (share.high - share.low) / 2:.0f} points (95 %)"
        yield Caution(
            "held_out",
            f"{labels} label{'s are' if labels > 1 else ' is'} held out; below {HELD_OUT} little can be told",
            "their mean loss is mostly noise" if seen.examples_only else sure,
            "a larger data.eval_fraction, or data.eval=FILE with more rows",
        )


def _leaked(seen: Seen) -> Iterator[Caution]:
    if leaked := seen.rows.eval_prompts_in_train:
        yield Caution(
            "eval_prompts_in_train",
            f"{leaked:,} of {seen.rows.held_out:,} held-out rows have a prompt that is trained on",
            "the policy may know their answers, so the held-out numbers are too good",
            "take those rows out of data.eval; or leave data.eval out: then prompts are split",
        )


def _refused(seen: Seen) -> Iterator[Caution]:
    refused, rows = sum(each.refused for each in seen.rows.files), sum(each.rows for each in seen.rows.files)
    if seen.config.data.skip_bad and refused > CUT * rows:
        yield Caution(
            "refused",
            f"{refused:,} of {rows:,} rows are skipped as bad",
            "what is left may be another selection than you meant",
            "look at the reasons above, and mend the file",
        )


def _ties(seen: Seen) -> Iterator[Caution]:
    probs = [each.prob for group in seen.train for each in group.compared]
    if probs and all(prob == 0.5 for prob in probs):
        yield Caution(
            "ties",
            "every label has the probability 0.5",
            "nobody prefers anything, so there is nothing to learn",
            "give rows with a winner, or check data.columns.prob",
        )


def _length_rule(seen: Seen) -> Iterator[Caution]:
    share = None if seen.examples_only else shorter_is_better(seen.train)
    if share is None or share.low <= 0.5 <= share.high or abs(share.value - 0.5) < LENGTH_RULE:
        return
    rule, value = ("shorter", share.value) if share.value > 0.5 else ("longer", 1 - share.value)
    low, high = (share.low, share.high) if rule == "shorter" else (1 - share.high, 1 - share.low)
    yield Caution(
        "length_rule",
        f"the {rule} answer is the preferred one in {100 * value:.0f} % of the pairs"
        f" [{100 * low:.0f}, {100 * high:.0f}]",
        "the policy may learn length and nothing else: accuracy has to beat this rule",
        "pairs of like length; or loss.name=ipo loss.length_norm=token, which counts per token",
    )


def _balance(seen: Seen) -> Iterator[Caution]:
    for index, term in enumerate(seen.objective.terms):
        if "desirable_weight" not in term.settings:
            continue
        ratings = [rating for group in seen.train for rating in group.views[index].ratings]
        good = sum(each.weight for each in ratings if each.value > 0.5) * term.settings["desirable_weight"]
        bad = sum(each.weight for each in ratings if each.value <= 0.5) * term.settings["undesirable_weight"]
        if good and bad and BALANCE[0] <= good / bad <= BALANCE[1]:
            continue
        what = f"weighted, there are {good:,.4g} desirable and {bad:,.4g} undesirable ratings"
        why, instead = "the side with more weight drowns the other", "rows of both kinds"
        if good and bad:
            side = "desirable" if good < bad else "undesirable"
            weight = term.settings[f"{side}_weight"] * max(good, bad) / min(good, bad)
            instead = f"{seen.key(index)}.{side}_weight={weight:.2g}"
        else:
            why = "without both kinds there is nothing to tell apart"
        yield Caution("balance", what, why, instead)


def _cut(seen: Seen) -> Iterator[Caution]:
    lengths = seen.lengths
    if lengths is None or lengths.over <= CUT * lengths.parts[0].n:
        return
    loses = {
        "keep_end": "they lose the start of their prompt, and then the end of their answers",
        "keep_start": "they lose the end of their answers, and with it the end token",
        "drop": "they are left out",
        "refuse": "training refuses them",
    }
    instead = _room(seen)
    yield Caution(
        "max_length",
        f"{lengths.over:,} of {lengths.parts[0].n:,} rows are longer than {lengths.max_length:,} tokens",
        loses[lengths.truncation],
        instead if lengths.truncation == "drop" else f"{instead}, or data.truncation=drop",
    )


def _room(seen: Seen) -> str:
    """What gives longer rows more room."""
    return "a model that takes more" if seen.config.data.max_length is None else "a larger data.max_length"


def _run_together(seen: Seen) -> Iterator[Caution]:
    if seen.template.kind != "plain" or seen.template.wraps != "texts":
        return
    joined = sum(_runs_together(group) for group in seen.train)
    if joined > JOINED * len(seen.train):
        yield Caution(
            "run_together",
            f"in {joined:,} of {len(seen.train):,} rows no space or line end stands between prompt and answer",
            "plain texts are joined as they are, so the model reads them as one word",
            "a space or line end in the rows, or data.template=FILE that writes turns",
        )


def _runs_together(group: EncodedGroup) -> bool:
    prompt = str(group.group.prompt)
    answers = [answer.content for answer in group.group.completions]
    return prompt[-1:].strip() != "" and any(answer[:1].strip() != "" for answer in answers)


def _unknown(seen: Seen) -> Iterator[Caution]:
    for each in seen.treated:
        if each.what.startswith("with text that the tokenizer cannot write") and each.side == "train":
            yield Caution(
                "unknown_text",
                f"{each.count:,} of {each.of:,} rows have text that the tokenizer cannot write",
                "the model learns to write its token for what it does not know",
                "rows in the model's alphabet, or another model",
            )


def _begin(seen: Seen) -> Iterator[Caution]:
    if doubled := seen.begin.doubled:
        yield Caution(
            "begin_token",
            f"{doubled:,} of {seen.begin.rows:,} prompts begin with {seen.begin.token} twice",
            "the model never saw that, and answers worse behind it",
            "take it out of the chat template, or out of the rows",
        )


def _end(seen: Seen) -> Iterator[Caution]:
    end = seen.end
    if end.answers - end.ended > UNENDED * end.answers:
        cut = any(each.what == "with an answer cut" and each.side == "train" for each in seen.treated)
        yield Caution(
            "end_token",
            f"{end.answers - end.ended:,} of {end.answers:,} answers have no end token",
            "the policy does not learn from them where to stop",
            f"{_room(seen)}, or data.truncation=drop"
            if cut
            else "data.template=FILE, with a template that ends the assistant's turn",
        )
    elif not end.generation:
        yield Caution(
            "generation_end",
            f"the model's generation settings do not name {end.tokens[0] if end.tokens else 'an end token'}",
            "whoever samples from the trained model may not stop where answers end",
            "put its id into eos_token_id of the model's generation_config.json",
        )


def _template(seen: Seen) -> Iterator[Caution]:
    if seen.template.kind == "plain" and seen.template.wraps == "turns" and seen.config.data.template == "auto":
        yield Caution(
            "template",
            "the rows are chats and the model has no chat template: turns are written Human: and Assistant:",
            "that is a guess; a model that knows chats in another form reads them as foreign text",
            "data.template=FILE with its form, or data.template=plain if this is right",
        )


CHECKS = (
    _held_out,
    _leaked,
    _refused,
    _ties,
    _length_rule,
    _balance,
    _cut,
    _run_together,
    _unknown,
    _begin,
    _end,
    _template,
)
