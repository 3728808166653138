"""What was made before is used where all that it was made of is the same, and nowhere else."""

import errno
import json
import os
import shutil
from datetime import date
from pathlib import Path

import pytest
from tiny import CHATML, byte_tokenizer, write_rows

from prefsmith.config import DataConfig
from prefsmith.data import cache, keys, spool
from prefsmith.data.encode import Encoder
from prefsmith.data.prepare import Preparation, encoded_digest
from prefsmith.data.render import Renderer
from prefsmith.data.views import Wanted
from prefsmith.errors import DataError
from prefsmith.records import Completion, Group

DATED = "{{ strftime_now('%Y') }}" + CHATML
DAY = date(2026, 1, 2)
DPO, KTO = Wanted("dpo", "pairwise"), Wanted("kto", "unpaired")


def rows(count, start=0):
    """Some are cut, one is dropped by a length of 20, every fifth cannot be used."""
    return [
        {
            "prompt": f"the cat {n} " + "x" * (n % 9),
            "chosen": " sat" * (1 + n % 3),
            "rejected": "" if n % 5 == 4 else " on",
        }
        for n in range(start, start + count)
    ]


class Preparing:
    """One reading and encoding, and all that came of it."""

    def __init__(self, folder, *, wanted=(DPO,), tokenizer=None, template="auto", today=DAY, first=None, ends=(),
                 measure=None, **settings):  # fmt: skip
        if not (folder / "rows.jsonl").exists():
            write_rows(folder / "rows.jsonl", rows(40))
        settings = {"train": str(folder / "rows.jsonl"), "skip_bad": True, "max_length": 40, **settings}
        encoding = {key: settings.pop(key) for key in ("max_length", "truncation") if key in settings}
        self.lines = []
        keywords = {} if first is None else {"first": first}
        preparation = Preparation(DataConfig(**settings), list(wanted), self.lines.append, **keywords)
        tokenizer = tokenizer or byte_tokenizer(chat_template=CHATML)
        encoder = Encoder(tokenizer, Renderer(tokenizer, template, today=today), end_ids=ends, **encoding)
        self.sides = preparation.read(None)
        self.encoded = preparation.encode(encoder, self.sides, measure)
        self.rows = (list(self.encoded.train), list(self.encoded.held_out))
        self.record, self.rejected = preparation.record, list(preparation.rejects.rows)
        self.counts = preparation.rejects.counts()
        self.digest = encoded_digest(self.encoded.train)

    @property
    def read_again(self):
        return not any("read before" in line for line in self.lines)

    @property
    def encoded_again(self):
        return not any("encoded before" in line for line in self.lines)

    @property
    def said(self):
        return [line for line in self.lines if " before: taken from " not in line]

    @property
    def warned(self):
        return [line for line in self.lines if line.startswith("warning")]

    def same(self, other):
        parts = ("rows", "rejected", "counts", "digest", "said")
        assert [getattr(self, part) for part in parts] == [getattr(other, part) for part in parts]
        assert json.dumps(self.record) == json.dumps(other.record), "data.json is the same to the letter"


def entries(kind):
    return sorted((Path(os.environ["XDG_CACHE_HOME"]) / "prefsmith" / kind).iterdir())


@pytest.mark.parametrize(
    "settings", [{}, {"eval_fraction": 0.5}, {"truncation": "drop", "max_length": 30}, {"wanted": (DPO, KTO)}]
)
def test_what_was_made_before_is_used_and_everything_is_the_same(tmp_path, settings):
    fresh, again = Preparing(tmp_path, cache="none", **settings), Preparing(tmp_path, **settings)
    third = Preparing(tmp_path, **settings)
    assert (again.read_again, again.encoded_again) == (True, True)
    assert (third.read_again, third.encoded_again) == (False, False)
    assert fresh.rejected and sum(fresh.counts.values()) == len(fresh.rejected)
    third.same(fresh)
    again.same(fresh)


