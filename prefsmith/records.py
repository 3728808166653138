"""What was said, and which of it was judged better: the rows of a preference file, without tensors.

A pair is a group of two completions, a thumbs-up row a group of one, best-of-n a group of n. Votes are
evidence (who said what); comparisons and ratings are labels (what a loss reads).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat.

    Args:
        role: one of `ROLES`.
        content: what was said; may be empty where `extra` carries tool calls.
        extra: further keys that chat templates read (tool_calls, name, tool_call_id), as in the file.
    """

    role: str
    content: str
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)

    def as_dict(self) -> dict[str, object]:
        """The form that chat templates take."""
        return {"role": self.role, "content": self.content, **self.extra}


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer to the prompt: a text, or one assistant message.

    Args:
        text: the answer as text; None where `messages` holds it.
        messages: the answer as a chat message.
        score: a judge's or reward's number for it, larger is better.
        media: paths of images or sounds that belong to the answer.
        writer: which model or person wrote it, where the file says so.
    """

    text: str | None = None
    messages: tuple[Message, ...] = ()
    score: float | None = None
    media: tuple[str, ...] = ()
    writer: str | None = None

    @property
    def content(self) -> str:
        """What was answered, whichever form holds it."""
        return self.text if self.text is not None else "".join(message.content for message in self.messages)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Completion `better` was preferred to completion `worse`.

    Args:
        better: index into the group's completions.
        worse: index into the group's completions.
        prob: P(better is better), in [0, 1]; 1 is a hard label, 0.5 a tie.
        weight: how much the comparison counts, >= 0.
        score_gap: score of better minus score of worse, where scores exist.
    """

    better: int
    worse: int
    prob: float = 1.0
    weight: float = 1.0
    score_gap: float | None = None


@dataclass(frozen=True, slots=True)
class Rating:
    """Completion `completion` was judged on its own.

    Value 1 is desirable, 0 undesirable; for a loss that needs scores, the share of the prompt's completions that score
    no higher.
    """

    completion: int
    value: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Ranking:
    """Completions of one prompt, the best first.

    Args:
        order: indices into the group's completions.
        tiers: of each, 0 is the best, never falling; completions of one tier are tied.
        scores: of each, larger is better; empty where there are only ranks.
        weight: how much the list counts, >= 0.
    """

    order: tuple[int, ...]
    tiers: tuple[int, ...]
    scores: tuple[float, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Vote:
    """What one annotator said of two completions.

    Args:
        left: index of the completion shown first.
        right: index of the completion shown second.
        verdict: which was better; `invalid` where the annotator gave no usable answer.
        annotator: who.
        order: 0 where the completion with the lower index was shown first, 1 where the other was; None where that is
            not known or nothing was shown. Where it is given, `left` and `right` say the same.
        seconds: how long the annotator took.
    """

    left: int
    right: int
    verdict: Literal["left", "right", "tie", "invalid"]
    annotator: str
    order: int | None = None
    seconds: float | None = None

    def turned(self) -> "Vote":
        """The same where the two completions have changed places; what was shown first stays what was shown first."""
        order = None if self.order is None else 1 - self.order
        return replace(self, left=self.right, right=self.left, order=order)


@dataclass(frozen=True, slots=True)
class Group:
    """One prompt, its completions, and what is known of them.

    Args:
        id: name of the row; unique in its file.
        source: `file:line`, repeated in every error about the row.
        prompt: a text, or the messages before the answer.
        completions: the answers.
        comparisons: which is better than which.
        ratings: which is desirable.
        ranking: tiers of completion indices, best first; ties share a tier.
        votes: the evidence that comparisons were made from.
        tags: what the row is about.
        tools: JSON schemas of tools, for the chat template.
        weight: how much the row counts where its ranking or its scores are read, >= 0; comparisons and ratings have
            weights of their own.
    """

    id: str
    source: str
    prompt: str | tuple[Message, ...]
    completions: tuple[Completion, ...]
    comparisons: tuple[Comparison, ...] = ()
    ratings: tuple[Rating, ...] = ()
    ranking: tuple[tuple[int, ...], ...] = ()
    votes: tuple[Vote, ...] = ()
    tags: tuple[str, ...] = ()
    tools: tuple[Mapping[str, object], ...] = field(default=(), hash=False)
    weight: float = 1.0

    def prompt_key(self) -> str:
        """The prompt as one canonical string: equal prompts, and only they, have equal keys."""
        if isinstance(self.prompt, str):
            return json.dumps(self.prompt)
        return json.dumps([message.as_dict() for message in self.prompt], sort_keys=True, default=repr)
