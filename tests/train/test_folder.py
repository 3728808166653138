"""Whose a run's folder is."""

import pytest

from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError
from prefsmith.settings import parse_settings
from prefsmith.train.folder import refuse_taken


def test_what_a_start_that_failed_left_behind_does_not_take_the_folder(tmp_path):
    for name in ("crash.log", "crash-1.log", "LOCK", ".run.yaml-abc"):
        (tmp_path / name).write_text("x")
    (tmp_path / "checkpoints").mkdir()
    refuse_taken(tmp_path, RunConfig(), resume=False)


@pytest.mark.parametrize("name", ["notes.txt", "checkpoints/step-000001", "my-crash.log"])
def test_a_folder_with_anything_else_is_taken(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("x")
    with pytest.raises(ConfigError, match="not empty"):
        refuse_taken(tmp_path, RunConfig(), resume=False)


def test_a_tilde_is_the_user_s_folder(tmp_path, monkeypatch):
    """A shell does not expand one in a file; a folder called `~` invites to remove the wrong one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunConfig(out="~/runs/one").out == str(tmp_path / "runs/one") and RunConfig(out="a~b").out == "a~b"
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/run.yaml").write_text("loss: {beta: 0.7}\n")
    assert parse_settings(["out=~/kept"], resume=True).losses[0].settings["beta"] == 0.7
