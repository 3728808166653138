"""Read votes, make labels of them, say what the votes are worth, and write rows that train."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

from prefsmith.data.rejects import Rejects
from prefsmith.data.votes.judgements import JudgedPair, Judgements
from prefsmith.data.votes.read import read_judgements
from prefsmith.data.votes.texts import Texts, read_texts
from prefsmith.errors import ConfigError, DataError, nearest
from prefsmith.feedback.aggregate.aggregate import Aggregate
from prefsmith.feedback.aggregate.methods import METHODS
from prefsmith.feedback.aggregate.panel import Panel, Ties, panel
from prefsmith.methods.labels.facts import facts
from prefsmith.methods.labels.rows import Rows, refuse_out, rows, write_rows

Annotators = Literal["all", "people", "judges"]
KIND = "labels"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How labels are made.

    Args:
        method: a key of `METHODS`.
        annotators: whose votes count: everybody's, people's, or those of models and other programs.
        ties: `half` takes votes that say tie as the method does, `drop` leaves them out.
        hard: the more likely side is chosen, without a probability; ties are left out.
        weights: `equal` gives every comparison weight 1, `votes` the number of its votes over the mean.
        skip_bad: count rows that cannot be used and go on.
    """

    method: str = "share"
    annotators: Annotators = "all"
    ties: Ties = "half"
    hard: bool = False
    weights: Literal["equal", "votes"] = "equal"
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            what = f"no method is called {self.method}"
            raise ConfigError("label.method", what, where="--method", fix=nearest(self.method, METHODS))


@dataclass(frozen=True, slots=True)
class Labelled:
    """What came of it.

    Args:
        evidence: all numbers, JSON-ready.
        rows: as they are written.
        out: where they are; None where nothing was written.
    """

    evidence: Mapping[str, object]
    rows: Rows
    out: Path | None = None
    aggregate: Aggregate | None = field(default=None, repr=False)


def aggregate_votes(
    votes: Path, out: Path | None, wanted: Wanted, *, texts: Path | None = None, dry_run: bool = False
) -> Labelled:
    """Make one label of the votes on each pair.

    Args:
        votes: a file of judgements; see docs/judges-and-people.md for its forms.
        out: the file of rows to write, .jsonl; None writes nothing.
        wanted: how.
        texts: the file of texts, where `votes` only names the answers.
        dry_run: do everything but write.

    Raises:
        ConfigError: the file to write is one that is read, a package is missing, or the method cannot be used here.
        DataError: a file cannot be read, a text is missing, or nobody said anything.
    """
    if out is not None:
        refuse_out(out, [votes, *([texts] if texts else [])])
    judgements = read_judgements(votes, skip_bad=wanted.skip_bad)
    looked_up = read_texts(texts) if texts else None
    pairs, refused = _with_texts(judgements, looked_up, wanted)
    table = _panel(judgements, pairs, wanted)
    _refuse_unfit(table, judgements, wanted)
    found = METHODS[wanted.method].apply(table)
    made = rows(pairs, judgements.roles, table, found.prob, hard=wanted.hard, weights=wanted.weights)
    left_out = Counter(judgements.refused) + refused + made.left_out
    evidence = {
        "kind": KIND,
        "version": version("prefsmith"),
        "file": judgements.name,
        "digest": dict(judgements.digest),
        "texts": {"file": looked_up.name, "digest": dict(looked_up.digest)} if looked_up else None,
        "form": judgements.form,
        "method": wanted.method,
        "annotators": wanted.annotators,
        "ties": wanted.ties,
        "hard": wanted.hard,
        "weights": wanted.weights,
        "pairs": {
            "read": len(judgements.pairs) + sum(judgements.refused.values()),
            "written": len(made.lines),
            "left_out": dict(left_out),
        },
        "notes": [{"what": each.what, "count": each.count, "places": each.places} for each in judgements.notes],
        **facts(table, found, judgements.roles, wanted.method, named=judgements.named),
    }
    if out is not None and not dry_run:
        if not made.lines:
            reasons = ", ".join(f"{why}: {count:,}" for why, count in left_out.items())
            fix = "the reasons say what is missing; --dry-run shows the rest"
            raise DataError("label.nothing", f"no pair can be written ({reasons})", where=str(votes), fix=fix)
        write_rows(out, made)
    return Labelled(evidence, made, None if dry_run else out, found)


def _with_texts(judgements: Judgements, texts: Texts | None, wanted: Wanted) -> tuple[list[JudgedPair], Counter[str]]:
    """The pairs with texts from elsewhere, and how many have none, by code."""
    if texts is None:
        return list(judgements.pairs), Counter()
    rejects, found = Rejects(skip=wanted.skip_bad), list[JudgedPair]()
    for pair in judgements.pairs:
        try:
            found.append(texts.of(pair))
        except DataError as error:
            rejects.refuse(error, {"id": pair.group.id, "names": pair.names})
    return found, Counter(rejects.counts())


def _panel(judgements: Judgements, pairs: list[JudgedPair], wanted: Wanted) -> Panel:
    role = {"people": "person", "judges": "judge"}.get(wanted.annotators)
    taken = frozenset(name for name, each in judgements.roles.items() if role in (None, each))
    items = [tuple((pair.group.prompt_key(), name) for name in pair.names or _texts(pair)) for pair in pairs]
    return panel([pair.group for pair in pairs], items, annotators=taken, ties=wanted.ties)  # pyright: ignore[reportArgumentType]


def _texts(pair: JudgedPair) -> tuple[str, str]:
    first, second = pair.group.completions
    return first.content, second.content


def _refuse_unfit(table: Panel, judgements: Judgements, wanted: Wanted) -> None:
    """What a method needs and the votes do not have."""
    where = judgements.name
    if not len(table.said):
        invalid = int(np.sum(table.invalid))
        what = f"no vote of {wanted.annotators} says which answer is better: {invalid:,} are invalid"
        what += f", {table.dropped_ties:,} are ties that were left out" if table.dropped_ties else ""
        raise DataError("label.votes", what, where=where, fix="take everybody's votes, or look at the verdicts")
    method = METHODS[wanted.method]
    if not method.annotators:
        return
    if not judgements.named:
        what = f"{wanted.method} tells annotators apart, and votes of this file have no names"
        raise DataError("label.unnamed", what, where=where, fix="--method share, smoothed-share or bradley-terry")
    if method.in_common and not table.compared():
        what = f"no pair has votes of two annotators, so {wanted.method} cannot tell how reliable anybody is"
        raise DataError("label.alone", what, where=where, fix="--method smoothed-share or bradley-terry")
    if len(np.unique(table.annotator)) < 2:
        what = f"all votes are of one annotator, so {wanted.method} cannot tell how reliable anybody is"
        raise DataError("label.alone", what, where=where, fix="--method smoothed-share or bradley-terry")
