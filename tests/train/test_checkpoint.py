"""A checkpoint is there whole or not at all."""

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from prefsmith.errors import ConfigError, TrainingError
from prefsmith.train import checkpoint as module
from prefsmith.train.checkpoint import Checkpoint, CheckpointStore, damage, folder_name, lock
from prefsmith.train.parallel import ALONE, Ranks

FILES = ["MANIFEST.json", "weights.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"]


def made(step, value=1.0):
    weights = {"w": torch.full((4,), value), "v": torch.arange(3.0)}
    return Checkpoint(step, weights, {"w|exp_avg": torch.ones(4)}, {"cpu": torch.get_rng_state()}, {"metrics_bytes": 7})


def saved(folder, *steps, keep=5):
    store = CheckpointStore(folder, keep=keep)
    for step in steps:
        store.save(made(step, float(step)))
    return store


def test_what_is_saved_is_what_is_read(tmp_path):
    checkpoint, damaged = saved(tmp_path, 1, 2).newest()
    assert checkpoint.step == 2 and not damaged
    assert torch.equal(checkpoint.weights["w"], torch.full((4,), 2.0))
    assert torch.equal(checkpoint.optimizer["w|exp_avg"], torch.ones(4))
    assert torch.equal(checkpoint.random["cpu"], made(1).random["cpu"])
    assert checkpoint.state == {"metrics_bytes": 7}


def with_reference(step):
    return replace(made(step), reference={"w": torch.tensor([0.1, -0.2])})


def test_a_reference_that_moved_comes_back_to_the_bit(tmp_path):
    store = CheckpointStore(tmp_path, keep=5)
    place = store.save(with_reference(1))
    assert json.loads((place / "MANIFEST.json").read_text())["files"].keys() == {*FILES[1:], "reference.safetensors"}
    assert torch.equal(store.newest()[0].reference["w"], torch.tensor([0.1, -0.2]))


def test_without_one_there_is_no_file_and_a_stray_one_is_not_read(tmp_path):
    """Checkpoints from before references moved look like this."""
    store = saved(tmp_path, 1)
    place = tmp_path / folder_name(1)
    assert sorted(each.name for each in place.iterdir()) == sorted(FILES)
    (place / "reference.safetensors").write_bytes(b"nobody vouches for this")
    assert store.newest()[0].reference == {}


@pytest.mark.parametrize("harm", [lambda path: truncate(path), lambda path: flip(path), lambda path: path.unlink()])
def test_a_damaged_reference_damages_its_checkpoint(tmp_path, harm):
    store = saved(tmp_path, 1)
    place = store.save(with_reference(2))
    harm(place / "reference.safetensors")
    checkpoint, damaged = store.newest()
    assert checkpoint.step == 1
    assert "reference.safetensors" in damaged[0]


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "harm",
    [
        truncate,
        flip,
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda p: p.rename(p.with_name("x")),
    ],
    ids=["half", "one bit", "empty", "deleted", "renamed"],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(tmp_path, name, harm):
    store = saved(tmp_path, 1, 2)
    harm(tmp_path / folder_name(2) / name)
    checkpoint, damaged = store.newest()
    assert checkpoint.step == 1
    if (tmp_path / folder_name(2) / "MANIFEST.json").exists():
        assert len(damaged) == 1 and damaged[0].startswith("step-000002: ")
        assert name in damaged[0] or name == "MANIFEST.json"  # a flipped digest accuses the file it is of


def test_where_all_are_damaged_nothing_is_taken(tmp_path):
    store = saved(tmp_path, 1)
    flip(tmp_path / folder_name(1) / "weights.safetensors")
    with pytest.raises(TrainingError, match=r"weights\.safetensors is not what was written"):
        store.newest()


@pytest.mark.parametrize("looked", [True, False])
def test_a_damaged_one_is_put_aside_and_its_step_can_be_saved_again(tmp_path, looked):
    store = saved(tmp_path, 1, 2)
    flip(tmp_path / folder_name(2) / "weights.safetensors")
    if looked:
        assert store.newest()[0].step == 1
    store.save(made(2, 9.0))
    assert store.newest()[0].weights["w"][0] == 9.0
    assert len(list(tmp_path.glob("damaged-step-000002-*"))) == 1


