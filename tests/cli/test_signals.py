"""A command without --resume: a signal ends it through its exits, with one line that is true, and nothing is left."""

import json
import signal
import subprocess
import sys

import pytest

CONVERT = """
import os, signal, sys
from pathlib import Path
from prefsmith.cli import main
from prefsmith.data.targets.trl import Trl

cells, unlink = Trl.cells, Path.unlink

def signalled(self, item, account):
    os.kill(os.getpid(), {first})
    return cells(self, item, account)

def signalled_again(self, *words):
    os.kill(os.getpid(), {second})
    unlink(self, *words)

Trl.cells, Path.unlink = signalled, signalled_again
status = main(["convert", "pairs.jsonl", "--to", "trl", "--out", "new/pairs.jsonl"])
assert signal.getsignal(signal.SIGTERM) == {after}
sys.exit(status)
"""
INTERRUPTED = """
import runpy, sys

class Finder:
    def find_spec(self, name, *more):
        if name == "prefsmith.cli.merge":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Finder())
runpy.run_module("prefsmith", run_name="__main__")
"""


def converting(folder, first, second=0, after="signal.SIG_DFL", before=signal.SIG_DFL):
    (folder / "pairs.jsonl").write_text(json.dumps({"prompt": "p", "chosen": "a", "rejected": "b"}) + "\n")
    code = CONVERT.format(first=int(first), second=int(second), after=after)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGTERM, before),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGTERM, signal.SIGTERM)],
    ids=["interrupt", "terminate", "hang up", "terminate twice"],
)
def test_a_signal_ends_a_command_through_its_exits(tmp_path, first, second):
    done = converting(tmp_path, first, second)
    assert done.returncode == 128 + first, "and a second one does not hold up the exits"
    by = "" if first == signal.SIGINT else " by a signal"
    assert done.stderr == f"[run.interrupted] stopped at once{by}\n  fix:   give the same command again\n"
    assert [*(tmp_path / "new").iterdir()] == [], "what was half written is gone"


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    done = converting(tmp_path, signal.SIGTERM, after="signal.SIG_IGN", before=signal.SIG_IGN)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pairs.jsonl"]


def test_ctrl_c_while_modules_are_imported_is_one_line():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "[run.interrupted] stopped at once\n")
