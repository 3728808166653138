"""A model on this machine as a judge: how likely it finds each verdict behind the question.

    p(letter) = exp(l(letter)) / sum over letters of exp(l),
    l = log-probability of `VERDICT <code>: <letter>` and the end of the answer

The likeliest letter is the vote; where two are equally likely, there is no verdict. The alternative, to let the model
write and to read what it wrote, was not taken: small models seldom end in the exact line, sampling adds noise, and one
forward gives both the vote and how sure it is. Its price: the model does not get to reason first. A model that should
is asked through a server.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import torch

from prefsmith.config import ModelConfig
from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import pack, plan
from prefsmith.data.render import Renderer
from prefsmith.data.views import Labelled, View
from prefsmith.feedback.question import Asking, NonceSource, Question, derived_nonce, verdict_line
from prefsmith.feedback.settings import LocalConfig
from prefsmith.feedback.verdicts import Reply
from prefsmith.model.adapters import load_adapted
from prefsmith.model.load import digest, load
from prefsmith.model.score import Frozen, Scorer
from prefsmith.records import Completion, Group, Message, Rating

_AT_ONCE = 64  # questions that are encoded together, and kept together
_TOKEN_BUDGET = 8192
_DAY = date(2000, 1, 1)  # that templates write, so that the same question reads the same on every day


class LocalModel:
    """Answers questions by the probabilities of the verdicts.

    Args:
        model: never trained.
        encoder: of the model; drops what is too long, so that no question is cut.
        origin: folder or hub id, for reports.
        token_budget: most tokens of a forward.
    """

    def __init__(self, model: Frozen, encoder: Encoder, origin: str, *, token_budget: int = _TOKEN_BUDGET) -> None:
        self.model, self.encoder, self.origin, self.token_budget = model, encoder, origin, token_budget
        self._weights = digest(model.scorer.model)

    @property
    def nonce_source(self) -> NonceSource:
        """Codes that follow from the question, so that the same question has the same probabilities in every run."""
        return derived_nonce

    def identity(self) -> Mapping[str, object]:
        """The model, a digest of its weights, and how messages become text, a digest of the template too."""
        written = self.encoder.renderer.identity()
        return {"kind": "local", "model": self.origin, "weights": self._weights, **written}

    def replies(self, questions: Sequence[Question], asking: Asking) -> Iterator[tuple[int, Reply]]:
        """The number of each question and its reply; `rejected` where a question is longer than the model reads.

        Raises:
            DataError: the chat template cannot write a question.
        """
        for start in range(0, len(questions), _AT_ONCE):
            part = questions[start : start + _AT_ONCE]
            encoded = self._encoded(part, asking)
            for number, group in enumerate(encoded):
                if group is None:
                    yield start + number, Reply("rejected", text="the question is longer than the model reads")
            there = [(start + number, group) for number, group in enumerate(encoded) if group is not None]
            for members in plan([group for _, group in there], self.token_budget):
                groups = [there[member][1] for member in members]
                for member, nats in zip(members, self._nats(groups), strict=True):
                    yield there[member][0], reply_of(nats, asking)

    def _encoded(self, questions: Sequence[Question], asking: Asking) -> list[EncodedGroup | None]:
        """Questions with every verdict behind them."""
        rows = []
        for question in questions:
            lines = [verdict_line(letter, question.nonce) for letter in asking.letters]
            group = Group(
                id="question",
                source=f"a question to the judge {self.origin}",
                prompt=(Message("user", question.text),),
                completions=tuple(Completion(messages=(Message("assistant", line),)) for line in lines),
            )
            view = View(ratings=tuple(Rating(index, 1.0) for index in range(len(lines))))
            rows.append(Labelled(group, (view,), ()))
        outcomes = self.encoder.encode_all(rows)
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
        return [outcome.encoded for outcome in outcomes]

    def _nats(self, groups: Sequence[EncodedGroup]) -> list[list[float]]:
        """For each group the log-probability of each verdict."""
        tokens = self.model.token_nats(pack(groups))
        lengths = [len(each.ids) - each.unscored for group in groups for each in group.completions]
        sums = iter([float(part.sum()) for part in torch.split(tokens, lengths)])
        return [[next(sums) for _ in group.completions] for group in groups]


def reply_of(nats: Sequence[float], asking: Asking) -> Reply:
    """The reply that the log-probabilities of the letters make, in the order of `asking.letters`."""
    highest = max(nats)
    shares = [math.exp(each - highest) for each in nats]
    odds = tuple(share / sum(shares) for share in shares)
    said = ", ".join(f"{letter} {share:.4f}" for letter, share in zip(asking.letters, odds, strict=True))
    text = f"{said}; log-probability of a verdict at all: {highest + math.log(sum(shares)):.2f}"
    if nats.count(highest) > 1:
        return Reply("unreadable", None, text, probabilities=odds)
    return Reply("verdict", asking.letters[nats.index(highest)], text, probabilities=odds)


def open_local(config: LocalConfig) -> LocalModel:
    """Load a judge.

    Raises:
        ConfigError: nothing is there, or it cannot be loaded.
    """
    folder = Path(config.model).expanduser()
    origin = str(folder) if folder.exists() else config.model
    named = ModelConfig(path=origin, device=config.device, trust_remote_code=config.trust_remote_code)
    if (folder / "adapter_config.json").is_file():
        loaded, model = load_adapted(named)
    else:
        loaded = load(named)
        model = loaded.model
    renderer = Renderer(loaded.tokenizer, config.template, today=_DAY)
    encoder = Encoder(loaded.tokenizer, renderer, max_length=loaded.longest, truncation="drop", end_ids=loaded.end_ids)
    return LocalModel(Frozen(Scorer(model, "padded")), encoder, loaded.origin)
