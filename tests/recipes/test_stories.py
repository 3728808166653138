"""The whole recipe on a tiny model, and what it refuses."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import stories
from tiny import CHATML, save_model, write_rows

from prefsmith.cli import main as prefsmith
from prefsmith.settings import load_settings

RECIPE = Path(stories.__file__)


@pytest.fixture(scope="module")
def openings(tmp_path_factory):
    texts = [f"{name} and {other}" for name in ("lily", "tim", "dog") for other in ("the dog", "the friend", "home")]
    return write_rows(tmp_path_factory.mktemp("openings") / "openings.jsonl", [{"prompt": text} for text in texts])


def arguments(model, openings, out, **others):
    given = {"model": model, "openings": openings, "out": out, "samples": 60, **others}
    return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture(scope="module")
def done(tiny_model, openings, tmp_path_factory):
    """A finished recipe: its folder."""
    out = tmp_path_factory.mktemp("recipe") / "out"
    assert stories.main(arguments(tiny_model, openings, out, learning_rate="1e-2")) == 0
    return out


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_pairs_are_of_one_opening_and_the_rule_agrees_with_them(done):
    from story.rules import upbeat_share

    pairs = rows(done / "pairs.jsonl")
    assert pairs
    for each in pairs:
        assert upbeat_share(each["chosen"]) > upbeat_share(each["rejected"])
    per_opening = [sum(each["prompt"] == prompt for each in pairs) for prompt in {each["prompt"] for each in pairs}]
    assert len(per_opening) <= 3 and max(per_opening) <= 6
    held_out = {each["prompt"] for each in rows(done / "held-out.jsonl")}
    assert held_out and not held_out & {each["prompt"] for each in pairs}


def test_every_story_that_was_measured_is_written_down(done):
    samples = rows(done / "samples.jsonl")
    kinds = [(each["policy"], each["set"]) for each in samples]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        (policy, name): 60 for policy in ("before", "after") for name in ("openings trained on", "unseen openings")
    }
    trained = {each["prompt"] for each in samples if each["set"] == "openings trained on"}
    unseen = {each["prompt"] for each in samples if each["set"] == "unseen openings"}
    assert len(trained) == len(unseen) == 3 and not trained & unseen
    assert {each["kl"] for each in samples if each["policy"] == "before"} == {0.0}
    assert min(each["kl"] for each in samples if each["policy"] == "after") > 0
    fresh = [[each["completion"] for each in samples if (each["policy"], each["set"]) == kind] for kind in set(kinds)]
    assert len({tuple(texts) for texts in fresh}) == 4


def test_stories_are_fresh_where_pairs_were_made_and_share_their_noise_where_not(tiny_model, openings, tmp_path):
    """A policy that has not moved would repeat what it was trained on, if it drew with the same noise."""
    assert stories.main(arguments(tiny_model, openings, tmp_path / "out", learning_rate="1e-12")) == 0
    samples = rows(tmp_path / "out" / "samples.jsonl")

    def texts(policy, name):
        return [each["completion"] for each in samples if (each["policy"], each["set"]) == (policy, name)]

    assert texts("before", "unseen openings") == texts("after", "unseen openings")
    assert texts("before", "openings trained on") != texts("after", "openings trained on")


def test_the_report_shows_the_evidence(done):
    page = (done / "run" / "report.html").read_text()
    evidence = json.loads((done / "run" / "evidence.json").read_text())
    for name in (
        "upbeat words less sad ones",
        "KL to the starting model",
        "known words",
        "log-loss under the starting",
    ):
        assert page.count(name) >= 2
    assert evidence["findings"][0]["what"].split(":")[0] in page
    assert evidence["samples"][0]["prompt"] in page


def test_prefsmith_train_repeats_the_run(done, tmp_path):
    assert prefsmith(["train", str(done / "run" / "run.yaml"), "--out", str(tmp_path / "again")]) == 0
    weights = [folder / "model" / "model.safetensors" for folder in (done / "run", tmp_path / "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_rows_of_the_run_end_as_their_stories_do(done):
    """Every row that was cut is one whose story was: none is taught to end where the drawing stopped."""
    cut = json.loads((done / "run" / "data.json").read_text())["train_encoded"]
    texts = {(each["prompt"], each["completion"]): each["ended"] for each in rows(done / "samples.jsonl")}
    pairs = rows(done / "pairs.jsonl")
    with_cut = sum(not all(texts[each["prompt"], each[side]] for side in ("chosen", "rejected")) for each in pairs)
    assert cut["with an answer cut"] == with_cut > 0


def refused(capsys, words, status, code):
    capsys.readouterr()
    found = stories.main([str(word) for word in words])
    message = capsys.readouterr().err
    assert (found, message.splitlines()[0].split("]")[0]) == (status, f"[{code}"), message
    assert "Traceback" not in message
    return message


def test_a_model_that_is_not_there_is_refused_and_nothing_is_left_behind(capsys, openings, tmp_path):
    refused(capsys, arguments(tmp_path / "none", openings, tmp_path / "out"), 2, "model.path")
    assert not (tmp_path / "out").exists()


def test_an_adapter_is_refused_before_anything_is_sampled(capsys, tiny_model, openings, tmp_path):
    data = write_rows(tmp_path / "rows.jsonl", [{"prompt": "lily", "chosen": " ran", "rejected": " cried"}])
    places = ["--model", str(tiny_model), "--data", str(data), "--out", str(tmp_path / "lora")]
    settings = ["adapter.kind=lora", "data.eval_fraction=0", "evaluate.samples=0"]
    assert prefsmith(["train", *places, *settings]) == 0
    message = refused(capsys, arguments(tmp_path / "lora", openings, tmp_path / "out"), 2, "model.path")
    assert "this is an adapter" in message and not (tmp_path / "out").exists()


def test_a_chat_template_is_told_of_and_not_used(capsys, tiny_model, openings, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "chat")
    (tmp_path / "chat" / "chat_template.jinja").write_text(CHATML)
    assert stories.main(arguments(tmp_path / "chat", openings, tmp_path / "out")) == 0
    assert "has a chat template, which stories do not use" in capsys.readouterr().out
    assert load_settings(tmp_path / "out" / "run" / "run.yaml").data.template == "plain"


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"beta": "much"}, "loss.value", "beta"),
        ({"beta": "-1"}, "loss.value", "beta"),
        ({"learning_rate": "5"}, "config.value", "--learning-rate"),
        ({"learning_rate": "fast"}, "config.value", "--learning-rate"),
        ({"seed": "-1"}, "config.value", "--seed"),
        ({"samples": "5"}, "config.value", "at least --samples 6"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sampled(
    capsys, tiny_model, openings, tmp_path, changes, code, words
):
    message = refused(capsys, arguments(tiny_model, openings, tmp_path / "out", **changes), 2, code)
    assert words in message
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_taken_is_refused(capsys, tiny_model, openings, done):
    refused(capsys, arguments(tiny_model, openings, done), 2, "run.exists")


def test_openings_that_are_not_there_are_refused(capsys, tiny_model, tmp_path):
    refused(capsys, arguments(tiny_model, tmp_path / "none.jsonl", tmp_path / "out"), 3, "data.file")


def test_a_model_whose_stories_the_rule_cannot_tell_apart_is_refused(capsys, openings, tmp_path):
    """Such as one that writes another language, or nothing that is in the rule's lists."""
    model = save_model(tmp_path / "mute", ("lily", "tim", "and", "the", "home"), max_position_embeddings=24)
    message = refused(capsys, arguments(model, openings, tmp_path / "out"), 3, "data.no_rows")
    assert "tells no two stories" in message


def test_the_recipes_own_openings_are_used_where_none_are_given(tmp_path, capsys):
    """They are longer than what this model takes."""
    model = save_model(tmp_path / "short", ("lily", "tim"), max_position_embeddings=12)
    message = refused(capsys, ["--model", model, "--out", tmp_path / "out"], 3, "data.too_long")
    assert "opening:" in message


def test_help_answers_without_torch():
    code = (
        "import sys, runpy; sys.argv = ['stories.py', '--help']\n"
        f"try: runpy.run_path({str(RECIPE)!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformers', 'datasets', 'matplotlib'} & set(sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert re.findall(r"^  (--[a-z-]+)", found.stdout, re.M) == [
        "--model", "--out", "--rule", "--seed", "--learning-rate", "--beta", "--openings", "--samples",
    ]  # fmt: skip


def test_it_runs_as_a_program(tmp_path):
    found = subprocess.run(
        [sys.executable, str(RECIPE), "--model", str(tmp_path / "none")], capture_output=True, text=True, check=False
    )
    assert found.returncode == 2 and found.stderr.startswith("[model.path]") and "Traceback" not in found.stderr
