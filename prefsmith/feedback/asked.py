"""A model as a judge: both presentations of every pair, each asked once, remembered replies first."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from prefsmith.feedback.judge import ORDERS, presented
from prefsmith.feedback.question import VERDICTS, Asking, NonceSource, Question
from prefsmith.feedback.verdicts import KEPT, Journal, Reply, outcomes
from prefsmith.records import Group, Vote


@runtime_checkable
class Answering(Protocol):
    """A model that answers questions: on this machine, or behind a URL."""

    @property
    def nonce_source(self) -> NonceSource:
        """Where the codes of its questions come from."""
        ...

    def identity(self) -> Mapping[str, object]:
        """Everything but the question that a reply depends on, for the report; no secret is in it."""
        ...

    def replies(self, questions: Sequence[Question], asking: Asking) -> Iterator[tuple[int, Reply]]:
        """The number of a question and its reply, in whatever order they come.

        Raises:
            PrefsmithError: it cannot go on; every reply that was to be had has been given before.
        """
        ...


class AskedJudge:
    """A judge that asks a model.

    Args:
        name: the annotator of its votes.
        model: what is asked.
        asking: how pairs become questions.
        journal: replies of earlier runs, and where new ones go.
        say: is told what a reader should know.
    """

    def __init__(
        self, name: str, model: Answering, asking: Asking, journal: Journal, say: Callable[[str], None]
    ) -> None:
        self._name, self.model, self.asking, self.journal, self.say = name, model, asking, journal, say
        self._given: dict[str, Reply] = {}
        self._identity = json.dumps([name, dict(model.identity())], sort_keys=True)

    @property
    def name(self) -> str:
        """The annotator of its votes."""
        return self._name

    def votes(self, groups: Sequence[Group]) -> list[tuple[Vote, ...]]:
        """Two votes for each group, of orders 0 and 1.

        Raises:
            DataError: a group has not two completions, or cannot be shown as text.
            PrefsmithError: the model cannot be asked any more; the journal holds what it has said.
        """
        replies = self.replies(groups)
        return [
            tuple(presented(VERDICTS[reply.verdict] if reply.verdict else "invalid", order, self.name)
                  for order, reply in zip(ORDERS, both, strict=True))
            for both in replies
        ]  # fmt: skip

    def replies(self, groups: Sequence[Group]) -> list[tuple[Reply, ...]]:
        """What the votes are read from: for each group the replies to both presentations.

        Raises:
            DataError, PrefsmithError: as `votes`.
        """
        keys = [[self._key(group, order) for order in ORDERS] for group in groups]
        questions = {
            key: self.asking.question(group, order, self.model.nonce_source)
            for group, both in zip(groups, keys, strict=True)
            for order, key in zip(ORDERS, both, strict=True)
        }
        self._ask({key: question for key, question in questions.items() if key not in self.journal})
        self._given |= {key: self.journal[key] for key in questions if key in self.journal}
        return [tuple(self._given[key] for key in both) for both in keys]

    def describe(self) -> Mapping[str, object]:
        """Who judges, how it was asked, how many replies were no verdict and why, and the tokens of all replies."""
        given = list(self._given.values())
        return {
            **self.model.identity(),
            "name": self.name,
            "criterion": self.asking.criterion,
            "ties": self.asking.ties,
            "question": self.asking.digest(),
            "presentations": len(given),
            "without_verdict": outcomes(given),
            "prompt_tokens": sum(reply.prompt_tokens or 0 for reply in given),
            "reply_tokens": sum(reply.reply_tokens or 0 for reply in given),
        }

    def _ask(self, questions: Mapping[str, Question]) -> None:
        keys = list(questions)
        for number, reply in self.model.replies(list(questions.values()), self.asking):
            self._given[keys[number]] = reply
            if reply.outcome in KEPT:
                self.journal.keep({keys[number]: reply})
        unanswered = [reply for key in keys if (reply := self._given[key]).outcome not in KEPT]
        if unanswered:
            self.say(
                f"warning: {len(unanswered)} of {len(keys)} questions to {self.name} came to nothing and count as "
                f"invalid; the next run asks them again ({unanswered[0].text})"
            )

    def _key(self, group: Group, order: int) -> str:
        asked = self.asking.content_digest(group, order)
        return hashlib.sha256(f"{self._identity} {asked}".encode()).hexdigest()
