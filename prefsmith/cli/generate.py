"""`prefsmith generate`."""

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prefsmith.cli.terminal import say
from prefsmith.errors import ConfigError

if TYPE_CHECKING:
    from prefsmith.evaluate.reader import Reader
    from prefsmith.evaluate.side_by_side import Written
    from prefsmith.records import Group

HELP = """Write answers with a trained model, beside its reference if asked.

For example:

    prefsmith generate --model runs/first --prompt "What is 2 + 2?"
    prefsmith generate --model runs/first --reference auto --data pairs.jsonl --limit 5
    prefsmith generate --model MODEL --data pairs.jsonl --samples 4 --seed 1 --out answers.jsonl

--model takes a model's folder or hub id, an adapter's folder, or a run's folder. --reference auto is what the run was \
trained from, or the base under an adapter; it answers with the same random numbers.

An answer depends on model, prompt, seed and its own number, not on --batch. --temperature 0 takes the likeliest token.
"""


def generate(
    *,
    model: Annotated[str, Parameter(help="Folder of a model, an adapter or a run, or a hub id.")],
    prompt: Annotated[list[str] | None, Parameter(negative=(), help="A prompt; may be given again.")] = None,
    data: Annotated[str | None, Parameter(help="File whose different prompts are answered.")] = None,
    limit: Annotated[int | None, Parameter(help="Most prompts of the file.")] = None,
    reference: Annotated[str | None, Parameter(help="Another model to show beside, or auto.")] = None,
    samples: Annotated[int, Parameter(help="Answers to each prompt.")] = 1,
    max_new_tokens: Annotated[int, Parameter(help="Most tokens of an answer.")] = 128,
    temperature: Annotated[float, Parameter(help="1 is the model's own distribution.")] = 1.0,
    top_p: Annotated[float, Parameter(help="Share of probability that is kept.")] = 1.0,
    seed: Annotated[int, Parameter(help="Of the random numbers.")] = 0,
    batch: Annotated[int, Parameter(help="Answers that are written together.")] = 64,
    template: Annotated[str, Parameter(help="auto, plain, or a Jinja file.")] = "auto",
    device: Annotated[str, Parameter(help="auto, cpu, cuda, mps.")] = "auto",
    trust_remote_code: Annotated[bool, Parameter(negative=(), help="Run the model's own code.")] = False,
    out: Annotated[Path | None, Parameter(help="Write JSON lines here instead.")] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON lines.")] = False,
    dry_run: Annotated[bool, Parameter(negative=(), help="Say what would be written, and stop.")] = False,
) -> None:
    """Write answers with a trained model."""
    _refuse_existing(out)
    _refuse_less_than_one(samples=samples, limit=limit)
    from prefsmith.model.generate import Sampling  # inside: --help and wrong options answer without torch

    sampling = Sampling(max_new_tokens, temperature, top_p, seed, batch)
    prompts = _prompts(prompt or [], data, limit)
    if dry_run:
        say(f"would write {len(prompts) * samples} answers to {len(prompts)} prompts{f' to {out}' if out else ''}")
        return
    from prefsmith.evaluate.reader import open_reader
    from prefsmith.evaluate.side_by_side import reference_of, write_side_by_side

    reader = open_reader(model, device=device, template=template, trust_remote_code=trust_remote_code)
    beside: Reader | None = None
    if reference == "auto":
        beside = reference_of(model, reader, device=device, template=template)
    elif reference is not None:
        beside = open_reader(reference, device=device, template=template, trust_remote_code=trust_remote_code)
    written = write_side_by_side(reader, beside, prompts, sampling, per_prompt=samples)
    if out is not None:
        _save(out, written)
        say(f"{len(written)} answers are in {out}")
    elif as_json:
        for each in written:
            print(json.dumps(each.as_row()))
    else:
        names = [reader.origin, *([beside.origin] if beside is not None else [])]
        for line in _lines(written, names):
            say(line)


def _prompts(texts: Sequence[str], data: str | None, limit: int | None) -> "list[Group]":
    from prefsmith.data.prompts import read_prompts
    from prefsmith.records import Group

    if not texts and data is None:
        raise ConfigError("generate.prompt", "there is no prompt", fix="--prompt TEXT, or --data FILE")
    given = [Group(f"prompt {n}", f"--prompt {n}", text, ()) for n, text in enumerate(texts, 1)]
    return [*given, *(read_prompts(data, limit=limit) if data is not None else [])]


def _lines(written: "Sequence[Written]", names: Sequence[str]) -> Iterator[str]:
    """Each prompt once, its answers below; with a reference, first the model's and then the reference's."""
    width = max(20, min(100, shutil.get_terminal_size().columns))
    for each in written:
        if each.number == 0:
            prompt = each.answer.group.prompt
            text = prompt if isinstance(prompt, str) else "\n".join(f"{turn.role}: {turn.content}" for turn in prompt)
            yield from ("", *_wrapped("> ", text, width))
        answers = [each.answer, *([each.beside] if each.beside is not None else [])]
        for name, answer in zip(names, answers, strict=True):
            cut = "" if answer.ended else f" [cut after {len(answer.ids)} tokens]"
            if len(names) > 1:
                yield f"  {name}:"
            yield from _wrapped("  | ", f"{answer.text}{cut}", width)


def _wrapped(mark: str, text: str, width: int) -> Iterator[str]:
    for line in text.split("\n"):
        yield from textwrap.wrap(line, width, initial_indent=mark, subsequent_indent=mark) or [mark.rstrip()]


def _save(out: Path, written: "Sequence[Written]") -> None:
    from prefsmith.files import write_durably

    try:
        write_durably(out, "".join(json.dumps(each.as_row()) + "\n" for each in written).encode())
    except OSError as error:
        what = f"the answers cannot be written: {error.strerror}"
        raise ConfigError("generate.out", what, where=str(out), fix="choose another --out") from error


def _refuse_existing(out: Path | None) -> None:
    if out is not None and out.exists():
        raise ConfigError("generate.out", "the file is there already", where=str(out), fix="choose another --out")


def _refuse_less_than_one(**values: int | None) -> None:
    for name, value in values.items():
        if value is not None and value < 1:
            raise ConfigError("generate.value", f"--{name} is {value}, and must be at least 1", where=f"--{name}")
