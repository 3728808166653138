"""`prefsmith check` as its user meets it: text at every width, JSON, exit status; the facts are tested elsewhere."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import planted
import pytest
from rich.cells import cell_len
from tiny import save_model, write_rows

from prefsmith.cli import main

HARD = "[bold red]x[/] :smile: \x1b[31m\x07 \u202e שלום 日本語 ⟦forged⟧"
SECTIONS = (
    "Rows", "As the model reads them", "Lengths in tokens", "Changed on the way to tokens", "Begin, end and template",
    "Model", "Work", "Warnings", "Next",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, and rows of which some are bad, long or hard to show."""
    folder = tmp_path_factory.mktemp("check")
    save_model(folder / "MODEL", planted.WORDS)
    write_rows(folder / "pairs.jsonl", planted.pairs(60))
    hard = {"prompt": f"red {HARD}", "chosen": f" {HARD} apple", "rejected": f" berry {HARD} \n"}
    long = {"prompt": "red " * 300, "chosen": " apple", "rejected": " berry"}
    same = {"prompt": "red", "chosen": " apple", "rejected": " apple"}
    write_rows(folder / "mixed.jsonl", [hard, *planted.pairs(30), long, same, same])
    return folder


@pytest.fixture
def check(folder, monkeypatch, capsys):
    """Runs the command in the folder; gives exit status, standard output and standard error."""
    monkeypatch.chdir(folder)

    def check(*words, columns=100):
        monkeypatch.setenv("COLUMNS", str(columns))
        capsys.readouterr()
        status = main(["check", *map(str, words)])
        return status, *capsys.readouterr()

    return check


GOOD = ("--model", "MODEL", "--data", "pairs.jsonl")
MIXED = ("--model", "MODEL", "--data", "mixed.jsonl")


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_every_section_is_there_and_fits(check, columns):
    status, out, err = check(*MIXED, "data.skip_bad=true", columns=columns)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    heads = [line.partition(" (")[0] for line in lines if line and not line.startswith(" ")]
    assert heads == list(SECTIONS)
    command = next(number for number, line in enumerate(lines) if line.startswith("  prefsmith train"))
    assert [line for line in lines[:command] if cell_len(line) > columns] == []
    assert shlex.split("\n".join(lines[command:]).replace("\\\n", "")) == [
        "prefsmith",
        "train",
        *MIXED,
        "data.skip_bad=true",
    ]


def test_text_of_users_is_shown_and_does_nothing(check):
    _, out, _ = check(*MIXED, "data.skip_bad=true", "train.seed=1")
    assert "\x1b" not in out and "\x07" not in out and "\u202e" not in out
    (line,) = [line for line in out.splitlines() if "recognised" in line]
    assert "preference rows (prompt, chosen, rejected)" in line


def test_the_first_example_reads_as_the_model_does(check):
    _, out, _ = check(*GOOD)
    row = planted.pairs(60)[0]
    lines = [line.strip() for line in out.splitlines()]
    assert f"prompt      <s> {row['prompt']}" in lines
    assert f"chosen      ⟦{row['chosen']}</s>⟧".replace("⟦ ", "⟦ ") in [line.replace(" </s>", "</s>") for line in lines]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (GOOD, 0, ["Training would begin."]),
        (MIXED, 3, ["2 rows cannot be used; training stops", "[data.identical]", "mixed.jsonl:33", "exit status 3"]),
        (("--model", "MODEL"), 2, ["[data.none]", "exit status 2", "MODEL, LlamaForCausalLM"]),
        (("--data", "pairs.jsonl"), 2, ["[model.path] no model is named", "60 rows", "55 to train on"]),
        ((*GOOD, "data.max_length=999"), 2, ["[data.max_length]", "fix: at most 128"]),
    ],
    ids=["good", "bad rows", "no data", "no model", "setting"],
)  # fmt: skip
def test_the_exit_status_is_that_of_the_run(check, words, status, says):
    done, out, err = check(*words, columns=160)
    assert (done, err) == (status, "")
    assert [each for each in says if each not in out] == [], out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train.epochs=0",), "[config.value] train.epochs"),
        (("train.epchs=2",), "did you mean 'epochs'?"),
        (("--resume",), "there is nothing to resume"),
        (("nosuch.yaml",), "[config.file]"),
    ],
)
def test_a_mistyped_setting_is_refused_as_by_train(check, words, says):
    status, out, err = check(*words)
    assert (status, out) == (2, "") and says in err


def test_json_is_one_object_and_nothing_else(check):
    status, out, err = check(*MIXED, "--json")
    facts = json.loads(out)
    assert (status, err, out.isascii()) == (3, "", True)
    assert facts["exit_status"] == 3 and facts["problems"][0]["code"] == "data.identical"
    assert facts["refused"][0]["rows"][0]["where"] == "mixed.jsonl:33"
    assert shlex.split(facts["command"]) == ["prefsmith", "train", *MIXED]


def test_messages_with_lines_of_their_own_keep_them(check, folder):
    write_rows(folder / "odd.jsonl", [{"left": "a", "right": "b"}])
    status, out, _ = check("--model", "MODEL", "--data", "odd.jsonl")
    assert status == 3 and "\n    row:   {" in out and "↵" not in out


def test_a_yaml_file_is_taken_as_by_train(check, folder):
    (folder / "run.yaml").write_text("model: {path: MODEL}\ndata: {train: pairs.jsonl}\nloss: {name: ipo, tau: 0.2}\n")
    status, out, _ = check("run.yaml", "loss.tau=0.3")
    assert status == 0 and "ipo (tau 0.3" in out and "prefsmith train run.yaml loss.tau=0.3" in out


def test_help_lists_the_settings_of_train_and_loads_no_torch():
    code = "import sys; from prefsmith.cli import main; main(['check', '--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("False\n")
    assert [key for key in ("data.truncation", "optim.learning_rate", "reference.kind") if key not in done.stdout] == []


def test_a_pipe_without_the_signs_gets_the_page(folder):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1", "COLUMNS": "40"}
    program = Path(sys.executable).with_name("prefsmith")
    done = subprocess.run(
        [program, "check", *MIXED, "data.skip_bad=true"], cwd=folder, capture_output=True, env=environment, timeout=120
    )
    assert done.returncode == 0 and done.stderr == b"" and b"\x1b" not in done.stdout
    assert "[[" in done.stdout.decode("ascii")
    assert not (folder / "runs").exists() and not (folder / "prefsmith-crash.log").exists()
