"""A loss's page as data: what its docstring, its signature and its registration say about it."""

import dataclasses
import inspect
import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch

from prefsmith.catalogue import Setting, bounds
from prefsmith.losses.registry import LOSSES, Entry, Range, find
from prefsmith.types import Labels, PerToken, Preferences, Rankings, Ratings, SequenceScores

SECTIONS = ("Args", "Returns", "Raises", "Source")
ROWS = {
    "pairs": "pairs.jsonl",
    "pairs with scores": "scored.jsonl",
    "ratings": "thumbs.jsonl",
    "desirable completions": "answers.jsonl",
    "ranked lists": "ranked.jsonl",
    "lists with scores": "ranked.jsonl",
}
SIDES = {"pairwise": ("chosen", "rejected"), "unpaired": ("desirable", "undesirable"), "listwise": ("best", "worst")}


GROUPS = {
    "pairwise, reference": "Pairs, compared with a reference",
    "pairwise, free": "Pairs, without a reference",
    "unpaired, reference": "Single completions, compared with a reference",
    "unpaired, free": "Single completions, without a reference",
    "listwise, reference": "Ranked lists, compared with a reference",
}
"""Headings of a list of losses, in their order."""

NEEDS = {
    "per_token": "the log-probability of every token",
    "confidence": "how sure the policy is of every token",
    "kl": "the KL divergence at every token, over the whole vocabulary",
    "scores": "a judge's scores",
    "score_order": "scores that rank chosen above rejected",
}


@dataclass(frozen=True, slots=True)
class _Example:
    """Three completions with hard labels, to show what a loss gives where policy equals reference."""

    tokens: tuple[int, int, int]
    judged: tuple[float, float, float]
    sure: float

    def start(self, entry: Entry) -> dict[str, float]:
        """The declared value for each label, by its name."""
        assert entry.start is not None
        nats = torch.tensor([-float(each) for each in self.tokens], dtype=torch.float64)
        tokens, bounds = torch.tensor(self.tokens), torch.tensor([0, *accumulate(self.tokens)])
        each_token = torch.full((sum(self.tokens),), -1.0, dtype=torch.float64)
        scores = SequenceScores(
            nats,
            nats,
            tokens,
            per_token=PerToken(each_token, each_token, bounds),
            confidence=torch.full_like(nats, self.sure),
            kl=torch.zeros_like(nats),
        )
        names, labels = self._labels(entry)
        return dict(zip(names, entry.start(scores, labels, **entry.defaults).tolist(), strict=True))

    def _labels(self, entry: Entry) -> tuple[tuple[str, ...], Labels]:
        one = _column(1.0)
        if entry.kind == "pairwise":
            gap = _column(self.judged[0] - self.judged[1])
            return ("pair",), Preferences(torch.tensor([0]), torch.tensor([1]), one, one, gap)
        if entry.kind == "listwise":
            places = torch.arange(3)
            return ("list of 3",), Rankings(places, torch.tensor([0, 3]), places, _column(*self.judged), one)
        if "scores" in entry.needs:
            share = self.judged[0] / sum(self.judged)
            return ("completion",), Ratings(torch.tensor([0]), _column(share), one)
        return SIDES["unpaired"], Ratings(torch.tensor([0, 1]), _column(1, 0), _column(1, 1), torch.tensor([0, 1]))


EXAMPLES = _Example((4, 4, 4), (3.0, 2.0, 1.0), -0.5), _Example((4, 2, 3), (7.0, 1.0, 0.5), -0.7)


