"""The demo in small: what it writes, that a seed repeats it, and what it refuses."""

import json

import pytest

from prefsmith.data.groups import read_groups
from prefsmith.errors import ConfigError, TrainingError
from prefsmith.methods import demo as module
from prefsmith.methods.demo import demo, summary
from prefsmith.methods.experiment import world
from prefsmith.settings import load_settings


@pytest.fixture
def small(monkeypatch):
    """A demo of seconds: too small to show anything but that every part is there."""
    for name, value in {"REVIEWS": 400, "JUDGED_PROMPTS": 6, "MEASURED": 5, "FRONTIER": 40}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "SFT_STEPS", 30)
    monkeypatch.setattr(module, "DPO_STEPS", 6)


def quiet(line):
    pass


def test_every_part_is_there_and_the_report_shows_it(small, tmp_path):
    lines = []
    found = demo(tmp_path / "demo", say=lines.append, watch=lambda row, steps: None)
    assert [line[:3] for line in lines if line[1:3] == "/5"] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert found.folder == tmp_path / "demo" / "dpo"
    assert found.before.kl.value == 0.0 < found.after.kl.value
    assert found.after.reward.n == 12 * 5 == len(found.after.answers)
    evidence = json.loads((found.folder / "evidence.json").read_text())
    assert [point["name"] for point in evidence["frontier"]["points"]] == ["before", "after DPO"]
    assert evidence["frontier"]["points"][1]["kl"] == found.after.kl.value
    assert evidence["frontier"]["best"][0][0] == 0.0
    page = (found.folder / "report.html").read_text()
    assert "true reward" in page and "unreadable" not in page
    table = "\n".join(summary(found))
    assert f"{found.after.reward.value:+.2f}" in table and f"{found.best.reward:+.2f}" in table


def test_its_data_train_again_from_the_command_line(small, tmp_path):
    demo(tmp_path / "demo", say=quiet, watch=lambda row, steps: None)
    reading = read_groups(tmp_path / "demo" / "pairs.jsonl")
    assert len(reading.groups) == reading.rows > 200
    stored = load_settings(tmp_path / "demo" / "dpo" / "run.yaml")
    assert stored.data.train == str(tmp_path / "demo" / "pairs.jsonl")
    assert stored.model.path == str(tmp_path / "demo" / "sft" / "model")


def test_a_seed_gives_the_same_numbers_and_another_one_others(small, tmp_path):
    one, again, other = (
        demo(tmp_path / name, seed=seed, say=quiet, watch=lambda row, steps: None)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert (one.before.rewards, one.after.rewards, one.after.kl) == (
        again.before.rewards, again.after.rewards, again.after.kl,
    )  # fmt: skip
    assert one.after.rewards != other.after.rewards


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="not empty") as caught:
        demo(tmp_path)
    assert caught.value.code == "run.exists" and (tmp_path / "file").read_text() == "mine"
    with pytest.raises(ConfigError, match="not empty"):
        demo(tmp_path / "file")


def test_the_next_free_folder_is_taken(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    assert str(demo(None, say=quiet, watch=lambda row, steps: None).folder) == "runs/demo-2/dpo"


def test_a_full_disk_is_told(small, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(world, "write_durably", full)
    with pytest.raises(TrainingError, match="No space left") as caught:
        demo(tmp_path / "demo", say=quiet)
    assert caught.value.code == "run.write" and caught.value.where.endswith("reviews.jsonl")
