"""A small language model that goes on from the opening of a story, and which of its stories can be trained on.

A story is cut where opening and story together have a fixed number of tokens. Training cuts its rows at the same
place (data.max_length, data.truncation=keep_start), so a story that was cut is trained on without an end, just as it
was told. And it ends where the model ends it, at its end token or its begin token: models that were trained on stories
laid end to end, with a begin token in front of each, end one by beginning the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prefsmith.data.encode import Encoder
from prefsmith.data.views import View
from prefsmith.errors import DataError
from prefsmith.evaluate.reader import open_reader
from prefsmith.evaluate.samples import Answer, answer_nats, draw
from prefsmith.model.export import export
from prefsmith.model.generate import Sampling
from prefsmith.model.score import Frozen
from prefsmith.records import Completion, Group, Rating

LONGEST = 128
"""Tokens of an opening and its story together."""
SHORTEST = 8
"""Tokens that a story must have room for."""
TEMPERATURE = 0.8
"""At 1 a small model makes many spelling mistakes, which would hide those that training makes."""
BATCH = 256
TOKEN_BUDGET = 16_384
ASKED = 128
"""Stories that tell how the model ends one."""
STOPS = (".", "!", "?")


@dataclass(frozen=True, slots=True)
class Teller:
    """A model that tells stories.

    Args:
        model: the weights.
        encoder: cuts rows as training will.
        longest: tokens of an opening and its story together.
        room: tokens that are drawn behind every opening, enough for the shortest; longer openings give some back.
        unknown: how the tokenizer writes line ends, where it lacks them; None where it has them.
        origin: folder or hub id of the model.
    """

    model: Frozen
    encoder: Encoder
    longest: int
    room: int
    unknown: str | None
    origin: str

    def tell(self, openings: Sequence[Group], seed: int, *, each: int) -> list[Answer]:
        """Stories from the openings, `each` from one, side by side.

        Raises:
            DataError: an opening is too long for the model.
        """
        sampling = Sampling(max_new_tokens=self.room, temperature=TEMPERATURE, seed=seed, batch_size=BATCH)
        uncut = _encoder(self.encoder, max_length=None, ends=self.encoder.ends)
        return [self._cut(answer) for answer in draw(self.model, uncut, openings, sampling, per_prompt=each)]

    def reads_back(self, answer: Answer) -> bool:
        """Whether training would see the tokens that were drawn: a tokenizer may write their text in another way."""
        if not answer.text.strip():
            return False
        group = replace(answer.group, completions=(Completion(answer.text),))
        try:
            encoded = self.encoder.encode(group, [View(ratings=(Rating(0, 1.0),))])
        except DataError:
            return False  # a control token is in the text, or nothing of it is left
        return encoded is not None and encoded.prompt + encoded.completions[0].ids == answer.prompt + answer.ids

    def _cut(self, answer: Answer) -> Answer:
        ids, ended = answer.ids, answer.ended
        if len(ids) > (room := self.longest - len(answer.prompt)):
            ids, ended = ids[:room], False
        text = self.encoder.text_after(answer.prompt, ids[:-1] if ended else ids)
        if self.unknown is not None:
            text = text.replace(self.unknown, "\n")
        return replace(answer, ids=ids, text=text, ended=ended)


def open_teller(path: str | Path, openings: Sequence[Group]) -> Teller:
    """Load a model, and see how long its stories from these openings can be.

    Raises:
        ConfigError: it cannot be loaded.
        DataError: it has too little room behind an opening.
    """
    reader = open_reader(path, template="plain")
    limit, begin, ends = reader.encoder.max_length, reader.encoder.begin, reader.encoder.ends
    ends = ends if begin is None else ends | {begin}
    uncut = _encoder(reader.encoder, max_length=None, ends=ends)
    lengths = [len(uncut.prompt_ids(group)) for group in openings]
    shortest, longest = min(lengths), max(lengths)
    # Every opening gets the room of the shortest, and none may then go beyond what the model takes.
    together = LONGEST if limit is None else min(LONGEST, limit - (longest - shortest))
    if together - longest < SHORTEST:
        what = f"the opening has {longest} tokens, which leaves no room for a story: together they have {together}"
        fix = "give shorter openings with --openings, or a model that takes longer texts"
        raise DataError("data.too_long", what, where=openings[lengths.index(longest)].source, fix=fix)
    encoder = _encoder(uncut, max_length=together, ends=ends)
    return Teller(reader.model, encoder, together, together - shortest, _unknown(uncut), reader.origin)


def with_own_end(teller: Teller, stories: Sequence[Answer], folder: Path) -> str:
    """Where to train from: the model itself, or a copy in `folder` whose end token is the begin token.

    Training writes an end token behind every whole story, and it has to be the one that the model writes.

    Args:
        teller: the model.
        stories: some of its own, by which the two tokens are compared.
        folder: for the copy.

    Raises:
        TrainingError: the copy cannot be written.
    """
    encoder = teller.encoder
    begin, end = encoder.begin, encoder.end
    if begin is None or end is None or begin == end:
        return teller.origin
    if _probability(begin, teller, stories) <= _probability(end, teller, stories):
        return teller.origin
    causal, tokenizer = teller.model.scorer.causal, encoder.tokenizer
    tokenizer.eos_token = tokenizer.bos_token
    if causal.generation_config is not None:
        causal.generation_config.eos_token_id = sorted(encoder.ends)
    return str(export(causal, tokenizer, folder, template=None))


def _probability(token: int, teller: Teller, stories: Sequence[Answer]) -> float:
    """Mean probability of a token where a story may end: behind its last whole sentence.

    Most stories are cut long before their end, so too few of them end to count what they end with.
    """
    asked = []
    for story in stories[:ASKED]:
        ids = story.ids[:-1] if story.ended else story.ids
        texts = [str(teller.encoder.tokenizer.decode([each])) for each in ids]
        stops = [place for place, text in enumerate(texts, 1) if text.rstrip().endswith(STOPS)]
        before = ids[: stops[-1]] if stops and not story.ended else ids
        asked.append(replace(story, prompt=story.prompt + before, ids=(token,)))
    return float(answer_nats(teller.model, asked, token_budget=TOKEN_BUDGET).exp().mean())


def _encoder(like: Encoder, *, max_length: int | None, ends: frozenset[int]) -> Encoder:
    return Encoder(like.tokenizer, like.renderer, max_length=max_length, truncation="keep_start", end_ids=ends)


def _unknown(encoder: Encoder) -> str | None:
    """A tokenizer of characters that has no line end reads one as unknown: that is what unknown then stands for."""
    tokenizer = encoder.tokenizer
    ids = tokenizer("\n", add_special_tokens=False)["input_ids"]
    return str(tokenizer.unk_token) if ids and ids[-1] == tokenizer.unk_token_id else None