def test_a_file_of_its_own_to_evaluate_on_is_kept_too(tmp_path):
    write_rows(tmp_path / "eval.jsonl", rows(12, start=35))
    settings = {"eval": str(tmp_path / "eval.jsonl")}
    fresh = Preparing(tmp_path, cache="none", **settings)
    Preparing(tmp_path, **settings)
    again = Preparing(tmp_path, **settings)
    again.same(fresh)
    assert not again.read_again and fresh.record["eval_prompts_in_train"] and again.rows[1]
    write_rows(tmp_path / "eval.jsonl", rows(13, start=35))
    assert Preparing(tmp_path, **settings).read_again


READING = {
    "format": {"format": "preference"},
    "columns": {"columns": {"chosen": "rejected", "rejected": "chosen"}},
    "pairs": {"pairs": "adjacent"},
    "limit": {"limit": 20},
    "eval fraction": {"eval_fraction": 0.3},
    "labels": {"wanted": (KTO,)},
    "name of a loss": {"wanted": (Wanted("ipo", "pairwise"),)},
    "soft labels": {"wanted": (Wanted("dpo", "pairwise", soft_labels=False),)},
    "one more loss": {"wanted": (DPO, DPO)},
}


@pytest.mark.parametrize("name", READING)
def test_rows_that_are_read_in_another_way_are_read_anew(tmp_path, name):
    Preparing(tmp_path)
    other = Preparing(tmp_path, **READING[name])
    assert other.read_again and other.encoded_again
    other.same(Preparing(tmp_path, cache="none", **READING[name]))


def test_whether_bad_rows_are_skipped_is_asked_anew(tmp_path):
    Preparing(tmp_path)
    with pytest.raises(DataError, match=r"data\.empty"):
        Preparing(tmp_path, skip_bad=False)


def test_another_file_is_read_and_another_place_is_named(tmp_path):
    first = Preparing(tmp_path)
    write_rows(tmp_path / "rows.jsonl", rows(39))
    assert Preparing(tmp_path).read_again, "other rows under the same name"
    write_rows(tmp_path / "rows.jsonl", rows(40))
    assert not Preparing(tmp_path).read_again, "the same rows once more"
    shutil.copy(tmp_path / "rows.jsonl", tmp_path / "moved.jsonl")
    moved = Preparing(tmp_path, train=str(tmp_path / "moved.jsonl"))
    assert moved.read_again and first.digest == moved.digest
    assert "moved.jsonl" in moved.rejected[0]["where"] and "moved.jsonl" in moved.rows[0][0].group.source


def other_vocabulary():
    tokenizer = byte_tokenizer(chat_template=CHATML)
    tokenizer.add_tokens(["sat"])
    return tokenizer


def other_end():
    tokenizer = byte_tokenizer(chat_template=CHATML)
    tokenizer.eos_token = "<|endoftext|>"
    return tokenizer


ENCODING = {
    "tokenizer": lambda: {"tokenizer": other_vocabulary()},
    "end token": lambda: {"tokenizer": other_end()},
    "template": lambda: {"tokenizer": byte_tokenizer(chat_template=CHATML.replace("im_start|>", "im_start|> "))},
    "plain text": lambda: {"template": "plain"},
    "length": lambda: {"max_length": 30},
    "truncation": lambda: {"truncation": "drop"},
    "ends": lambda: {"ends": [7]},
    "libraries": dict,
    "format": dict,
}


@pytest.mark.parametrize("name", ENCODING)
def test_rows_that_are_encoded_in_another_way_are_encoded_anew(tmp_path, monkeypatch, name):
    Preparing(tmp_path)
    if name == "libraries":
        monkeypatch.setattr(keys, "version", lambda library: "9" if library == "tokenizers" else "1")
    if name == "format":
        monkeypatch.setattr(keys, "FORMAT", keys.FORMAT + 1)
    settings = ENCODING[name]()
    other = Preparing(tmp_path, **settings)
    assert other.encoded_again
    assert other.read_again == (name in ("libraries", "format"))
    other.same(Preparing(tmp_path, cache="none", **settings))
    assert not Preparing(tmp_path, **ENCODING[name]()).encoded_again


