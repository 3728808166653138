"""A settings file to start from: every setting with its default and what it does, what must be filled in first."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from prefsmith.catalogue import Chapter, Setting, chapters
from prefsmith.config import RunConfig

FILL_IN = ("model.path", "data.train")
FIRST = ("model", "data", "loss", "adapter", "optim", "train")
WIDTH = 100


@dataclass(frozen=True, slots=True)
class Task:
    """What a file is for.

    Args:
        title: what it trains, in a line.
        row: a row of the data it reads.
        values: where its settings differ from the defaults of `RunConfig`.
    """

    title: str
    row: str
    values: Mapping[str, Any]

    @property
    def loss(self) -> str:
        """Name of its loss."""
        return RunConfig.model_validate(self.values).losses[0].name


_PAIR = '{"prompt": "Name a fruit.", "chosen": " Apple.", "rejected": " Stone."}'
_RATING = '{"prompt": "Name a fruit.", "completion": " Apple.", "label": true}'
_EXAMPLE = '{"prompt": "Name a fruit.", "completion": " Apple."}'
TASKS = {
    "dpo": Task("Direct preference optimisation of all weights, on pairs of answers.", _PAIR, {}),
    "kto": Task("KTO of all weights, on answers with thumbs up or down.", _RATING, {"loss": {"name": "kto"}}),
    "sft": Task("Supervised fine-tuning of all weights, on good answers.", _EXAMPLE, {"loss": {"name": "sft"}}),
    "lora": Task(
        "Direct preference optimisation of a low-rank adapter, on pairs of answers.",
        _PAIR,
        {"adapter": {"kind": "lora"}},
    ),
}


def write_starter(task: Task, own: Sequence[Setting]) -> str:
    """The file's text: YAML that loads to the task's defaults.

    Args:
        task: one of `TASKS`.
        own: the settings of the task's loss.
    """
    known = {chapter.name: chapter for chapter in chapters()}
    values = RunConfig.model_validate(task.values).model_dump(mode="json")
    values["loss"] |= {each.key: each.default for each in own}
    loss = known["loss"]
    known["loss"] = Chapter(loss.name, loss.words, (*loss.settings, *own))
    head = (
        f"{task.title} `prefsmith train FILE` runs it. Fill in the lines that are marked; "
        "every other line holds a default and may be left out.",
        f"The data has a row like this one on each line:\n  {task.row}",
    )
    lines = [line for paragraph in head for line in _comment(paragraph)]
    first = [name for name in FIRST if name != "adapter" or "adapter" in task.values]
    for name in first:
        lines += ["", *_chapter(known.pop(name), values)]
    lines += ["", "# --- Rarely needed from here on ---"]
    for chapter in known.values():
        lines += ["", *_chapter(chapter, values)]
    return "\n".join(lines) + "\n"


def _chapter(chapter: Chapter, values: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a section; those outside of sections are not indented."""
    yield from _comment(chapter.words)
    if chapter.name:
        yield f"{chapter.name}:"
    indent, held = ("  ", values[chapter.name]) if chapter.name else ("", values)
    for each in chapter.settings:
        limits = f" ({each.limits})" if each.limits else ""
        yield from _comment(each.words + limits, indent)
        mark = "  # <- FILL IN" if f"{chapter.name}.{each.key}" in FILL_IN else ""
        yield f"{indent}{each.key}: {_scalar(held[each.key])}{mark}"


def _comment(text: str, indent: str = "") -> Iterator[str]:
    lead = f"{indent}# "
    for line in text.strip().split("\n"):
        deeper = " " * (len(line) - len(line.lstrip()))
        yield from textwrap.wrap(
            line.strip(), WIDTH, initial_indent=lead + deeper, subsequent_indent=lead + deeper, break_on_hyphens=False
        )


def _scalar(value: object) -> str:
    """The value on one line, as YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("...\n").strip()
