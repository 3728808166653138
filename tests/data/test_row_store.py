"""Groups and bytes that are kept on the disk come back as they were."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.data import spool
from prefsmith.data.codec import group_of_line, group_to_line
from prefsmith.data.groups import read_groups
from prefsmith.data.rejects import Rejects
from prefsmith.data.rowstore import FirstPlaces, RowStore
from prefsmith.data.spool import Spool, Stored
from prefsmith.errors import DataError
from prefsmith.records import Comparison, Completion, Group, Message, Rating, Vote

TEXTS = st.text(max_size=6) | st.sampled_from(["\ud83d", "\ud83d\ude00", "\x00", "\u2028", '"\\\n'])
NUMBERS = st.floats(allow_nan=False)
JSON = st.sampled_from([None, True, 1, 1.0, 10**30, -0.0, "\ud83d", [], [[1], {"a": None}], {}, {"b": {"c": [2.5]}}])
MESSAGES = st.lists(
    st.tuples(st.sampled_from(["user", "tool"]), TEXTS, st.dictionaries(TEXTS, JSON, max_size=2)), max_size=2
)
COMPLETIONS = st.lists(
    st.tuples(st.none() | TEXTS, MESSAGES, st.none() | NUMBERS, st.lists(TEXTS, max_size=1)), max_size=3
)
PLACES = st.integers(0, 2)
ROWS = st.fixed_dictionaries(
    {
        "id": TEXTS,
        "source": st.sampled_from(["rows:1", "a\u00fc:2"]),
        "prompt": TEXTS | MESSAGES,
        "completions": COMPLETIONS,
        "comparisons": st.lists(st.tuples(PLACES, PLACES, NUMBERS, NUMBERS, st.none() | NUMBERS), max_size=2),
        "ratings": st.lists(st.tuples(PLACES, NUMBERS, NUMBERS), max_size=2),
        "ranking": st.sampled_from([(), ((0,), (1, 2))]),
        "votes": st.sampled_from([[], [(0, 1, "tie", "ann", 1, 2.5)]]),
        "tags": st.lists(TEXTS, max_size=2).map(tuple),
        "tools": st.lists(st.dictionaries(TEXTS, JSON, max_size=2), max_size=2).map(tuple),
        "weight": NUMBERS,
    }
)


def made_of(row):
    def messages(values):
        return tuple(Message(*each) for each in values)

    prompt = row["prompt"] if isinstance(row["prompt"], str) else messages(row["prompt"])
    completions = tuple(Completion(a, messages(b), c, tuple(d)) for a, b, c, d in row["completions"])
    labels = {"comparisons": Comparison, "ratings": Rating, "votes": Vote}
    made = {name: tuple(kind(*each) for each in row[name]) for name, kind in labels.items()}
    return Group(**{**row, **made, "prompt": prompt, "completions": completions})


@given(ROWS)
def test_a_group_comes_back_as_it_was(row):
    group = made_of(row)
    line = group_to_line(group)
    assert repr(group_of_line(line)) == repr(group), "types too: repr tells 1 from 1.0 and a list from a tuple"
    assert b"\n" not in line


@pytest.mark.parametrize("value", [b"bytes", (1, 2), {1: "a"}, {"a": [b""]}, {"deep": {"x": (1,)}}])
def test_what_json_cannot_say_is_kept_in_memory(value):
    odd = Group("g", "rows:1", (Message("user", "hi", {"x": value}),), (Completion("a"),))
    assert group_to_line(odd) is None
    store = RowStore(Spool())
    for group in (Group("f", "rows:0", "p", ()), odd):
        store.append(group)
    assert store[1] == odd and store[1].prompt[0].extra["x"] == value and not store.whole


@pytest.fixture
def small(monkeypatch):
    """Spools go to the disk after some bytes."""
    monkeypatch.setattr(spool, "IN_MEMORY", 20)
    monkeypatch.setattr(spool, "AT_ONCE", 10)


PARTS = [bytes([65 + number]) * (number % 7) for number in range(40)]


def filled(path=None):
    made, places = Spool(path), []
    for part in PARTS:
        places.append(made.append(part))
    return made, places


def back(made, places):
    return [made.read(place, len(part)) for place, part in zip(places, PARTS, strict=True)]


@pytest.mark.parametrize("named", [True, False])
def test_bytes_come_back_from_memory_and_from_the_file(small, tmp_path, named):
    path = tmp_path / "bytes" if named else None
    made, places = filled(path)
    assert back(made, places) == PARTS and len(made) == sum(map(len, PARTS))
    assert made.settle() == named
    assert back(made, places) == PARTS
    if named:
        path_bytes = path.read_bytes()
        path.unlink()  # whoever clears the folder takes nothing from this run
        assert path_bytes == b"".join(PARTS) and back(made, places) == PARTS


def full_after(monkeypatch, most):
    """A disk that takes so many writes."""
    write, done = os.pwrite, []

    def limited(number, data, offset):
        done.append(data)
        if len(done) > most:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(number, data[: max(1, len(data) // 2)], offset)  # a write may take a part only

    monkeypatch.setattr(os, "pwrite", limited)


@pytest.mark.parametrize("most", [0, 1, 3, 10])
@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_full_disk_costs_the_place_and_no_byte(small, tmp_path, monkeypatch, most, elsewhere):
    full_after(monkeypatch, most)
    if not elsewhere:
        monkeypatch.setattr(spool, "_nameless", lambda: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    made, places = filled(tmp_path / "bytes")
    assert back(made, places) == PARTS
    assert not made.settle() and made.failure.errno == errno.ENOSPC


def test_a_file_that_is_cut_gives_less_and_ends_nothing(tmp_path):
    (tmp_path / "a").write_bytes(b"abcdef")
    stored = Stored(tmp_path / "a")
    os.truncate(tmp_path / "a", 2)
    assert stored.read(0, 6) == b"ab" and stored.read(4, 2) == b""


@given(st.lists(st.integers(0, 30), max_size=200))
def test_a_name_is_known_again_and_no_other(numbers):
    groups, seen = [], {}
    places = FirstPlaces(groups)
    for number in numbers:
        name = f"n{number}"
        assert places.note(name) == seen.get(name)
        if name not in seen:
            seen[name] = f"rows:{len(groups)}"
            groups.append(Group(name, seen[name], "p", ()))


def test_names_with_one_hash_are_told_apart():
    class Name(str):
        def __hash__(self):
            return 7

    groups = []
    places = FirstPlaces(groups)
    for name in map(Name, "abc"):
        assert places.note(name) is None
        groups.append(Group(name, f"rows:{name}", "p", ()))
    assert places.note(Name("b")) == "rows:b"


def test_rows_of_a_file_are_the_same_from_the_disk(shared_data):
    groups = read_groups(shared_data / "alpaca_soft.jsonl.gz", columns={"chosen": "b", "rejected": "a", "prob": "p_b"},
                         limit=150, format="preference").groups  # fmt: skip
    store = RowStore(Spool())
    for group in groups:
        store.append(group)
    assert list(store) == groups and store[-1] == groups[-1] and store[3:5] == groups[3:5]


def test_a_million_refused_rows_would_lie_on_the_disk(small, tmp_path):
    rejects = Rejects(skip=True)
    for number in range(300):
        rejects.refuse(DataError(f"data.{number % 3}", "w", where=f"r:{number}"), {"row": number})
    held = rejects.rows.lines
    assert len(held._tail) <= 200 < len(held) and len(rejects.rows) == 300
    assert rejects.rows[-1]["where"] == "r:299" and rejects.rows[7:9] == [rejects.rows[7], rejects.rows[8]]
    assert rejects.counts() == {f"data.{code}": 100 for code in range(3)}
    again = Rejects(skip=True)
    for line in spool.lines_of(held):
        again.repeat(line)
    assert again.rows == rejects.rows and again.counts() == rejects.counts()
    for name, each in (("a", rejects), ("b", again)):
        each.write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != b""


@pytest.mark.parametrize("text", [b"", b"a\n", b"a", b"\n\n", b"abcdefghijklmnop\nq\nrstuvwxyz\n", b"x" * 35])
def test_lines_come_whole_however_they_are_read(small, text):
    made = Spool()
    made.append(text)
    assert list(spool.lines_of(made)) == text.splitlines(keepends=True)