@pytest.mark.parametrize(("template", "again"), [(DATED, True), (CHATML, False)])
def test_another_day_matters_where_the_template_writes_it(tmp_path, template, again):
    def on(day):
        return Preparing(tmp_path, tokenizer=byte_tokenizer(chat_template=template), today=day)

    first, later = on(date(2026, 1, 2)), on(date(2027, 1, 2))
    assert later.encoded_again == again == (first.digest != later.digest)


class Own(type(byte_tokenizer())):
    """Code that comes with a tokenizer may do anything."""


def test_ids_of_a_tokenizer_with_code_of_its_own_are_not_kept(tmp_path):
    tokenizer = Own(tokenizer_object=byte_tokenizer().backend_tokenizer, eos_token="<|endoftext|>")
    assert (
        Preparing(tmp_path, tokenizer=tokenizer).encoded_again
        and Preparing(tmp_path, tokenizer=tokenizer).encoded_again
    )


def test_rows_in_memory_are_not_kept(tmp_path):
    groups = [Group(f"g{n}", f"m:{n}", f"p{n}", (Completion("a"), Completion("b"))) for n in range(3)]
    preparation = Preparation(DataConfig(eval_fraction=0), [], [].append)
    assert list(preparation.read(groups).train) and not Path(os.environ["XDG_CACHE_HOME"]).exists()


