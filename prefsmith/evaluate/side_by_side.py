"""What a trained model writes, beside what its reference writes to the same prompt with the same noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefsmith.errors import ConfigError
from prefsmith.evaluate.reader import Reader, open_reader
from prefsmith.evaluate.samples import Answer, draw
from prefsmith.model.generate import Sampling
from prefsmith.records import Group
from prefsmith.settings import load_settings


@dataclass(frozen=True, slots=True)
class Written:
    """An answer, and the reference's where there is one. `number` counts the answers to a prompt from 0."""

    number: int
    answer: Answer
    beside: Answer | None

    def as_row(self) -> dict[str, object]:
        """As a JSON object; the answers end with the end token, which is not part of the text, or are cut."""
        group = self.answer.group
        prompt = group.prompt if isinstance(group.prompt, str) else [message.as_dict() for message in group.prompt]
        row: dict[str, object] = {"prompt": prompt, "number": self.number, **_facts("", self.answer)}
        return row if self.beside is None else row | _facts("reference_", self.beside)


def write_side_by_side(
    model: Reader, reference: Reader | None, prompts: Sequence[Group], sampling: Sampling, *, per_prompt: int = 1
) -> list[Written]:
    """Answers to prompts.

    Args:
        model: the trained one.
        reference: what it is compared with; it samples with the same noise.
        prompts: rows whose prompts are asked.
        sampling: how.
        per_prompt: answers to each.

    Raises:
        DataError: a prompt cannot be written for one of the models.
    """
    answers = draw(model.model, model.encoder, prompts, sampling, per_prompt=per_prompt)
    others: Sequence[Answer | None] = [None] * len(answers)
    if reference is not None:
        others = draw(reference.model, reference.encoder, prompts, sampling, per_prompt=per_prompt)
    return [Written(i % per_prompt, one, other) for i, (one, other) in enumerate(zip(answers, others, strict=True))]


def reference_of(path: str, reader: Reader, *, device: str, template: str) -> Reader:
    """What the model of a run was trained from, or the base under an adapter.

    Args:
        path: a run's folder or an adapter's.
        reader: the model itself.
        device: for the reference.
        template: for the reference.

    Raises:
        ConfigError: it cannot be told.
    """
    origin = reference_path(path, without_adapter=reader.base is not None)
    if origin is not None:
        return open_reader(origin, device=device, template=template)
    if reader.base is not None:
        return Reader(reader.base, reader.encoder, f"{reader.origin} without its adapter")
    what = "these weights do not say what they were trained from, and no adapter can be taken off them"
    raise ConfigError("generate.reference", what, where=path, fix="name the run's folder, or --reference MODEL")


def reference_path(path: str, *, without_adapter: bool = False) -> str | None:
    """The model that a run's settings name as what it was trained from; None where `path` is no run's folder.

    Args:
        path: a run's folder, or another place.
        without_adapter: whether the run's own adapter can be taken off, which only `reference.path` goes before.

    Raises:
        ConfigError: the settings of the run cannot be read.
    """
    stored = Path(path).expanduser() / "run.yaml"
    if not stored.is_file():
        return None
    config = load_settings(stored)
    return config.reference.path or (None if without_adapter else config.model.path)


def _facts(prefix: str, answer: Answer) -> dict[str, object]:
    return {
        f"{prefix}completion": answer.text,
        f"{prefix}tokens": len(answer.ids),
        f"{prefix}ended": answer.ended,
    }
