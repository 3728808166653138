"""The journal of replies: what it holds survives a crash, and what is no journal of ours is never written to."""

import json
import subprocess
import sys

import pytest

from prefsmith.errors import ConfigError, DataError
from prefsmith.feedback.verdicts import Journal, Reply, outcomes

FOR_A = Reply("verdict", "A", "I like A.\nVERDICT x: A", 120, 9)
REFUSED = Reply("refused", None, "Nein, ünïcode \u2028 \U0001f600")
SURE = Reply("verdict", "TIE", probabilities=(0.25, 0.25, 0.5))


def test_what_was_kept_is_there_again_with_every_field(tmp_path):
    path = tmp_path / "deep" / "verdicts.jsonl"
    with Journal(path) as journal:
        journal.keep({"a": FOR_A, "b": REFUSED})
        journal.keep({"c": SURE})
    with Journal(path) as journal:
        assert journal.replies == {"a": FOR_A, "b": REFUSED, "c": SURE} and journal.cut_off == 0
        assert "a" in journal and "d" not in journal and journal["b"] == REFUSED


def test_a_reply_is_on_the_disk_when_keep_returns(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("prefsmith.feedback.verdicts.os.fsync", lambda _: synced.append(path.read_bytes()))
    path = tmp_path / "v.jsonl"
    with Journal(path) as journal:
        journal.keep({"a": FOR_A})
        assert synced[-1].count(b"\n") == 2 and b'"key": "a"' in synced[-1]
        before = len(synced)
        journal.keep({"a": REFUSED})  # the first word counts, and nothing is written
        assert len(synced) == before and journal["a"] == FOR_A


@pytest.mark.parametrize("cut", range(1, 30, 4))
def test_a_half_written_last_line_is_cut_off_and_the_rest_goes_on(tmp_path, cut):
    path = tmp_path / "v.jsonl"
    with Journal(path) as journal:
        journal.keep({"a": FOR_A})
        journal.keep({"b": SURE})
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with Journal(path) as journal:
        assert journal.replies == {"a": FOR_A} and journal.cut_off > 0
        journal.keep({"b": SURE})
    assert path.read_bytes() == whole


@pytest.mark.parametrize("start", [b"", b"{", b'{"prefsmith": "verdicts"'])
def test_a_header_that_a_crash_cut_short_is_written_anew(tmp_path, start):
    path = tmp_path / "v.jsonl"
    path.write_bytes(start)
    with Journal(path) as journal:
        journal.keep({"a": FOR_A})
    with Journal(path) as journal:
        assert journal.replies == {"a": FOR_A}


@pytest.mark.parametrize("data", [
    b'{"prompt": "p", "chosen": "a", "rejected": "b"}\n', b"hello", b"hello\n", b"\x00\x01\n\xff",
    b'{"prefsmith": "verdicts", "version": 2}\n',
])  # fmt: skip
def test_a_foreign_file_is_refused_and_left_as_it_is(tmp_path, data):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    with pytest.raises(DataError) as found:
        Journal(path)
    assert found.value.code == "judge.journal" and found.value.where == f"{path}:1" and found.value.fix
    assert path.read_bytes() == data


@pytest.mark.parametrize("change", [
    lambda row: "not json", lambda row: "[]", lambda row: row | {"verdict": "C"}, lambda row: row | {"verdict": None},
    lambda row: row | {"outcome": "lost"}, lambda row: row | {"key": 3}, lambda row: row | {"prompt_tokens": -1},
    lambda row: row | {"prompt_tokens": True}, lambda row: row | {"text": None}, lambda row: row | {"more": 1},
    lambda row: row | {"probabilities": ["x"]}, lambda row: row | {"outcome": "refused"}, lambda row: "",
])  # fmt: skip
def test_a_damaged_line_in_the_middle_is_refused_with_its_number(tmp_path, change):
    path = tmp_path / "v.jsonl"
    with Journal(path) as journal:
        journal.keep({"a": FOR_A, "b": SURE})
    lines = path.read_text().splitlines()
    changed = change(json.loads(lines[1]))
    lines[1] = changed if isinstance(changed, str) else json.dumps(changed)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError) as found:
        Journal(path)
    assert found.value.code == "judge.journal" and found.value.where == f"{path}:2"
    path.write_text("")
    Journal(path).close()  # the refused file is not held any more


def test_two_at_a_time_are_refused_and_a_killed_one_frees_the_file(tmp_path):
    path = tmp_path / "v.jsonl"
    with Journal(path), pytest.raises(ConfigError, match=r"judge\.locked"):
        Journal(path)
    killed = (
        "import os, sys; from prefsmith.feedback.verdicts import *; from pathlib import Path\n"
        "journal = Journal(Path(sys.argv[1])); journal.keep({'a': Reply('verdict', 'A')}); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", killed, str(path)], check=False).returncode == -9
    with Journal(path) as journal:
        assert journal["a"].verdict == "A"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "v.jsonl"):
        with pytest.raises(ConfigError, match=r"judge\.unwritable"):
            Journal(path)


def test_without_a_path_replies_are_kept_in_memory():
    with Journal() as journal:
        journal.keep({"a": FOR_A})
        assert journal["a"] == FOR_A


def test_what_is_no_verdict_is_counted_by_its_reason():
    found = outcomes([FOR_A, REFUSED, SURE, Reply("cut"), Reply("cut")])
    assert found == {"unreadable": 0, "refused": 1, "cut": 2, "unanswered": 0, "rejected": 0}