@dataclass(frozen=True, slots=True)
class Page:
    """What a reader wants to know about a loss.

    Args:
        entry: the loss and the facts it declares.
        summary: its purpose in a line.
        body: paragraphs in order; those that are indented are formulas.
        settings: its own settings, with what they do.
        value: what it gives for a comparison or rating, with the unit.
        source: where it comes from, and where we differ.
    """

    entry: Entry
    summary: str
    body: tuple[str, ...]
    settings: tuple[Setting, ...]
    value: str
    source: str

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def reads(self) -> str:
        """What kind of row it learns from: a key of `ROWS`."""
        scored = bool({"scores", "score_order"} & self.entry.needs)
        if self.entry.kind == "pairwise":
            return "pairs with scores" if scored else "pairs"
        if self.entry.kind == "listwise" or scored:
            return "lists with scores" if scored else "ranked lists"
        return "desirable completions" if self.entry.desirable_only else "ratings"

    @property
    def group(self) -> str:
        """The heading that it stands under: a key of `GROUPS`."""
        return f"{self.entry.kind}, {'reference' if self.entry.needs_reference else 'free'}"

    @property
    def soft_labels(self) -> str:
        """What a probability between 0 and 1 means in it."""
        return self.entry.soft_labels or "refused"

    @property
    def start(self) -> dict[str, float] | None:
        """Its value for a hard label where policy equals reference, with the default settings, by label.

        None where it depends on the data or on the policy itself.
        """
        if self.entry.start is None:
            return None
        plain, other = (example.start(self.entry) for example in EXAMPLES)
        return plain if plain == other else None

    @property
    def start_in_words(self) -> str:
        """The same for people."""
        if self.start is None:
            return "depends on the data" if self.entry.start else "depends on the policy itself"
        return ", ".join(f"{value:.6g} ({label})" for label, value in self.start.items())

    @property
    def facts(self) -> dict[str, str]:
        """What it declares, fact by fact, for people."""
        entry = self.entry
        measured = "log-ratios" if entry.needs_reference else "log-probabilities"
        remembered = ", ".join(entry.memory.start(**entry.defaults)) if entry.memory else ""
        facts = {
            "reads": self.reads,
            "reference": "needed" if entry.needs_reference else "none",
            "also needs": ", ".join(NEEDS[need] for need in sorted(entry.needs - {"reference"})),
            "its unit": self.value,
            "where policy equals reference, with the defaults": self.start_in_words,
            "first move": self.first_move,
            "soft labels": self.soft_labels,
            "across the step": "depends on the other rows of the step"
            if entry.across_step
            else "each row stands by itself",
            "memory": f"carries {remembered} from step to step, kept in checkpoints" if entry.memory else "",
            "chance": "draws rows in training, the same for the same seed and step" if entry.random else "",
            "domain": f"computed as it stands for {measured} in {entry.domain}, beyond along the tangent",
        }
        return {name: value for name, value in facts.items() if value}

    @property
    def first_move(self) -> str:
        """What the first update does to the log-probabilities."""
        if self.entry.first_move is None:
            return "depends on the data"
        sides = SIDES[self.entry.kind]
        verbs = {1: "raises", -1: "lowers", 0: "has no say on"}
        (first, second) = (f"{verbs[move]} {side}" for move, side in zip(self.entry.first_move, sides, strict=True))
        return f"{first}, {second}"

    @property
    def example(self) -> str:
        """The words of a command that trains with it, its first setting spelt out."""
        first = [f"loss.{each.key}={each.default}" for each in self.settings[:1]]
        words = ["prefsmith train --model MODEL --data", ROWS[self.reads], f"--out runs/{self.name}"]
        return " ".join([*words, f"loss.name={self.name}", *first])

    def to_json(self) -> dict[str, Any]:
        """The page as values that JSON can write."""
        entry = self.entry
        return {
            "name": entry.name,
            "summary": self.summary,
            "reads": self.reads,
            "kind": entry.kind,
            "needs": sorted(entry.needs),
            "settings": [
                {
                    "name": each.key,
                    "default": each.default,
                    "allowed": each.allowed,
                    "choices": list(each.choices),
                    "words": each.words,
                }
                for each in self.settings
            ],
            "soft_labels": entry.soft_labels,
            "across_step": entry.across_step,
            "mismatched": entry.mismatched,
            "memory": sorted(entry.memory.start(**entry.defaults)) if entry.memory else [],
            "random": entry.random,
            "start": self.start,
            "first_move": entry.first_move and list(entry.first_move),
            "domain": dataclasses.asdict(entry.domain),
            "body": list(self.body),
            "value": self.value,
            "source": self.source,
            "example": self.example,
        }


def page(name: str) -> Page:
    """The page of a loss.

    Raises:
        ConfigError: no loss has that name.
    """
    entry = find(name)
    sections = _sections(inspect.getdoc(entry.fn) or "")
    summary, *body = _paragraphs(sections[""])
    arguments = _arguments(sections.get("Args", ""))
    hints = get_type_hints(inspect.unwrap(entry.fn), include_extras=True)
    settings = [_setting(key, default, hints[key], arguments[key]) for key, default in entry.defaults.items()]
    value, source = (" ".join(sections.get(part, "").split()) for part in ("Returns", "Source"))
    return Page(entry, summary, tuple(body), tuple(settings), value, source)


def pages() -> list[Page]:
    """The page of every registered loss: by what it reads, those with a reference first, then by name."""
    return sorted(map(page, LOSSES), key=lambda each: (list(GROUPS).index(each.group), each.name))


def _column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _sections(text: str) -> dict[str, str]:
    """A docstring by heading; what stands before the first has the empty name."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):\n", text, flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def _paragraphs(text: str) -> list[str]:
    """Paragraphs in one line each; an indented one is a formula and keeps its lines."""
    blocks = (block.rstrip() for block in re.split(r"\n\s*\n", text) if block.strip())
    return [block if block.startswith(" ") else " ".join(block.split()) for block in blocks]


def _arguments(text: str) -> dict[str, str]:
    """What the `Args` section says of each parameter."""
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", text, flags=re.M)
    return {name: " ".join(words.split()) for name, words in entries}


def _setting(key: str, default: object, hint: object, words: str) -> Setting:
    if words[:2].isalpha():  # not a symbol such as w_D
        words = words[0].upper() + words[1:]
    if get_origin(hint) is Literal:
        choices = tuple(map(str, get_args(hint)))
        return Setting(key, default, words, "a word", ", ".join(choices), choices)
    inside = next((each for each in get_args(hint)[1:] if isinstance(each, Range)), Range())
    limits = bounds(inside.low, inside.high, open_low=inside.open_low, open_high=inside.open_high)
    return Setting(key, default, words, "a number", limits)
