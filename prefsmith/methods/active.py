"""Which pairs of a pool to have labelled next: `prefsmith label next`.

A file of pairs goes out, votes come back in it, and the next choice knows them: what was asked is not asked again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prefsmith.data.pool import Candidate, Pool, as_asked, read_pool
from prefsmith.data.rejects import Rejects
from prefsmith.errors import ConfigError, DataError
from prefsmith.feedback.choice.acquire import Choice, Known, Method, choose
from prefsmith.feedback.choice.answers import Answers, read_answers
from prefsmith.feedback.choice.estimate import scaled
from prefsmith.feedback.choice.words import BUCKETS, of_words
from prefsmith.files import json_row, write_durably

if TYPE_CHECKING:
    from prefsmith.evaluate.reader import Reader

BETA = 0.1
"""Where a member does not say with which beta it was trained."""
OF_MEMBERS = ("entropy", "disagreement", "confidently-wrong")
"""Methods that ask trained models, where there are some."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be chosen from, and how.

    Args:
        pool: file of pairs.
        budget: how many are chosen.
        method: the rule of choice.
        labelled: files of pairs that were asked for before, with their votes or labels where these have come back.
        model: whose last layer the features are from; None takes words and length.
        members: trained models whose implicit rewards are asked.
        features: column of the pool with numbers for each pair; goes before the model.
        columns: our name of a column -> the pool's.
        limit: most rows of the pool.
        seed: breaks ties, and says which answer is shown first.
        template: `auto`, `plain`, or a Jinja file.
        device: `auto` takes a GPU where there is one.
        token_budget: most tokens of a forward.
        skip_bad: count rows that cannot be used and go on.
        trust_remote_code: run code that comes with the models.
    """

    pool: str
    budget: int
    method: Method = "d-optimal"
    labelled: tuple[str, ...] = ()
    model: str | None = None
    members: tuple[str, ...] = ()
    features: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    seed: int = 0
    template: str = "auto"
    device: str = "auto"
    token_budget: int = 8192
    skip_bad: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        wrong = [
            ("budget", self.budget),
            ("limit", 1 if self.limit is None else self.limit),
            ("token-budget", self.token_budget),
        ]
        for name, value in wrong:
            if value < 1:
                what, fix = f"--{name} is {value}, and must be at least 1", f"--{name} 1 or more"
                raise ConfigError("label.value", what, where=f"--{name}", fix=fix)
        if self.seed < 0:
            raise ConfigError("label.value", f"--seed is {self.seed}, below 0", where="--seed", fix="--seed 0 or more")
        if self.members and self.method not in OF_MEMBERS:
            what = f"{self.method} asks no trained models, and --member names some"
            fix = f"leave --member out, or take --method {', '.join(OF_MEMBERS)}"
            raise ConfigError("label.value", what, where="--member", fix=fix)
        if len(self.members) == 1 and self.method == "disagreement":
            what, fix = "one model contradicts nobody", "name another --member, or none: then an ensemble is drawn"
            raise ConfigError("label.value", what, where="--member", fix=fix)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen.

    Args:
        out: the file; None where nothing was to be written.
        pool: pairs of the pool, each once.
        described: what the pool's rows are.
        repeated: pairs that are in the pool again.
        refused: rows of the pool that cannot be used, by the code of their error.
        answers: what the labelled files say.
        labels: pairs of the pool that have one.
        waiting: pairs of the pool that were asked for, and have none yet.
        elsewhere: labels of pairs that are not in the pool; they are not used.
        features: what the pairs were told apart by.
        ids: the chosen pairs, the first choice first.
        worth: of each, in the unit of the method.
        budget: how many were wanted.
        counts: what was done to pairs on the way to the model's ids.
    """

    out: Path | None
    pool: int
    described: str
    repeated: int
    refused: Mapping[str, int]
    answers: Answers
    labels: int
    waiting: int
    elsewhere: int
    features: str
    ids: tuple[str, ...]
    worth: tuple[float, ...]
    budget: int
    counts: Mapping[str, int]

    def as_dict(self) -> dict[str, object]:
        """For programs."""
        names = ("pool", "repeated", "labels", "waiting", "elsewhere", "features", "budget")
        return {
            "out": None if self.out is None else str(self.out),
            **{name: getattr(self, name) for name in names},
            "refused": dict(self.refused),
            "encoding": dict(self.counts),
            "chosen": [{"id": name, "worth": worth} for name, worth in zip(self.ids, self.worth, strict=True)],
        }


