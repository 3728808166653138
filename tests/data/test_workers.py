"""Processes that encode: the same rows in the same order, errors with their place, and nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import CHATML, byte_tokenizer, write_rows

from prefsmith.config import DataConfig
from prefsmith.data import chunks, encoding, processes
from prefsmith.data.encode import Encoder
from prefsmith.data.prepare import Preparation, encoded_digest
from prefsmith.data.processes import WorkersLost
from prefsmith.data.render import Renderer
from prefsmith.data.views import Wanted
from prefsmith.data.workers import Workers, worth_it
from prefsmith.errors import DataError


def rows(count):
    """Every fourth is too long for an answer to be left."""
    return [{"prompt": "x" * (200 * (n % 4 == 3)) + f"{n} ", "chosen": " sat", "rejected": " on"} for n in range(count)]


def prepared(folder, number, **settings):
    path = write_rows(folder / "rows.jsonl", rows(40))
    lines = []
    config = {"train": str(path), "cache": "none", "workers": number, "skip_bad": True, **settings}
    preparation = Preparation(DataConfig(**config), [Wanted("dpo", "pairwise")], lines.append)
    tokenizer = byte_tokenizer(chat_template=CHATML)
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=100, truncation="keep_start")
    made = preparation.encode(encoder, preparation.read(None))
    return made, preparation, lines


@pytest.fixture
def few_rows_a_chunk(monkeypatch):
    for module in (chunks, encoding):
        monkeypatch.setattr(module, "AT_ONCE", 3)


def test_rows_come_back_in_order_whoever_encodes_them(tmp_path, few_rows_a_chunk):
    alone, mine, said = prepared(tmp_path, 0)
    shared, theirs, told = prepared(tmp_path, 2)
    assert list(shared.train) == list(alone.train) and list(shared.held_out) == list(alone.held_out)
    assert encoded_digest(shared.train) == encoded_digest(alone.train)
    assert theirs.record == mine.record and said == told
    assert list(theirs.rejects.rows) == list(mine.rejects.rows) and len(mine.rejects.rows) == 10
    assert "data.too_long" in mine.rejects.counts()


def test_an_error_of_a_worker_comes_with_its_row(tmp_path, few_rows_a_chunk):
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, 2, skip_bad=False, eval_fraction=0)
    assert (caught.value.code, caught.value.where) == ("data.too_long", f"{tmp_path / 'rows.jsonl'}:4")
    assert caught.value.fix


def test_a_worker_that_dies_is_told_of_and_done_without(tmp_path, few_rows_a_chunk, monkeypatch):
    expected, *_ = prepared(tmp_path, 0)
    take, taken = Workers.chunks, []

    def killing(self, tasks):
        for chunk in take(self, tasks):
            taken.append(chunk)
            if len(taken) == 2:
                for process in self._processes:
                    process.kill()
                    process.wait()
            yield chunk

    monkeypatch.setattr(Workers, "chunks", killing)
    made, _, lines = prepared(tmp_path, 2)
    assert list(made.train) == list(expected.train)
    assert any("warning: a worker died" in line and "goes on alone" in line for line in lines)


def test_a_tokenizer_that_cannot_be_sent_is_used_here():
    tokenizer = byte_tokenizer()
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    encoder.odd = lambda: None
    with pytest.raises(WorkersLost, match="cannot be sent"), Workers(1, encoder, [], "all"):
        pass


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from tiny import byte_tokenizer
from prefsmith.data.encode import Encoder
from prefsmith.data.render import Renderer
from prefsmith.data.workers import Workers
tokenizer = byte_tokenizer()
encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
with Workers(2, encoder, [], "all") as workers:
    print(*(each.pid for each in workers._processes), flush=True)
    import time
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_run(number):
    tests = str(Path(__file__).parents[1])
    run = subprocess.Popen([sys.executable, "-c", SCRIPT.format(tests=tests)], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)  # fmt: skip
    children = [int(each) for each in run.stdout.readline().split()]
    run.send_signal(number)
    _, errors = run.communicate(timeout=60)
    assert len(children) == 2 and errors.count("Traceback") == (number == signal.SIGINT), "only the run's own"
    end = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("seconds", "cores", "parallel", "expected"),
    [
        (1000, 2, False, True),
        (1000, 1, False, False),
        (10, 8, False, False),
        (1000, 2, True, False),
        (1000, 16, True, True),
    ],
)
def test_workers_are_started_where_they_are_worth_it(seconds, cores, parallel, expected):
    assert worth_it(seconds, cores, parallel=parallel) == expected


def test_the_cores_are_those_that_the_process_may_use():
    assert processes.cores() == len(os.sched_getaffinity(0))