def test_damaged_newer_ones_do_not_push_the_good_ones_out(tmp_path):
    """Resuming with a smaller keep: what was just saved must not go because broken folders have higher numbers."""
    saved(tmp_path, 3, 6, 9)
    for step in (6, 9):
        flip(tmp_path / folder_name(step) / "weights.safetensors")
    store = CheckpointStore(tmp_path, keep=1)
    assert store.newest()[0].step == 3
    store.save(made(4))
    checkpoint, damaged = store.newest()
    assert checkpoint.step == 4 and not damaged


def test_the_millionth_step_is_newer_than_the_one_before_it(tmp_path):
    store = saved(tmp_path, 999_998, 999_999, 1_000_000, keep=2)
    assert store.newest()[0].step == 1_000_000


def test_a_disk_that_is_full_while_tensors_are_written_leaves_nothing_behind(tmp_path):
    """In a process whose files may not grow: safetensors reports that in a class of its own."""
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[2]);"
        "from pathlib import Path; import torch;"
        "from prefsmith.train.checkpoint import Checkpoint, CheckpointStore;"
        "from prefsmith.errors import TrainingError;"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "big = Checkpoint(1, {'w': torch.zeros(10000)}, {}, {}, {})\n"
        "try: CheckpointStore(Path(sys.argv[1]), keep=1).save(big)\n"
        "except TrainingError as error: print(error.code)"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), root], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "train.checkpoint", done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("keep", [1, 2])
def test_only_the_newest_stay(tmp_path, keep):
    saved(tmp_path, 1, 2, 3, keep=keep)
    assert sorted(each.name for each in tmp_path.iterdir()) == [folder_name(step) for step in (1, 2, 3)][-keep:]


def test_the_only_good_one_is_never_removed(tmp_path, monkeypatch):
    """With keep=1 the old one goes only when the new one is in its place."""
    store = saved(tmp_path, 1, keep=1)
    seen = []

    def rmtree(place, **_):
        if place.name == folder_name(1):
            seen.append(damage(tmp_path / folder_name(2)))

    monkeypatch.setattr(module.shutil, "rmtree", rmtree)
    store.save(made(2))
    assert seen == [""]


@pytest.mark.parametrize("count", range(12))
@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EIO], ids=["disk full", "disk fails"])
def test_a_write_that_fails_leaves_the_ones_before(tmp_path, monkeypatch, count, kind):
    """The count-th sync fails: in every file, in the manifest, in the folder."""
    store, real, calls = saved(tmp_path, 1), os.fsync, []

    def fsync(handle):
        calls.append(handle)
        if len(calls) == count + 1:
            raise OSError(kind, os.strerror(kind))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    try:
        store.save(made(2))
    except TrainingError as error:
        assert error.code == "train.checkpoint" and os.strerror(kind) in error.what and error.fix
        failed = True
    else:
        failed = False
    monkeypatch.undo()
    assert failed == (count < len(calls) and count < 7)
    checkpoint, damaged = store.newest()
    assert checkpoint.step in ((1, 2) if failed else (2,)) and not damaged
    assert not list(tmp_path.glob(".step-*"))


@pytest.mark.parametrize(("ranks", "parts", "newest"), [(ALONE, None, 2), (Ranks(0, 2), None, 2), (ALONE, "parts", 1)])
def test_what_is_written_in_the_background_exists_though_the_next_step_fails(tmp_path, ranks, parts, newest):
    """Nobody is asked, since others may be gone; parts of theirs may then be missing."""
    with pytest.raises(ZeroDivisionError), closing(CheckpointStore(tmp_path, keep=5, background=True)) as store:
        store.save(made(1))
        store.save(made(2))
        store.ranks, store.parts = ranks, parts
        raise ZeroDivisionError
    assert CheckpointStore(tmp_path, keep=5).newest()[0].step == newest
    assert not list(tmp_path.glob(".step-*"))


