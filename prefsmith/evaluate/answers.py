"""The answers of one side: written by a model once and kept, or read from a file."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import cast

from prefsmith.data.completions import Completions
from prefsmith.errors import DataError
from prefsmith.evaluate.reader import Reader, open_reader
from prefsmith.evaluate.samples import draw
from prefsmith.evaluate.side_by_side import reference_of
from prefsmith.evaluate.sides import Side
from prefsmith.evaluate.workplace import Row, Workplace
from prefsmith.model.generate import Sampling
from prefsmith.records import Group


@dataclass(frozen=True, slots=True)
class Drawing:
    """How answers are drawn, at whatever temperature.

    Args:
        samples: answers to each prompt.
        max_new_tokens: most tokens of an answer.
        top_p: share of probability that is kept.
        seed: of the noise.
        batch: answers that are written together.
        template: `auto`, `plain`, or a Jinja file.
        device: `auto` takes a GPU where there is one.
        trust_remote_code: run code that comes with the model.
    """

    samples: int
    max_new_tokens: int
    top_p: float
    seed: int
    batch: int
    template: str
    device: str
    trust_remote_code: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """What a side answered at a temperature.

    Args:
        side: its name.
        temperature: None for answers from a file.
        texts: to each prompt.
        tokens: mean length; None where it is not known.
        cut: answers that were cut at their longest.
        shortened: prompts that lost their start, to leave room for an answer.
    """

    side: str
    temperature: float | None
    texts: tuple[tuple[str, ...], ...]
    tokens: float | None = None
    cut: int = 0
    shortened: int = 0

    @property
    def n(self) -> int:
        """Answers in all."""
        return sum(map(len, self.texts))

    def as_dict(self) -> dict[str, object]:
        """As evidence.json has it."""
        return {
            "side": self.side,
            "temperature": self.temperature,
            "n": self.n,
            "characters": fmean(len(text) for each in self.texts for text in each),
            "tokens": self.tokens,
            "cut": self.cut,
            "shortened": self.shortened,
        }


def of_file(side: Side, completions: Completions, prompts: Sequence[Group]) -> Answers:
    """The answers of a file, in the order of the prompts."""
    return Answers(side.name, None, tuple(completions.texts[group.prompt_key()] for group in prompts))


class Writer:
    """Writes the answers of a model, which is loaded when the first one is missing.

    Args:
        side: whose model.
        prompts: what is asked.
        place: where answers are kept.
        drawing: how they are drawn. Two writers with one seed share their noise, prompt by prompt.
        say: is given a line at a time.
    """

    def __init__(
        self, side: Side, prompts: Sequence[Group], place: Workplace, drawing: Drawing, say: Callable[[str], None]
    ) -> None:
        self.side, self.prompts, self.place, self.drawing, self.say = side, prompts, place, drawing, say
        self._reader: Reader | None = None

    def answers(self, name: str, temperature: float) -> Answers:
        """The answers at a temperature; what the file `name` holds already is not written again.

        Raises:
            ConfigError: the model cannot be loaded.
            DataError: a prompt cannot be written for it, or the file is damaged.
            TrainingError: the disk is full or fails.
        """
        kept = {self._number(row, name): row for row in self.place.rows(name)}
        missing = [number for number in range(len(self.prompts)) if number not in kept]
        if missing:
            self.say(f"{self.side.name} at temperature {temperature:g}: {len(missing):,} prompts to answer")
        for numbers in _runs(missing, max(1, self.drawing.batch // self._samples(temperature))):
            rows = self._written(numbers, temperature)
            self.place.keep(name, rows)
            kept.update(zip(numbers, rows, strict=True))
        return _as_answers(self.side.name, temperature, [kept[number] for number in range(len(self.prompts))])

    def _written(self, numbers: Sequence[int], temperature: float) -> list[Row]:
        reader, drawing = self._opened(), self.drawing
        sampling = Sampling(drawing.max_new_tokens, temperature, drawing.top_p, drawing.seed, drawing.batch)
        groups, each = [self.prompts[number] for number in numbers], self._samples(temperature)
        found = draw(reader.model, reader.encoder, groups, sampling, per_prompt=each, first=numbers[0])
        rows: list[Row] = []
        for place, (number, group) in enumerate(zip(numbers, groups, strict=True)):
            own = found[place * each : (place + 1) * each]
            answers = [{"text": one.text, "tokens": len(one.ids), "ended": one.ended} for one in own]
            shortened = len(own[0].prompt) < len(reader.encoder.prompt_ids(group))
            rows.append({"prompt": number, "answers": answers, "shortened": shortened})
        return rows

    def _samples(self, temperature: float) -> int:
        """At temperature 0 all samples are one."""
        return self.drawing.samples if temperature > 0 else 1

    def _opened(self) -> Reader:
        if self._reader is None:
            device, template = self.drawing.device, self.drawing.template
            trust = self.drawing.trust_remote_code
            reader = open_reader(self.side.place, device=device, template=template, trust_remote_code=trust)
            if self.side.kind == "reference":
                reader = reference_of(self.side.place, reader, device=device, template=template)
            self._reader = reader
        return self._reader

    def _number(self, row: Row, name: str) -> int:
        number = row.get("prompt")
        if (
            not isinstance(number, int)
            or not 0 <= number < len(self.prompts)
            or not isinstance(row.get("answers"), list)
        ):
            what, fix = "a line of what was kept is damaged", "take the line out: what it held is done again"
            raise DataError("evaluate.damaged", what, where=str(self.place.folder / name), fix=fix)
        return number


def noise(seed: int, part: str) -> int:
    """A seed for one part of a contest. Methods share theirs, so that they differ by what they are; the baseline has
    another one: two answers that share their noise are no two independent answers, and would tie too often."""
    return int.from_bytes(hashlib.sha256(f"{seed} {part}".encode()).digest()[:8], "little") >> 1


def _runs(numbers: Sequence[int], most: int) -> list[list[int]]:
    """Numbers that follow each other, at most so many of them together."""
    found: list[list[int]] = []
    for _, run in groupby(enumerate(numbers), key=lambda each: each[1] - each[0]):
        members = [number for _, number in run]
        found += [members[start : start + most] for start in range(0, len(members), most)]
    return found


def _as_answers(side: str, temperature: float, rows: Sequence[Row]) -> Answers:
    answers = [cast("Sequence[Mapping[str, object]]", row["answers"]) for row in rows]
    every = [answer for each in answers for answer in each]
    return Answers(
        side=side,
        temperature=temperature,
        texts=tuple(tuple(str(answer["text"]) for answer in each) for each in answers),
        tokens=fmean(cast("int", answer["tokens"]) for answer in every),
        cut=sum(not answer["ended"] for answer in every),
        shortened=sum(bool(row["shortened"]) for row in rows),
    )
