"""The command line: what is refused, with which exit status and in which words, and what a run leaves."""

import json
import shutil
import subprocess
import sys
from importlib import import_module

import planted
import pytest
from tiny import save_model, write_rows

from prefsmith.cli import main
from prefsmith.cli.terminal import printable
from prefsmith.config import LossConfig, RunConfig, Section

WORDS = ["what", "is", "good", "bad", *map(str, range(12))]
ROWS = [{"prompt": f"what is {row}", "chosen": " good", "rejected": " bad"} for row in range(12)]
ESCAPE = "\x1b]0;owned\x07\x1b[31m"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"), WORDS)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder as the working folder, with a preference file in it."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "pairs.jsonl", ROWS)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Runs a command; gives exit status, standard output and standard error."""

    def run(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        return status, *capsys.readouterr()

    return run


def refused(result, status, *words):
    assert result[0] == status, result
    assert [word for word in words if word not in result[2]] == [], result[2]
    assert "Traceback" not in result[2] and "[bug]" not in result[2]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trian"], ["[cli.usage]", "trian", "train"]),
        (["train", "--modle", "m"], ["[config.argument] there is no option --modle", "did you mean '--model'?"]),
        (["train", "--modle=m"], ["[config.argument] there is no option --modle", "did you mean '--model'?"]),
        (["train", "--model"], ["[config.argument] --model", "needs a value"]),
        (["train", "--model", "--data", "pairs.jsonl"], ["[config.argument] --model", "needs a value"]),
        (["train", "a.yaml", "b.yaml"], ["'b.yaml' is neither", "the file is a.yaml"]),
        (["train", "-x"], ["'-x' is neither an option nor a setting", "train.epochs=2"]),
        (["train", "--model", "m", "model.path=n"], ["[config.twice]", "--model and model.path=n"]),
        (["train", "--data", "d", "--data.train", "e"], ["[config.twice]", "--data and --data.train"]),
        (["train", "train.seed=1", "train.seed=2"], ["[config.twice]", "train.seed=1 and train.seed=2"]),
        (["train", "train.epchs=2"], ["no setting train.epchs", "where: train.epchs=2", "did you mean 'epochs'?"]),
        (["train", "--optm.schedule", "linear"], ["no setting optm", "--optm.schedule", "'optim'"]),
        (["train", "train.seed=2", "train.seed.x=1"], ["[config.twice]", "about the same setting"]),
        (["train", "train.epochs=0"], ["[config.value] train.epochs", "'0'", "where: train.epochs=0"]),
        (["train", "train.epochs=true"], ["[config.value] train.epochs", "'true'"]),
        (["train", "train.epochs=1.5"], ["[config.value] train.epochs"]),
        (["train", "optim.learning_rate=nan"], ["[config.value] optim.learning_rate"]),
        (["train", "optim.schedule=step"], ["[config.value] optim.schedule", "cosine"]),
        (["train", "data.eval_fraction=1"], ["[config.value] data.eval_fraction", "less than 1"]),
        (["train", "loss.weight=0"], ["[config.value] loss.weight"]),
        (["train", "loss=[]"], ["[config.value] loss", "empty list"]),
        (["train", "loss=dop"], ["[loss.unknown] no loss is called 'dop'", "did you mean 'dpop' or 'dpo'?"]),
        (["train", "loss.bta=1"], ["[loss.setting] dpo has no setting bta", "loss.bta", "did you mean 'beta'?"]),
        (["train", "--loss.beta", "-1"], ["[loss.value] '-1' is not a number in (0, inf)", "where: loss.beta"]),
        (["train", "loss.beta=much"], ["[loss.value] 'much' is not a number"]),
        (["train", "reference.kind=none"], ["[reference.none] dpo compares"]),
        (["train", "reference.kind=adapter_off"], ["adapter.kind is none"]),
        (["train", "--model", "m"], ["[data.none]", "--data"]),
        (["train", "nosuch.yaml"], ["[config.file]", "nosuch.yaml", "No such file"]),
    ],
    ids=lambda words: " ".join(words) if words[0] in ("train", "trian") else "",
)
def test_a_wrong_setting_is_refused(here, run, words, says):
    refused(run(*words), 2, *says)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("train:\n  epochs: 1\n  epchs: 2\n", 3, ["no setting train.epchs", "did you mean 'epochs'?"]),
        ("train:\n  epochs: 1\n\n  epochs: 2\n", 4, ["train.epochs is given twice"]),
        ("train: {seed: 1}\nmodel: {}\ntrain: {}\n", 3, ["train is given twice"]),
        ("modle:\n  path: m\n", 1, ["no setting modle", "did you mean 'model'?"]),
        ("model:\n  path: m\ntrain:\n  epochs: true\n", 3, ["train: epochs is true"]),
        ("optim:\n  learning_rate: 2\n", 2, ["optim.learning_rate", "less than 1, not 2"]),
        ("loss:\n- name: dpo\n- weight: -1\n", 3, ["loss.1.weight", "greater than 0"]),
        ("- a\n", 1, ["not a mapping"]),
        ("train:\n  seed: [1\n", 3, ["not YAML"]),
    ],
    ids=["key", "twice", "section twice", "section", "boolean", "range", "list", "no mapping", "no yaml"],
)
def test_a_wrong_file_is_refused_with_its_line(here, run, text, line, says):
    (here / "run.yaml").write_text(text, encoding="utf-8")
    refused(run("train", "run.yaml"), 2, f"where: run.yaml:{line}", *says)


def test_a_value_from_the_command_line_is_not_blamed_on_the_file(here, run):
    (here / "run.yaml").write_text("train: {epochs: 1}\n", encoding="utf-8")
    refused(run("train", "run.yaml", "--train.epochs", "0"), 2, "where: --train.epochs")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, ["[data.file]", "where: bad.jsonl"]),
        ("{", ["[data.json]", "where: bad.jsonl:1"]),
        ("", ["[data.no_rows]", "where: bad.jsonl"]),
        ('\n{"prompt": "q", "chosen": "a", "rejected": "a"}\n{', ["[data.identical]", "where: bad.jsonl:2"]),
        ('{"prompt": "q", "chosn": "a", "rejected": "b"}', ["[data.column]", "bad.jsonl:1", "data.columns.chosen="]),
        ('{"prompt": "q", "completion": "a", "label": true}', ["[data.no_pairs]", "bad.jsonl:1", "loss.name=kto"]),
    ],
    ids=["missing", "json", "empty", "first bad row", "columns", "ratings for a pairwise loss"],
)
def test_wrong_data_is_refused_with_its_line(here, run, model, content, says):
    if content is not None:
        (here / "bad.jsonl").write_text(content, encoding="utf-8")
    result = run("train", "--model", model, "--data", "bad.jsonl", "data.eval_fraction=0")
    refused(result, 3, *says, "fix:")


def without_tokenizer(folder):
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)


def with_pickles(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def without_config(folder):
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (without_tokenizer, ["[model.tokenizer] the folder has no tokenizer"]),
        (with_pickles, ["[model.weights] the weights are pickles (pytorch_model.bin)", "safetensors"]),
        (without_weights, ["[model.weights] the folder has no weights"]),
        (without_config, ["[model.path] the folder has no config.json"]),
        (shutil.rmtree, ["[model.path] there is no such folder"]),
    ],
)
def test_a_model_folder_that_cannot_be_used_is_refused(here, run, model, damage, says):
    damage(shutil.copytree(model, here / "broken"))
    refused(run("train", "--model", here / "broken", "--data", "pairs.jsonl"), 2, *says, str(here / "broken"))


def test_no_model_is_refused(here, run):
    refused(run("train", "--data", "pairs.jsonl"), 2, "[model.path] no model is named", "--model")


SHORT = ("train.pairs_per_step=4", "train.max_steps=2", "optim.warmup_steps=0", "--out", "runs/first")


def test_a_run_leaves_its_folder_and_is_not_written_over(here, run, model):
    words = ("train", "--model", model, "--data", "pairs.jsonl", *SHORT)
    status, out, err = run(*words)
    assert (status, err) == (0, "") and "12 rows; preference rows (prompt, chosen, rejected)" in out
    folder = here / "runs/first"
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [row["step"] for row in steps if "split" not in row or row["split"] == "train"] == [1, 2]
    assert (folder / "model/model.safetensors").is_file() and (folder / "model/tokenizer.json").is_file()
    assert not (folder / "LOCK").exists()

    before = {each: each.stat().st_mtime_ns for each in folder.rglob("*")}
    refused(run(*words), 2, "[run.exists] the folder holds a run", "--resume")
    assert {each: each.stat().st_mtime_ns for each in folder.rglob("*")} == before


def test_skipped_rows_are_counted_and_written_down(here, run, model):
    bad = [
        {"prompt": "what", "chosen": " bad", "rejected": " bad"},
        {"prompt": "what", "chosen": 1, "rejected": " bad"},
    ]
    write_rows(here / "pairs.jsonl", [*ROWS, *bad])
    with (here / "pairs.jsonl").open("a") as file:
        file.write("{\n")
    status, out, _ = run("train", "--model", model, "--data", "pairs.jsonl", "data.skip_bad=true", *SHORT)
    assert status == 0 and "15 rows" in out and "3 rows cannot be used" in out
    record = json.loads((here / "runs/first/data.json").read_text("utf-8"))["train"]
    assert (record["rows"], record["groups"], record["rejected"]) == (15, 12, 3)
    rejected = [json.loads(line) for line in (here / "runs/first/rejected.jsonl").read_text("utf-8").splitlines()]
    assert [row["where"] for row in rejected] == [f"pairs.jsonl:{line}" for line in (13, 14, 15)]


def test_a_folder_is_free_again_after_a_start_that_failed(here, run, model):
    """A mistyped path must not cost the name of the run."""
    refused(run("train", "--model", "/no/such/model", "--data", "pairs.jsonl", *SHORT), 2, "[model.path]")
    status, _, err = run("train", "--model", model, "--data", "pairs.jsonl", *SHORT)
    assert (status, err) == (0, "")


@pytest.mark.parametrize("kind", ["file", "folder with something in it"])
def test_a_folder_that_is_not_ours_is_refused(here, run, model, kind):
    out = here / "precious"
    out.write_text("x") if kind == "file" else (out / "checkpoints").mkdir(parents=True)
    if out.is_dir():
        (out / "checkpoints" / "thesis.txt").write_text("x")
    refused(run("train", "--model", model, "--data", "pairs.jsonl", "--out", out), 2, "precious", "--out")


def test_users_text_cannot_steer_the_terminal_through_an_error(here, run, model):
    write_rows(here / "pairs.jsonl", [{"prompt": "q", ESCAPE: "a"}])
    result = run("train", "--model", model, "--data", "pairs.jsonl")
    refused(result, 3, "[data.column]", "owned")
    assert "\x1b" not in result[2] and "\x07" not in result[2]


def test_users_text_cannot_steer_the_terminal_through_the_log(here, run, model):
    write_rows(here / "pairs.jsonl", [{**row, ESCAPE: "a"} for row in ROWS])
    status, out, _ = run("train", "--model", model, "--data", "pairs.jsonl", *SHORT)
    assert status == 0 and "owned" in out and "\x1b" not in out and "\x07" not in out


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\ufffd[31mb"),
        ("a\rb", "a\ufffdb"),
        ("a\x9bb", "a\ufffdb"),
        ("a\u202eb", "a\ufffdb"),
        ("a\nb", "a\nb"),
        ("größer 数", "größer 数"),
    ],
    ids=["escape", "carriage return", "c1", "right to left", "line end", "letters"],
)
def test_printable(text, shown):
    assert printable(text) == shown


def test_a_bug_of_ours_is_one_line_and_a_log(here, run, monkeypatch):
    def broken(*words, **options):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(import_module("prefsmith.cli.train"), "parse_settings", broken)
    status, _, err = run("train")
    assert status == 1 and err.startswith("[bug] ZeroDivisionError: oops") and "Traceback" not in err
    assert "ZeroDivisionError" in (here / "prefsmith-crash.log").read_text("utf-8")


def test_ctrl_c_is_130(here, run, monkeypatch):
    def interrupted(*words, **options):
        raise KeyboardInterrupt

    for command in ("train", "check"):
        monkeypatch.setattr(import_module(f"prefsmith.cli.{command}"), "parse_settings", interrupted)
    status, _, err = run("train")
    assert status == 130 and "--resume goes on" in err
    status, _, err = run("check")
    assert status == 130 and "--resume" not in err, "there is nothing to go on with"


@pytest.mark.parametrize("words", [["--help"], []], ids=["asked", "bare"])
def test_help_lists_the_commands(run, words):
    status, out, err = run(*words)
    assert (status, err) == (0, "") and "train" in out


def settings():
    sections = {name: field.annotation for name, field in RunConfig.model_fields.items()}
    known = {name: kind for name, kind in sections.items() if isinstance(kind, type) and issubclass(kind, Section)}
    return [f"{name}.{key}" for name, kind in {**known, "loss": LossConfig}.items() for key in kind.model_fields]


def test_help_of_train_names_and_explains_every_setting(run):
    status, out, err = run("train", "--help")
    assert (status, err) == (0, "") and len(settings()) > 30
    lines = out.splitlines()
    assert [key for key in settings() if not any(key in line.split() for line in lines)] == []
    assert "--resume" in out and "Exit status" in out


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["train", "train.epochs=0"]])
def test_help_and_wrong_settings_answer_without_torch(here, words):
    """`prefsmith --help` must not take the seconds that importing torch takes."""
    heavy = "{'torch', 'transformers', 'peft', 'numpy'}"
    code = f"import sys; from prefsmith.cli import main; main({words!r}); print('heavy:', {heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("heavy: set()\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: &t {epochs: 1, self: *t}\n", ["[config.yaml] anchors and aliases", ":1"]),
        ("a: " + "[" * 3000 + "]" * 3000 + "\n", ["[config.yaml]", "nested too deeply"]),
    ],
    ids=["alias", "nested"],
)
def test_settings_that_would_grow_or_sink_are_refused(tmp_path, capsys, text, words):
    (tmp_path / "run.yaml").write_text(text)
    assert main(["train", str(tmp_path / "run.yaml")]) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error


def test_there_must_be_a_run_to_go_on_with(tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "typo"), "--resume"]) == 2
    assert "[run.folder] there is no run to go on with" in capsys.readouterr().err


def test_settings_of_an_adapter_that_is_not_there_are_refused(capsys):
    assert main(["train", "--model", "m", "--data", "d", "adapter.rank=4"]) == 2
    assert "adapter.rank is set, but adapter.kind is none" in capsys.readouterr().err


def test_a_reader_who_goes_away_does_not_stop_the_training(tmp_path):
    save_model(tmp_path / "base", planted.WORDS)
    write_rows(tmp_path / "rows.jsonl", planted.pairs(60))
    train = f"{sys.executable} -m prefsmith train --model base --data rows.jsonl --out run train.pairs_per_step=8"
    words = ["bash", "-o", "pipefail", "-c", f"{train} | head -n 1"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model" / "config.json").is_file() and not done.stderr
