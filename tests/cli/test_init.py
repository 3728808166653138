"""`prefsmith init`: a file to start from, which is never written over another one."""

import os
from typing import get_args, get_type_hints

import planted
import pytest
from tiny import save_model, write_rows

from prefsmith.cli import main
from prefsmith.cli.init import init
from prefsmith.losses.pages import page
from prefsmith.settings import load_settings
from prefsmith.starter import TASKS, write_starter

DATA = {"dpo": planted.pairs, "kto": planted.ratings, "sft": planted.examples, "lora": planted.pairs}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty folder; gives exit status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        capsys.readouterr()
        status = main(list(words))
        return status, *capsys.readouterr()

    return run


def test_the_tasks_offered_are_those_that_there_are():
    assert get_args(get_type_hints(init)["task"]) == tuple(TASKS)


@pytest.mark.parametrize("words", [[], ["kto"]])
def test_without_a_name_the_file_goes_to_standard_output_and_nothing_is_written(tmp_path, run, words):
    task = TASKS[words[0] if words else "dpo"]
    status, out, err = run("init", *words)
    assert (status, err, list(tmp_path.iterdir())) == (0, "", [])
    assert out == write_starter(task, page(task.loss).settings)


@pytest.mark.parametrize("task", TASKS)
def test_what_it_writes_trains_once_model_and_data_are_filled_in(tmp_path, run, task):
    save_model(tmp_path / "MODEL", planted.WORDS)
    write_rows(tmp_path / "rows.jsonl", DATA[task](40))
    status, out, _ = run("init", task, "--out", "my run.yaml")
    assert status == 0 and "prefsmith train 'my run.yaml'" in out
    path = tmp_path / "my run.yaml"
    filled = path.read_text().replace("path: ''  #", "path: MODEL  #").replace("train: ''  #", "train: rows.jsonl  #")
    path.write_text(filled)
    status, out, err = run("train", "my run.yaml")
    assert (status, err) == (0, "") and load_settings(path).losses[0].name in out
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "model" / ("adapter_model" if task == "lora" else "model")).with_suffix(".safetensors").is_file()


def test_a_file_that_is_not_filled_in_says_what_is_missing(run):
    run("init", "--out", "run.yaml")
    status, _, err = run("train", "run.yaml")
    assert status == 2 and "[model.path] no model is named" in err


def occupied(place):
    place.write_text("precious")


def linked(place):
    place.symlink_to("nowhere")


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry"])
@pytest.mark.parametrize("occupy", [occupied, linked, os.mkdir], ids=["file", "dangling link", "folder"])
def test_nothing_is_written_over(tmp_path, run, occupy, dry):
    place = tmp_path / "run.yaml"
    occupy(place)
    before = place.lstat().st_mtime_ns
    status, out, err = run("init", "--out", "run.yaml", *dry)
    assert (status, out) == (2, "") and "[init.exists]" in err and "where: run.yaml" in err and "--out" in err
    assert place.lstat().st_mtime_ns == before and not (tmp_path / "nowhere").exists()


def test_a_dry_run_writes_nothing_and_says_what_would_be(tmp_path, run):
    status, out, _ = run("init", "lora", "--out", "run.yaml", "--dry-run")
    lines = len(run("init", "lora")[1].splitlines())
    assert (status, out, list(tmp_path.iterdir())) == (0, f"would write run.yaml: {lines} lines\n", [])


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry"])
def test_a_folder_that_is_not_there_is_told(run, dry):
    status, _, err = run("init", "--out", "nosuch/run.yaml", *dry)
    assert status == 2 and "[init.write]" in err and "there is no such folder" in err and "nosuch/run.yaml" in err


def test_half_a_file_does_not_stay(tmp_path, run, monkeypatch):
    """A full disk may show when the buffer is flushed."""
    real = type(tmp_path).open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, text):
            self.file.write(text[:9])

        def flush(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "open", lambda path, *words, **named: Full(real(path, *words, **named)))
    status, _, err = run("init", "--out", "run.yaml")
    assert status == 2 and "[init.write] the file cannot be written: No space left" in err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_task_is_refused_with_those_that_there_are(run):
    status, _, err = run("init", "ppo")
    assert status == 2 and all(task in err for task in TASKS)
