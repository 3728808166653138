"""From a file of judgements to pairs with votes: every row is checked at this border."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from prefsmith.data.containers import open_container
from prefsmith.data.excerpt import excerpt
from prefsmith.data.rejects import Rejects
from prefsmith.data.rows import Row
from prefsmith.data.votes.compared import compared_pairs
from prefsmith.data.votes.forms import Form, recognise, require
from prefsmith.data.votes.gather import Roles, gather
from prefsmith.data.votes.judgements import JudgedPair, Judgements, Notebook, plain
from prefsmith.data.votes.ranks import RankedVotes
from prefsmith.data.votes.sides import answers, prompt_of
from prefsmith.data.votes.single import SingleVotes
from prefsmith.data.votes.verdicts import Verdicts
from prefsmith.data.winner import Sides
from prefsmith.errors import DataError
from prefsmith.records import Group


def read_judgements(
    path: str | Path, *, skip_bad: bool = False, limit: int | None = None, rejects: Rejects | None = None
) -> Judgements:
    """Read who said what of which answers.

    Args:
        path: what `data.containers.open_container` takes; the form of its rows is recognised from the first.
        skip_bad: count rows that cannot be used and go on, instead of stopping at the first.
        limit: most rows that are read.
        rejects: collects the rows that cannot be used, in the place of `skip_bad`.

    Raises:
        DataError: the file cannot be read, its rows have no form of ours, none can be used, nobody voted, or (unless
            they are skipped) a row is bad.
    """
    rejects = rejects if rejects is not None else Rejects(skip=skip_bad)
    container = open_container(path)
    rows = container.rows(rejects)
    first = next(rows, None)
    if first is None:
        fix = "is it the right file, and was it written to its end?"
        raise DataError("data.no_rows", "the file has no rows", where=str(path), fix=fix)
    form = recognise(first)
    reading = _Reading(form, rejects)
    pairs = tuple(reading.pairs(islice(chain([first], rows), limit)))
    if not reading.used:
        what, fix = f"none of {len(rejects.rows)} rows can be used", "without --skip-bad the first bad row is named"
        raise DataError("data.no_rows", what, where=str(path), fix=fix)
    if not any(pair.group.votes for pair in pairs):
        what, fix = "nobody voted: no row has a vote, a judge or a label", "is it the right file?"
        raise DataError("votes.none", what, where=str(path), fix=fix)
    reading.verdicts.check()
    known = any(length is not None for pair in pairs for length in pair.lengths)
    heard = {vote.annotator for pair in pairs for vote in pair.group.votes}
    return Judgements(
        name=plain(str(path)),
        form=form.name,
        pairs=pairs,
        roles={name: role for name, role in reading.roles.known.items() if name in heard},
        named=reading.roles.named,
        unit=("" if not known else "characters" if form.holds == "single" else "words"),
        rows=reading.used + len(rejects.rows),
        notes=reading.notes.notes(),
        refused=rejects.counts(),
        digest=container.digest(),
    )


class _Reading:
    """What is known of a file while it is read."""

    def __init__(self, form: Form, rejects: Rejects) -> None:
        self.form, self.rejects = form, rejects
        self.notes, self.roles = Notebook(), Roles()
        self.verdicts = Verdicts(Sides(*form.sides, "verdict"), self.notes)
        self.used = 0
        self._places: dict[str, str] = {}  # by id

    def pairs(self, rows: Iterator[Row]) -> Iterator[JudgedPair]:
        """The pairs of the rows, in their order; refused rows are left out."""
        ranked = self.form.holds == "ranks"
        alone = RankedVotes(self.verdicts, self.roles) if ranked else SingleVotes(self.verdicts, self.roles, self.notes)
        for row in rows:
            made: list[JudgedPair] = []
            try:
                values = require(row, self.form)
                if self.form.holds in ("single", "ranks"):
                    alone.add(values, row.source)
                elif self.form.holds == "list":
                    made = self._of_list(values, row.source)
                else:
                    made = [self._pair(values, row.source)]
                self._refuse_again(made)
            except DataError as error:
                self.notes.drop()
                self.verdicts.drop()
                self.rejects.refuse(error, row.values)
                continue
            self.notes.keep()
            self.verdicts.keep()
            self.used += 1
            yield from made
        yield from alone.pairs()

    def _refuse_again(self, made: Sequence[JudgedPair]) -> None:
        """An id names one pair: a row of one annotator each would be as many pairs with a vote each."""
        for group in (pair.group for pair in made):
            before = self._places.setdefault(group.id, group.source)
            if before != group.source:
                what = f"the id {excerpt(group.id)!r} is also that of {before}"
                fix = "put all votes on a pair into its one row, or give each pair an id of its own"
                raise DataError("data.id", what, where=group.source, fix=fix)

    def _pair(self, values: Mapping[str, object], place: str) -> JudgedPair:
        (first, words), (second, others) = answers(values, self.form, self.notes, place)
        prompt, methods = prompt_of(values, self.form, place), self._methods(values, place)
        tags = _tags(values, self.form)
        votes = gather(values, self.verdicts, self.roles, place)
        if not votes:
            self.notes.add("pairs without any vote", place)
        if methods is not None:
            first, second = replace(first, writer=methods[0]), replace(second, writer=methods[1])
        group = Group(_identity(values, place), place, prompt, (first, second), votes=votes, tags=tags)
        names = None
        if self.form.holds == "names":
            names = (str(values[self.form.sides[0]]), str(values[self.form.sides[1]]))
        return JudgedPair(group, methods, (words, others), names)

    def _of_list(self, values: Mapping[str, object], place: str) -> list[JudgedPair]:
        prompt, tags = prompt_of(values, self.form, place), _tags(values, self.form)
        whole = Group(_identity(values, place), place, prompt, (), tags=tags)
        return list(compared_pairs(values, whole, self.roles, self.notes))

    def _methods(self, values: Mapping[str, object], place: str) -> tuple[str, str] | None:
        if not self.form.methods:
            return None
        names = [values.get(name) for name in self.form.methods]
        if len(names) == 1:
            names = str(names[0]).split("_")
        first, second = names if len(names) == 2 else (None, None)
        if not isinstance(first, str) or not isinstance(second, str):
            self.notes.add("pairs that do not say who wrote the answers", place)
            return None
        return plain(first), plain(second)


def _identity(values: Mapping[str, object], place: str) -> str:
    """The id of a row, or its place."""
    name = values.get("id")
    return str(name) if isinstance(name, str | int) and not isinstance(name, bool) and name != "" else place


def _tags(values: Mapping[str, object], form: Form) -> tuple[str, ...]:
    """The categories of a row; a missing one has no tag."""
    return tuple(f"{name}={plain(str(values[name]))}" for name in form.categories if values.get(name) is not None)