def label_next(asked: Asked, out: Path | None = None) -> Chosen:
    """Choose pairs, and write them as rows to fill in.

    Args:
        asked: the pool, what is labelled, and the rule.
        out: file to write, .jsonl; nothing is there yet. None writes nothing.

    Raises:
        ConfigError: a setting is wrong, a model cannot be loaded, or the file cannot be written.
        DataError: a file cannot be read, no pair is left, or nothing tells the pairs apart.
        TrainingError: a log-probability is not finite.
    """
    if out is not None:
        _refuse_place(out)
    pool = read_pool(
        asked.pool, columns=asked.columns, features=asked.features, limit=asked.limit, skip_bad=asked.skip_bad
    )
    answers = read_answers(asked.labelled, skip_bad=asked.skip_bad)
    seen = _Seen(asked, pool)
    features = seen.features()
    places = {candidate.key: place for place, candidate in enumerate(seen.candidates)}
    known = _known(seen.candidates, places, answers, scaled(features), seen.margins())
    if not len(known.open):
        what = f"each of the {len(pool.candidates):,} pairs is labelled or asked for already"
        raise DataError("label.pool", what, where=asked.pool, fix="give a larger pool")
    _refuse_alike(asked, features[known.open])
    choice = choose(known, asked.method, asked.budget, np.random.default_rng(asked.seed))
    chosen = [seen.candidates[place] for place in choice.pairs]
    if out is not None:
        _write(chosen, asked.seed, out)
    return _told(asked, pool, answers, seen, known, choice, out)


class _Seen:
    """The pool as models see it. Each model is loaded once, and only where it is asked for something."""

    def __init__(self, asked: Asked, pool: Pool) -> None:
        self.asked, self.candidates = asked, list(pool.candidates)
        self.rejects = Rejects(skip=asked.skip_bad)
        self.what, self.counts = "nothing", dict[str, int]()

    def features(self) -> np.ndarray:
        """Of every pair, in the order in which its key has the answers."""
        asked = self.asked
        if asked.method == "random" or asked.members:
            self.what = f"the implicit rewards of {', '.join(asked.members)}" if asked.members else "nothing"
            return np.zeros((len(self.candidates), 1))
        if asked.features is not None:
            self.what = f"the numbers in {asked.features}"
            return self._turned(_of_column(self.candidates, asked))
        if asked.model is None:
            self.what = "words and length, since no --model is given"
            return self._turned(_of_words(self.candidates))
        from prefsmith.evaluate.hidden import encode_pool, hidden_features  # inside: torch is loaded for models alone

        self.what = f"the last layer of {asked.model}"
        reader = self._opened(asked.model)
        encoded = encode_pool(reader, [each.group for each in self.candidates], self.rejects)
        self._keep({group.group.id for group in encoded})
        self.counts = dict(reader.encoder.counts.kinds)
        return self._turned(hidden_features(reader, encoded, token_budget=asked.token_budget))

    def margins(self) -> np.ndarray | None:
        """Log-odds of every pair under every member; None where there are none."""
        if not self.asked.members:
            return None
        from prefsmith.evaluate.hidden import encode_pool, implicit_margins
        from prefsmith.evaluate.side_by_side import reference_of

        found = []
        for member in self.asked.members:
            reader = self._opened(member)
            try:
                reference = reference_of(member, reader, device=self.asked.device, template=self.asked.template)
            except ConfigError as error:
                if error.code != "generate.reference":
                    raise
                fix = "name a run's folder, or an adapter's"
                raise ConfigError("label.value", error.what, where=member, fix=fix) from None
            encoded = encode_pool(reader, [each.group for each in self.candidates], Rejects())
            beta, budget = _beta(member), self.asked.token_budget
            found.append(self._turned(implicit_margins(reader, reference, encoded, beta=beta, token_budget=budget)))
        return np.array(found)

    def _opened(self, path: str) -> "Reader":
        from prefsmith.evaluate.reader import open_reader

        asked = self.asked
        return open_reader(
            path, device=asked.device, template=asked.template, trust_remote_code=asked.trust_remote_code
        )

    def _keep(self, ids: set[str]) -> None:
        self.candidates = [each for each in self.candidates if each.group.id in ids]
        if not self.candidates:
            what = f"no pair can be written for {self.asked.model}"
            raise DataError("label.pool", what, where=self.asked.pool, fix="without --skip-bad the first one is named")

    def _turned(self, values: np.ndarray) -> np.ndarray:
        """Differences of the answers in the key's order, so that labels of either order fit."""
        sign = np.array([-1.0 if each.turned else 1.0 for each in self.candidates])
        return values * (sign[:, None] if values.ndim == 2 else sign)