@pytest.mark.parametrize("name", ["weights.safetensors", ".MANIFEST.json"])
def test_a_background_write_that_fails_beside_the_run_takes_nothing_from_what_the_run_says(tmp_path, monkeypatch, name):
    saved(tmp_path, 1)
    real = os.fsync

    def fsync(handle):
        if os.path.basename(os.readlink(f"/proc/self/fd/{handle}")).startswith(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ZeroDivisionError), closing(CheckpointStore(tmp_path, keep=5, background=True)) as store:
        store.save(made(2))
        raise ZeroDivisionError
    assert [each.name for each in tmp_path.iterdir()] == [folder_name(1)]


def test_manifest_is_last_and_everything_is_synced_before_the_rename(tmp_path, monkeypatch):
    events, real_fsync = [], os.fsync
    real_rename = module.Path.rename

    def fsync(handle):
        events.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))))
        real_fsync(handle)

    def rename(self, target):
        events.append(("rename", os.path.basename(target)))
        return real_rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(module.Path, "rename", rename)
    saved(tmp_path, 1)
    names = [name for _, name in events]
    assert names[:4] == ["weights.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"]
    assert names[4].startswith(".MANIFEST.json-") and names[5].startswith(".step-000001-")
    assert events[6] == ("rename", "step-000001") and events[7] == ("sync", tmp_path.name)


def test_leftovers_of_a_killed_save_are_no_checkpoint_and_are_cleaned(tmp_path):
    store = saved(tmp_path, 1)
    (tmp_path / ".step-000002-abc").mkdir()
    (tmp_path / "step-000003").mkdir()  # a folder without its manifest: its removal was cut short
    assert store.newest()[0].step == 1
    store.clean()
    assert [each.name for each in tmp_path.iterdir()] == [folder_name(1)]


def test_a_copy_that_somebody_put_beside_them_is_left_alone(tmp_path):
    store = saved(tmp_path, 1, 2)
    shutil.copytree(tmp_path / folder_name(2), tmp_path / "step-000002-mine")
    (tmp_path / "step-notes").mkdir()
    store.clean()
    store.save(made(3))
    assert store.newest()[0].step == 3
    assert {"step-000002-mine", "step-notes"} < {each.name for each in tmp_path.iterdir()}


def test_a_file_that_cannot_be_read_is_damage_and_the_one_before_is_taken(tmp_path, monkeypatch):
    store, digest = saved(tmp_path, 1, 2), module.file_digest

    def fail(path):
        if path.parent.name == folder_name(2):
            raise OSError(errno.EIO, "Input/output error")
        return digest(path)

    monkeypatch.setattr(module, "file_digest", fail)
    checkpoint, damaged = store.newest()
    assert checkpoint.step == 1 and damaged == ["step-000002: weights.safetensors cannot be read: Input/output error"]


def test_the_folder_of_the_parts_is_synced_too(tmp_path, monkeypatch):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a").write_bytes(b"a")
    synced = []
    monkeypatch.setattr(module, "sync_folder", synced.append)
    module._write(tmp_path, {}, {}, lambda: ["parts/a"])
    assert synced == [tmp_path / "parts"]


NONSENSE = ["[]", "{}", '{"format": 1, "files": {"a": "b"}}', '{"format": 1, "files": 3}', "nonsense"]


@pytest.mark.parametrize("text", NONSENSE)
def test_a_manifest_that_says_nonsense_is_damage(tmp_path, text):
    saved(tmp_path, 1)
    (tmp_path / folder_name(1) / "MANIFEST.json").write_text(text)
    assert "MANIFEST.json" in damage(tmp_path / folder_name(1))


def test_a_newer_format_is_refused_by_name(tmp_path):
    store = saved(tmp_path, 1)
    path = tmp_path / folder_name(1) / "MANIFEST.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(TrainingError, match="format 99"):
        store.newest()


HOLD = """
import sys
from pathlib import Path
from prefsmith.train.checkpoint import lock
with lock(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_two_runs_cannot_be_in_one_folder(tmp_path):
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(ConfigError, match=f"process {other.pid}"), lock(tmp_path):
            pass
        other.kill()
    with lock(tmp_path):  # a killed process has freed it, though its file is still there
        pass
    assert not (tmp_path / "LOCK").exists()
