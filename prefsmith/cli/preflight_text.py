"""A preflight as text for a terminal, readable in a minute."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefsmith.cli.example_text import add_example, legend
from prefsmith.cli.phrases import command_lines, duration_words, percent, place_words, share_of, shortened
from prefsmith.cli.progress import size
from prefsmith.cli.sheet import Marks, Sheet
from prefsmith.wording import counted

if TYPE_CHECKING:
    from prefsmith.preflight.facts import Begin, End, Lengths, Memory, Pace, Preflight, Quantiles, Template, Work

LONGEST_REASON = 240
"""Characters of why a row was refused; `What stops training` and `--json` have all."""
SIDES = {"train": "to train on", "eval": "held out"}


def sheet_of(facts: "Preflight", command: Sequence[str], *, width: int, marks: Marks) -> Sheet:
    """Every section that has something to say, and at the end whether training would begin.

    Args:
        facts: what was found.
        command: the words of the command that trains with these settings.
        width: cells of a line.
        marks: signs with a meaning.
    """
    sheet = Sheet(width, marks)
    for section in (_rows, _examples, _lengths, _treated, _tokens, _model, _work, _warnings):
        section(sheet, facts)
    _verdict(sheet, facts, command)
    return sheet


def _rows(sheet: Sheet, facts: "Preflight") -> None:
    if facts.rows is not None:
        sheet.head("Rows")
        for file in facts.rows.files:
            sheet.pair("file" if file.side == "train" else "held out", f"{file.path}, {counted(file.rows, 'row')}")
            sheet.pair("recognised", file.recognised)
            for note, number in file.notes.items():
                sheet.more(f"{number:,} {note}")
        for number, each in enumerate(facts.rows.made):
            sheet.pair("made of it", each) if number == 0 else sheet.more(each)
        fraction = facts.rows.eval_fraction
        held = f"{facts.rows.held_out:,} held out"
        if fraction:
            held += f" (data.eval_fraction={fraction:g}, by a hash of the prompt)"
        sheet.pair("split", f"{facts.rows.train:,} to train on, {held}")
    if facts.refused:
        _refused(sheet, facts)


def _refused(sheet: Sheet, facts: "Preflight") -> None:
    number = sum(each.count for each in facts.refused)
    places = {row.where for each in facts.refused for row in each.rows}
    stops = any(problem.where in places for problem in facts.problems)
    then = "training stops at the first, unless data.skip_bad=true" if stops else "data.skip_bad leaves them out"
    sheet.pair("refused", f"{counted(number, 'row')} cannot be used; {then}")
    for each in facts.refused:
        reasons = {row.reason for row in each.rows}
        example = "" if len(reasons) == 1 else "for example, "
        sheet.more(f"{each.count:,} {each.code}: {example}{shortened(each.rows[0].reason, LONGEST_REASON)}")
        sheet.more(place_words([row.where for row in each.rows], each.count), deeper=2)


def _examples(sheet: Sheet, facts: "Preflight") -> None:
    if facts.examples:
        sheet.head("As the model reads them")
        sheet.put(legend(sheet.marks))
        for each in facts.examples:
            add_example(sheet, each, place_words([each.source], 1))


def _lengths(sheet: Sheet, facts: "Preflight") -> None:
    lengths = facts.lengths
    if lengths is None:
        return
    sheet.head("Lengths in tokens")
    sheet.table([["", "least", "median", "95 %", "most"], *map(_quantile_row, lengths.parts)])
    sheet.put(_limit(lengths))
    if lengths.difference is not None:
        longer = "longer" if lengths.difference >= 0 else "shorter"
        sheet.put(f"On average, chosen is {abs(lengths.difference):.1f} tokens {longer} than rejected.")


def _quantile_row(part: "Quantiles") -> list[str]:
    return [part.what, *(f"{value:,}" for value in (part.min, part.median, part.p95, part.max))]


def _limit(lengths: "Lengths") -> str:
    rows = lengths.parts[0].n
    if lengths.max_length is None:
        return "There is no limit."
    if lengths.over == 0:
        return f"None is longer than {lengths.max_length:,} tokens, the limit."
    done = {"drop": "left out", "refuse": "refused"}.get(lengths.truncation, "cut")
    share = percent(lengths.over, rows)
    return (
        f"{lengths.over:,} of {rows:,} rows ({share}) are longer than {lengths.max_length:,} tokens and are {done}"
        f" (data.truncation={lengths.truncation})."
    )


def _treated(sheet: Sheet, facts: "Preflight") -> None:
    if facts.treated:
        sheet.head("Changed on the way to tokens")
        for what in dict.fromkeys(each.what for each in facts.treated):
            alike = [each for each in facts.treated if each.what == what]
            counts = ", ".join(f"{each.count:,} of {each.of:,} {SIDES[each.side]}" for each in alike)
            sheet.put(f"{what}: {counts}", hang=2)
            for each in alike:
                sheet.put(place_words(each.places, each.count), indent=4, hang=2)


def _tokens(sheet: Sheet, facts: "Preflight") -> None:
    if facts.template is not None or facts.begin is not None:
        sheet.head("Begin, end and template")
    if facts.begin is not None:
        sheet.pair("begin", _begin(facts.begin))
    if facts.end is not None:
        sheet.pair("end", _end(facts.end))
    if facts.template is not None:
        sheet.pair("template", _template(facts.template))
        if facts.template.first_line is not None:
            sheet.more(f"begins {shortened(facts.template.first_line, 100)}")
        for line in _prefix(facts):
            sheet.more(line)


def _begin(begin: "Begin") -> str:
    if begin.token is None:
        return "the tokenizer has none"
    if begin.writer == "nobody" and begin.present == 0:
        return f"{begin.token} exists, and neither tokenizer nor template writes it"
    writer = {
        "tokenizer": "the tokenizer writes it",
        "template": "the template writes it",
        "both": "tokenizer and template would write it",
        "nobody": "it stands in the rows",
    }[begin.writer]
    once = begin.present - begin.doubled
    words = f"{begin.token}, {writer}; it stands once in front of {share_of(once, begin.rows, 'prompt')}"
    words += f", twice in front of {begin.doubled:,}" if begin.doubled else ""
    return words + (f"; {begin.repeated:,} hold it again further on" if begin.repeated > begin.doubled else "")


def _end(end: "End") -> str:
    names = " or ".join(end.tokens[:3] or end.known[:3])
    writer = "the template writes it" if end.writer == "template" else "prefsmith writes it behind plain text"
    return (
        f"{names}, {writer}; {share_of(end.ended, end.answers, 'answer')} {'end' if end.ended != 1 else 'ends'} with it"
    )


def _template(template: "Template") -> str:
    if template.kind == "plain":
        return {
            "texts": "none: texts stand as they are in the file",
            "dialogues": "none: turns are written Human: and Assistant:, as in the file",
            "turns": "none: turns are written Human: and Assistant:, which is a guess",
        }[template.wraps]
    name = "the model's chat template" if template.kind == "model" else f"the file {template.path}"
    return f"{name}, sha256 {(template.sha256 or '')[:12]}"


def _prefix(facts: "Preflight") -> list[str]:
    template = facts.template
    if template is None or template.kind == "plain":
        return []
    lines = []
    if template.prefix_broken:
        lines.append(f"{counted(template.prefix_broken, 'prompt')} changed by the answer that follows: refused")
    elif facts.examples:
        lines.append("every prompt is how the whole begins, so that the two can be told apart")
    if template.prefaced:
        lines.append(f"it writes text of its own in front of {counted(template.prefaced, 'answer')}, which is scored")
    return lines


def _model(sheet: Sheet, facts: "Preflight") -> None:
    model, reference, way = facts.model, facts.reference, facts.path
    if model is None:
        return
    sheet.head("Model")
    digest = "" if model.sha256 is None else f", sha256 {model.sha256[:12]}"
    sheet.pair("policy", f"{model.origin}, {model.kind}{digest}")
    trained = "" if model.trained is None else "all " if model.trained == model.weights else f"{model.trained:,} of "
    adapter = "" if model.adapter == "none" else f", {model.adapter}"
    sheet.pair("trained", f"{trained}{model.weights:,} weights{adapter}, on {model.device}")
    if reference is not None:
        words = "none: the loss reads no reference"
        if reference.needed:
            words = f"{reference.what}, sha256 {(reference.sha256 or '')[:12]}"
        sheet.pair("reference", words)
    if way is not None:
        sheet.pair("path", f"{way.path}: {WAYS[way.path]}{'; ' + way.why if way.why else ''}")
        sheet.more(
            f"against the model's own forward: values within {way.value_gap:.1e} nats, gradient {way.gradient_gap:.1e}"
        )


WAYS = {
    "shared": "each prompt runs once, its answers behind it",
    "packed": "each answer runs with a prompt of its own, end to end",
    "padded": "one answer with its prompt a row, padded",
}


def _work(sheet: Sheet, facts: "Preflight") -> None:
    work = facts.work
    if work is None:
        return
    sheet.head("Work")
    sheet.pair("loss", f"{' + '.join(work.losses)}, learning rate {work.learning_rate:g}")
    epochs = counted(work.epochs, "epoch")
    sheet.pair("steps", f"{counted(work.steps, 'step')} of {work.pairs_per_step:,} {work.labels}, {epochs}")
    sheet.pair(
        "tokens",
        f"{work.tokens:,} in all, {work.tokens / work.steps:,.0f} a step; {work.scored_tokens:,} of them are scored",
    )
    sheet.more(_micro_batches(work))
    if work.tokens_unshared > work.tokens:
        saved = work.tokens_unshared - work.tokens
        sheet.more(f"{saved:,} tokens ({percent(saved, work.tokens_unshared)}) are saved by sharing prompts")
    if facts.memory is not None:
        sheet.pair("memory", _memory(facts.memory))
    if facts.pace is not None:
        sheet.pair("time", _time(facts.pace))
        sheet.pair("start", f"the loss before the first step is {facts.pace.start_loss:.4f}")


def _micro_batches(work: "Work") -> str:
    shown = " + ".join(f"{tokens:,}" for tokens in work.first_step[:4])
    more = f" + {len(work.first_step) - 4} more" if len(work.first_step) > 4 else ""
    name = "micro-batch" if len(work.first_step) == 1 else "micro-batches"
    return f"the first step has {len(work.first_step)} {name}: {shown}{more} tokens"


def _memory(memory: "Memory") -> str:
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "AdamW": memory.optimizer,
        "reference": memory.reference,
        "activations": memory.activations + memory.transient,
        "logits": memory.logits,
        "Python and rows": memory.process,
    }
    largest = sorted(parts.items(), key=lambda part: -part[1])
    shown = ", ".join(f"{name} {size(value)}" for name, value in largest if value >= 0.01 * memory.total)
    there = "" if memory.available is None else f" of {size(memory.available)}"
    return f"about {size(memory.total)}{there}: {shown}"


def _time(pace: "Pace") -> str:
    measured = f"measured: {pace.tokens:,} tokens in {pace.seconds:.2g} s"
    return f"about {duration_words(pace.total_seconds)} for all steps on this machine ({measured})"


def _warnings(sheet: Sheet, facts: "Preflight") -> None:
    if facts.warnings:
        sheet.head(f"Warnings ({len(facts.warnings)})")
    for number, each in enumerate(facts.warnings):
        if number:
            sheet.put("")
        sheet.put(f"warning: {each.what}", hang=2, style="yellow")
        sheet.put(f"why: {each.why}", indent=4, hang=5)
        sheet.put(f"try: {each.instead}", indent=4, hang=5)


def _verdict(sheet: Sheet, facts: "Preflight", command: Sequence[str]) -> None:
    if facts.problems:
        sheet.head(f"What stops training ({len(facts.problems)})")
        for number, each in enumerate(facts.problems):
            if number:
                sheet.put("")
            _lines(sheet, f"[{each.code}] {each.what}", indent=2, hang=2, style="bold red")
            if each.where:
                sheet.put(f"where: {each.where}", indent=4, hang=7)
            if each.fix:
                _lines(sheet, f"fix: {each.fix}", indent=4, hang=5)
    sheet.head("Next")
    if facts.problems:
        sheet.put(f"Training would end with exit status {facts.exit_status}. When that is mended:")
    else:
        sheet.put("Training would begin. Nothing was trained or written so far.")
    for line in command_lines(command, sheet.width - 4):
        sheet.verbatim(line)


def _lines(sheet: Sheet, text: str, *, indent: int, hang: int, style: str = "") -> None:
    """A message of our own, which may have several lines; those below the first are indented already."""
    first, *others = text.split("\n")
    sheet.put(first, indent=indent, hang=hang, style=style)
    for line in others:
        sheet.put(line.lstrip(), indent=indent + len(line) - len(line.lstrip()), hang=hang)
