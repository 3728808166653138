"""The votes of a row, from the columns in which files keep them."""

from collections.abc import Iterator, Mapping

from prefsmith.data.excerpt import excerpt
from prefsmith.data.votes.judgements import Role, plain
from prefsmith.data.votes.verdicts import Verdicts, order_of
from prefsmith.errors import DataError
from prefsmith.records import Vote

PRESENTATIONS = {"orig": 0, "swap": 1}
"""What the two presentations are called where a judge was asked in both; each verdict names an answer, not a place."""
UNNAMED = "vote"
"""What annotators without names are called, with their place in the row behind it."""


class Roles:
    """Who is a person and who a judge, through a file."""

    def __init__(self) -> None:
        self.known: dict[str, Role] = {}
        self.named = True

    def add(self, annotator: str, role: Role, place: str) -> None:
        """Remember the role of an annotator.

        Raises:
            DataError: it had another one.
        """
        if self.known.setdefault(annotator, role) != role:
            what = f"{excerpt(annotator)} is a {role} here and a {self.known[annotator]} before"
            raise DataError("votes.role", what, where=place, fix="give people and judges different names")


def gather(values: Mapping[str, object], verdicts: Verdicts, roles: Roles, place: str) -> tuple[Vote, ...]:
    """All votes of a row: the label of `human`, the people of `votes`, the programs of `judges`.

    Raises:
        DataError: a column is not as it should be, or an annotator votes twice on one presentation.
    """
    found: list[Vote] = []
    seen: set[tuple[str, int | None]] = set()
    for annotator, role, value, order in _entries(values, roles, place):
        roles.add(annotator, role, place)
        if (annotator, order) in seen:
            what = f"{excerpt(annotator)} votes twice on one pair"
            fix = "keep one vote of each annotator, or say by order 0 and 1 that it was shown both ways"
            raise DataError("votes.twice", what, where=place, fix=fix)
        seen.add((annotator, order))
        found.append(verdicts.vote(value, annotator, role, place, order))
    return tuple(found)


Entry = tuple[str, Role, object, int | None]


def _entries(values: Mapping[str, object], roles: Roles, place: str) -> Iterator[Entry]:
    if "human" in values:
        yield "human", "person", values["human"], None
    yield from _people(values.get("votes"), roles, place)
    yield from _judges(values.get("judges"), place)


def _people(votes: object, roles: Roles, place: str) -> Iterator[Entry]:
    if votes is None:
        return
    if not isinstance(votes, list):
        raise _bad("votes", votes, 'a list, for example [{"annotator": "ann", "vote": "a"}]', place)
    for number, vote in enumerate(votes, start=1):
        if isinstance(vote, dict):
            yield (*whose(vote, place), vote.get("vote"), order_of(vote, place))
        else:
            roles.named = False
            yield f"{UNNAMED} {number}", "person", vote, None


def whose(vote: Mapping[str, object], place: str) -> tuple[str, Role]:
    """Annotator and role of a vote that is an object; a person where it does not say.

    Raises:
        DataError: it has no annotator, or a role that we do not know.
    """
    annotator, role = vote.get("annotator"), vote.get("role", "person")
    if not isinstance(annotator, str) or not annotator.strip():
        raise _bad("annotator", annotator, "a name", place)
    if role == "person" or role == "judge":
        return plain(annotator), "person" if role == "person" else "judge"
    raise _bad("role", role, "person or judge", place)


def _judges(judges: object, place: str) -> Iterator[Entry]:
    if judges is None:
        return
    if not isinstance(judges, dict):
        raise _bad(
            "judges", judges, 'an object, for example {"gpt": "a"} or {"gpt": {"orig": "a", "swap": "b"}}', place
        )
    for name, said in ((plain(str(name)), said) for name, said in judges.items()):
        if not isinstance(said, dict):
            yield name, "judge", said, None
            continue
        if strange := [each for each in said if each not in PRESENTATIONS]:
            raise _bad(f"a presentation of {excerpt(name)}", strange[0], "orig or swap", place)
        for key, value in said.items():
            yield name, "judge", value, PRESENTATIONS[key]


def _bad(name: str, value: object, wanted: str, place: str) -> DataError:
    return DataError("votes.cell", f"{name} is {excerpt(repr(value))}", where=place, fix=f"give {wanted}")
