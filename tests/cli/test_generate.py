"""`prefsmith generate`: what it prints and writes, for models, adapters, runs and references."""

import json

import pytest
from planted import WORDS, config_for, pairs, train
from tiny import save_model, write_rows

from prefsmith.cli import main
from prefsmith.data.prompts import read_prompts

SHORT = {"pairs_per_step": 16, "max_steps": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, a run, and a run of an adapter."""
    folder = tmp_path_factory.mktemp("generate")
    save_model(folder / "MODEL", WORDS)
    for name, sections in (("full", {}), ("lora", {"adapter": {"kind": "lora"}})):
        (folder / name).mkdir()
        model = {"path": str(folder / "MODEL")}
        data = write_rows(folder / name / "rows.jsonl", pairs(60))
        train(
            config_for(folder / name, pairs(60), model=model, data={"train": str(data)}, train=SHORT,
                       evaluate={"samples": 0}, optim={"learning_rate": 0.05, "warmup_steps": 0}, **sections)
        )  # fmt: skip
    return folder


def generated(capsys, *words):
    status = main(["generate", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def rows(capsys, *words):
    status, out, err = generated(capsys, *words, "--json")
    assert status == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_prompts_are_answered_and_shown(folder, capsys):
    status, out, _ = generated(
        capsys, "--model", folder / "MODEL", "--prompt", "red w0", "--prompt", "blue", "--samples", 2,
        "--max-new-tokens", 4,
    )  # fmt: skip
    assert status == 0
    assert [line for line in out.splitlines() if line.startswith("> ")] == ["> red w0", "> blue"]
    assert sum(line.startswith("  |") for line in out.splitlines()) == 4
    assert "[cut after 4 tokens]" in out


def test_json_has_a_row_per_answer_and_the_seed_decides(folder, capsys):
    words = ("--model", folder / "MODEL", "--prompt", "red", "--samples", 3, "--max-new-tokens", 6)
    first = rows(capsys, *words)
    assert [row["number"] for row in first] == [0, 1, 2]
    assert first[0].keys() == {"prompt", "number", "completion", "tokens", "ended"}
    assert rows(capsys, *words, "--batch", 1) == first != rows(capsys, *words, "--seed", 1)


@pytest.mark.parametrize("name", ["full", "lora"])
def test_a_run_is_shown_beside_what_it_started_from(folder, capsys, name):
    prompts = ("--data", folder / "full" / "rows.jsonl", "--limit", 6, "--max-new-tokens", 5)
    beside = rows(capsys, "--model", folder / name / "run", "--reference", "auto", *prompts)
    alone = rows(capsys, "--model", folder / "MODEL", *prompts)
    assert len(beside) == 6
    assert [row["reference_completion"] for row in beside] == [row["completion"] for row in alone]
    assert any(row["completion"] != row["reference_completion"] for row in beside)


def test_an_adapters_folder_is_taken_too(folder, capsys):
    words = ("--prompt", "red w1", "--max-new-tokens", 6, "--samples", 5)
    whole = rows(capsys, "--model", folder / "lora" / "run", *words)
    assert rows(capsys, "--model", folder / "lora" / "run" / "model", *words) == whole
    beside = rows(capsys, "--model", folder / "lora" / "run" / "model", "--reference", "auto", *words)
    assert [row["completion"] for row in beside] == [row["completion"] for row in whole]


def test_answers_go_to_a_file_that_is_not_there_yet(folder, capsys, tmp_path):
    words = ("--model", folder / "MODEL", "--prompt", "red", "--max-new-tokens", 3, "--out", tmp_path / "a.jsonl")
    assert generated(capsys, *words, "--dry-run") == (0, f"would write 1 answers to 1 prompts to {words[-1]}\n", "")
    assert not words[-1].exists()
    assert generated(capsys, *words)[0] == 0
    before = words[-1].read_bytes()
    assert json.loads(before)["prompt"] == "red"
    status, _, err = generated(capsys, *words)
    assert status == 2 and "[generate.out]" in err and words[-1].read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--prompt", "a", "--model", "nowhere/at/all"), "model.path"),
        (("--model", "MODEL"), "generate.prompt"),
        (("--model", "MODEL", "--prompt", "a", "--temperature", "-1"), "generate.value"),
        (("--model", "MODEL", "--prompt", "a", "--samples", "0"), "generate.value"),
        (("--model", "MODEL", "--prompt", "a", "--reference", "auto"), "generate.reference"),
        (("--model", "full", "--data", "none.jsonl"), "data.file"),
        (("--model", "unfinished", "--prompt", "a"), "model.unfinished"),
        (("--prompt", "a"), "cli.usage"),
    ],
)
def test_what_is_wrong_is_said(folder, capsys, monkeypatch, words, code):
    monkeypatch.chdir(folder)
    (folder / "unfinished").mkdir(exist_ok=True)
    (folder / "unfinished" / "run.yaml").write_text("version: 1\n")
    status, out, err = generated(capsys, *words)
    assert (status, out) == (3 if code.startswith("data") else 2, "")
    assert f"[{code}]" in err and "Traceback" not in err


def test_an_adapter_that_names_no_base_is_refused(folder, capsys, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    status, _, err = generated(capsys, "--model", tmp_path, "--prompt", "a")
    assert status == 2 and "[model.adapter]" in err


def test_control_characters_in_answers_and_prompts_are_shown_as_text(folder, capsys):
    _, out, _ = generated(capsys, "--model", folder / "MODEL", "--prompt", "red \x1b[31m w0", "--max-new-tokens", 2)
    assert "\x1b" not in out


def test_files_with_prompts_alone_are_read(tmp_path):
    chat = [{"role": "user", "content": "hello"}]
    path = write_rows(tmp_path / "p.jsonl", [{"prompt": "a"}, {"prompt": "b"}, {"prompt": "a"}, {"prompt": chat}])
    assert [group.prompt for group in read_prompts(path)][:2] == ["a", "b"]
    assert read_prompts(path)[2].prompt[0].content == "hello"
    assert len(read_prompts(path, limit=1)) == 1
    both = write_rows(tmp_path / "both.jsonl", pairs(10))
    assert read_prompts(both)[0].prompt == pairs(1)[0]["prompt"] and read_prompts(both)[0].completions == ()