def _known(
    candidates: Sequence[Candidate],
    places: Mapping[str, int],
    answers: Answers,
    features: np.ndarray,
    margins: np.ndarray | None,
) -> Known:
    labelled = [key for key in answers.labels if key in places]
    gone = {places[key] for key in (*labelled, *answers.waiting) if key in places}
    return Known(
        features=features,
        labelled=np.array([places[key] for key in labelled], dtype=np.int64),
        labels=np.array([answers.labels[key] for key in labelled]),
        open=np.array([place for place in range(len(candidates)) if place not in gone], dtype=np.int64),
        margins=margins,
    )


def _told(
    asked: Asked, pool: Pool, answers: Answers, seen: _Seen, known: Known, choice: Choice, out: Path | None
) -> Chosen:
    keys = {each.key for each in seen.candidates}
    refused = dict(pool.refused)
    for code, count in seen.rejects.counts().items():
        refused[code] = refused.get(code, 0) + count
    return Chosen(
        out=out,
        pool=len(pool.candidates),
        described=pool.described,
        repeated=pool.repeated,
        refused=refused,
        answers=answers,
        labels=len(known.labelled),
        waiting=len(answers.waiting & keys),
        elsewhere=len(answers.labels) - len(known.labelled),
        features=seen.what,
        ids=tuple(seen.candidates[place].group.id for place in choice.pairs),
        worth=tuple(float(each) for each in choice.worth),
        budget=asked.budget,
        counts=seen.counts,
    )


def _of_words(candidates: Sequence[Candidate]) -> np.ndarray:
    features = np.empty((len(candidates), BUCKETS + 1))
    for place, candidate in enumerate(candidates):
        first, second = (of_words(each.content) for each in candidate.group.completions)
        features[place] = first - second
    return features


def _of_column(candidates: Sequence[Candidate], asked: Asked) -> np.ndarray:
    width = len(candidates[0].features)
    for each in candidates:
        if len(each.features) != width:
            what = f"{asked.features} has {len(each.features)} numbers here and {width} in the first row"
            raise DataError("label.features", what, where=each.group.source, fix="give every row as many numbers")
    return np.array([each.features for each in candidates])


def _refuse_alike(asked: Asked, features: np.ndarray) -> None:
    """Where every pair has the same features, or none, a choice by them would be one by chance."""
    if asked.method == "random" or asked.members or len(features) == 1 or np.abs(features - features[0]).max() > 0:
        return
    what = f"all {len(features):,} pairs that are left have the same features, so nothing tells them apart"
    raise DataError("label.features", what, where=asked.pool, fix="--method random, or --model for other features")


def _beta(member: str) -> float:
    """What turns the member's nats into reward."""
    from prefsmith.assembly import objective_of
    from prefsmith.settings import load_settings

    stored = Path(member).expanduser() / "run.yaml"
    beta = objective_of(load_settings(stored)).beta if stored.is_file() else None
    return BETA if beta is None else beta


def _refuse_place(out: Path) -> None:
    if out.suffix != ".jsonl":
        raise ConfigError(
            "label.out", "rows are written as JSON lines", where=str(out), fix="give it the ending .jsonl"
        )
    if out.exists() or out.is_symlink():
        what, fix = "there is something already, perhaps with votes in it", "choose another --out"
        raise ConfigError("label.out", what, where=str(out), fix=fix)


def _write(chosen: Sequence[Candidate], seed: int, out: Path) -> None:
    """Rows to fill in. Which answer is shown first is drawn, so that its place says nothing of where it comes from."""
    drawn = np.random.default_rng([seed, 1]).random(len(chosen)) < 0.5
    rows = [as_asked(each.group, turned=bool(turned)) for each, turned in zip(chosen, drawn, strict=True)]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_durably(out, b"".join(json_row(row) + b"\n" for row in rows))
    except OSError as error:
        what = f"the file cannot be written: {error.strerror}"
        raise ConfigError("label.out", what, where=str(out), fix="name another place with --out") from error