def test_rows_that_no_file_can_say_are_not_kept(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    ask = [{"role": "user", "content": "hi", "image": b"\x00"}]
    sides = {side: [[{"role": "assistant", "content": each}] for each in texts] for side, texts in
             (("chosen", ["a", "b"]), ("rejected", ["c", "d"]))}  # fmt: skip
    pq.write_table(pa.table({"prompt": [ask, [{**ask[0], "image": b"\x01"}]], **sides}), tmp_path / "rows.parquet")
    for again in (False, True):
        made = Preparing(tmp_path, train=str(tmp_path / "rows.parquet"), eval_fraction=0)
        assert (made.read_again, made.encoded_again) == (True, not again) and len(made.rows[0]) == 2
        assert made.rows[0][1].group.prompt[0].extra == {"image": b"\x01"}
    assert entries("rows") == []


def damages():
    """What may have become of an entry, by the file that it happened to."""
    for name in ("entry.json", "columns.safetensors", "train"):
        yield f"{name} cut", name, lambda path: path.write_bytes(path.read_bytes()[:-3])
        yield f"{name} changed", name, lambda path: path.write_bytes(path.read_bytes()[:-3] + b"xyz")
        yield f"{name} empty", name, lambda path: path.write_bytes(b"")
        yield f"{name} gone", name, lambda path: path.unlink()
    yield "another format", "entry.json", lambda path: path.write_text('{"sha256": 3}')
    yield "no JSON object", "entry.json", lambda path: path.write_text("[1]")
    yield "a folder", "train", lambda path: (path.unlink(), path.mkdir())


@pytest.mark.parametrize("kind", ["rows", "ids"])
@pytest.mark.parametrize(("name", "harm"), [each[1:] for each in damages()], ids=[each[0] for each in damages()])
def test_an_entry_that_cannot_be_trusted_is_made_anew_and_told_of(tmp_path, kind, name, harm):
    first = Preparing(tmp_path)
    harm(entries(kind)[0] / name)
    second, third = Preparing(tmp_path), Preparing(tmp_path)
    assert len(second.warned) == 1 and "is not used and is made anew" in second.warned[0]
    assert (second.read_again, second.encoded_again) == (kind == "rows", kind == "ids")
    assert not third.warned and not third.read_again and not third.encoded_again
    third.same(first)
    assert [each.name[0] for each in entries(kind)] != ["."]


def test_an_entry_of_something_else_is_not_used(tmp_path):
    first = Preparing(tmp_path)
    write_rows(tmp_path / "other.jsonl", rows(30))
    Preparing(tmp_path, train=str(tmp_path / "other.jsonl"))
    one, two = entries("ids")
    shutil.rmtree(one)
    shutil.copytree(two, one)
    made = [Preparing(tmp_path), Preparing(tmp_path, train=str(tmp_path / "other.jsonl"))]
    assert ["made of something else" in line for each in made for line in each.warned] == [True]
    assert (made[0].rows, made[0].digest, made[0].record) == (first.rows, first.digest, first.record)


def test_what_a_killed_process_left_behind_is_taken_away_after_some_days(tmp_path):
    Preparing(tmp_path)
    folder = entries("rows")[0].parent
    for name, age in ((".old", 8), (".new", 1)):
        (folder / name).mkdir()
        before = (folder / name).stat().st_mtime - 24 * 3600 * age
        os.utime(folder / name, (before, before))
    Preparing(tmp_path, limit=10)
    assert {each.name for each in folder.iterdir() if each.name.startswith(".")} == {".new"}


@pytest.mark.parametrize("most", [0, 2, 5])
def test_a_full_disk_costs_the_entry_and_not_the_run(tmp_path, monkeypatch, most):
    fresh = Preparing(tmp_path, cache="none")
    monkeypatch.setattr(spool, "IN_MEMORY", 100)
    monkeypatch.setattr(spool, "AT_ONCE", 100)
    write, done = os.pwrite, []

    def full(number, data, offset):
        if "prefsmith-" not in os.readlink(f"/proc/self/fd/{number}"):
            done.append(number)
            if len(done) > most:
                raise OSError(errno.ENOSPC, "No space left on device")
        return write(number, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    made = Preparing(tmp_path)
    assert any("are not kept" in line and "No space left" in line for line in made.warned)
    assert made.rows == fresh.rows and made.record == fresh.record and made.digest == fresh.digest
    assert not any(each.name.startswith(".") for each in (tmp_path / "cache").rglob("*"))


def test_a_cache_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    made = Preparing(tmp_path, cache=str(tmp_path / "file" / "below"))
    assert len(made.warned) == 2 and "are not kept" in made.warned[0] and made.rows[0]


def test_the_cache_may_be_placed_or_left_out(tmp_path):
    Preparing(tmp_path, cache="none")
    assert not Path(os.environ["XDG_CACHE_HOME"]).exists()
    Preparing(tmp_path, cache=str(tmp_path / "mine"))
    assert {each.name for each in (tmp_path / "mine").iterdir()} == {"rows", "ids"}
    assert not Preparing(tmp_path, cache=str(tmp_path / "mine")).read_again


def test_rows_are_there_when_somebody_clears_the_cache_meanwhile(tmp_path):
    first = Preparing(tmp_path)
    again = Preparing(tmp_path)
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    assert list(again.encoded.train) == first.rows[0] and list(again.sides.train) == list(first.sides.train)


def test_a_file_that_changes_while_it_is_read_is_refused_and_not_kept(tmp_path, monkeypatch):
    write_rows(tmp_path / "rows.jsonl", rows(40))
    append = cache.Draft.spool

    def meanwhile(draft, name):
        with (tmp_path / "rows.jsonl").open("a") as file:
            file.write(json.dumps(rows(1, start=90)[0]) + "\n")
        return append(draft, name)

    monkeypatch.setattr(cache.Draft, "spool", meanwhile)
    with pytest.raises(DataError) as caught:
        Preparing(tmp_path)
    assert caught.value.code == "data.changed" and caught.value.fix and "rows.jsonl" in caught.value.where
    assert not list((tmp_path / "cache").rglob("entry.json"))


def test_lengths_before_a_cut_are_measured_anew(tmp_path):
    Preparing(tmp_path)
    seen = []
    made = Preparing(tmp_path, measure=seen.append)
    assert made.encoded_again and len(seen) == len(made.rows[0])


def test_one_process_makes_what_the_others_take(tmp_path):
    """The others get nothing from `first` but the time to look."""
    asked = []
    leader = Preparing(tmp_path, first=lambda work: asked.append(1) or work())
    follower = Preparing(tmp_path, first=lambda work: asked.append(2))
    assert asked == [1, 1, 2, 2]
    assert leader.encoded_again and not follower.read_again and not follower.encoded_again
    follower.same(leader)


def test_a_process_that_finds_nothing_makes_it_itself(tmp_path):
    alone = Preparing(tmp_path, first=lambda work: None)
    assert alone.encoded_again and alone.rows[0]
