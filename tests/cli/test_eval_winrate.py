"""`prefsmith eval winrate`: what it prints and writes, and what it refuses."""

import json

import pytest
from planted import WORDS
from tiny import save_model, write_rows

from prefsmith.cli import main

PROMPTS = [f"red w{number}" for number in range(8)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Answers of two sides: ours are longer on six prompts of eight."""
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": prompt, "completion": "apple " * (2 + number % 4)} for number, prompt in enumerate(PROMPTS)]
    write_rows(tmp_path / "ours.jsonl", rows)
    write_rows(tmp_path / "theirs.jsonl", [{"prompt": prompt, "completion": "berry berry b"} for prompt in PROMPTS])
    return tmp_path


def called(capsys, *words):
    status = main(["eval", "winrate", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


FILES = ("ours=ours.jsonl", "--against", "theirs=theirs.jsonl")


def test_the_table_the_warning_and_the_page(folder, capsys):
    status, out, err = called(capsys, *FILES, "--judge", "longer")
    assert status == 0, err
    assert "win rate against theirs" in out
    (row,) = (line for line in out.splitlines() if line.strip().startswith("ours"))
    assert row.split()[1] == "file" and "0.750 [0.409, 0.929]" in row and "6/0/2" in row
    assert "warning: only 8 prompts" in out
    assert (folder / "eval" / "winrate-ours" / "report.html").is_file()
    assert "8 pairs to judge" in err


def test_json_is_the_evidence_and_a_second_call_gives_the_same(folder, capsys):
    status, out, _ = called(capsys, *FILES, "--judge", "longer", "--json")
    stored = (folder / "eval" / "winrate-ours" / "evidence.json").read_text()
    assert status == 0 and json.loads(out) == json.loads(stored)
    evidence = json.loads(stored)
    assert evidence["standings"][0]["wins"] == 6 and evidence["judge"]["name"] == "longer"
    status, again, err = called(capsys, *FILES, "--judge", "longer", "--json")
    assert (status, again, err) == (0, out, "")


def test_models_over_temperatures_with_a_reward_of_the_users(folder, capsys):
    for name, seed in (("a", 1), ("b", 2)):
        save_model(folder / name, WORDS, seed=seed, std=0.5)
    (folder / "reward.py").write_text("def apples(prompt, answer):\n    return answer.count('apple')\n")
    words = ("a", "--against", "b", "--data", "ours.jsonl", "--judge", "reward.py:apples", "--max-new-tokens", 5)
    status, out, err = called(capsys, *words, "--temperatures", "0,1", "--out", "out")
    assert status == 0, err
    rows = [line.split()[1] for line in out.splitlines() if line.strip().startswith("a ")]
    assert rows == ["0", "1"]
    assert "a at temperature 0: 8 prompts to answer" in err and "b at temperature 1: 8 prompts to answer" in err


def test_a_judge_from_a_file_of_settings(folder, capsys):
    (folder / "judge.yaml").write_text("judge: {kind: rule, rule: contains, pattern: apple}\n")
    status, out, _ = called(capsys, *FILES, "--judge", "judge.yaml")
    assert status == 0 and "8/0/0" in out
    (folder / "judge.yaml").write_text("loss: {name: dpo}\n")
    status, _, err = called(capsys, *FILES, "--judge", "judge.yaml", "--out", "other")
    assert status == 2 and "no section `judge`" in err


def test_votes_of_people(folder, capsys):
    votes = [
        {
            "prompt": prompt, "completions": [ours["completion"], "berry berry b"],
            "votes": [{"left": 0, "right": 1, "verdict": "right", "annotator": "ann"}],
        }
        for prompt, ours in zip(PROMPTS, map(json.loads, (folder / "ours.jsonl").read_text().splitlines()), strict=True)
    ]  # fmt: skip
    write_rows(folder / "votes.jsonl", votes)
    status, out, err = called(capsys, *FILES, "--judge", "votes.jsonl")
    assert status == 0, err
    assert "0/0/8" in out


def test_a_dry_run_writes_nothing(folder, capsys):
    status, out, _ = called(capsys, *FILES, "--judge", "longer", "--dry-run")
    assert status == 0 and "ours=ours.jsonl" in out and "8 prompts" in out
    assert not (folder / "eval").exists()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ((*FILES, "--judge", "nobody"), 2, "judge.kind"),
        ((*FILES, "--judge", "longer", "--temperatures", "warm"), 2, "winrate.value"),
        ((*FILES, "--judge", "longer", "--samples", "0"), 2, "winrate.value"),
        (("ours.jsonl", "--against", "reference", "--judge", "longer"), 2, "winrate.side"),
        (("nowhere", "--against", "nowhere2", "--judge", "longer"), 2, "winrate.prompts"),
        (("a=./nowhere", "--against", "theirs.jsonl", "--judge", "longer"), 2, "model.path"),
        (("ours.jsonl", "--judge", "longer"), 2, "cli.usage"),
        (("--against", "theirs.jsonl", "--judge", "longer"), 2, "winrate.side"),
        ((*FILES, "--judge", "longer", "--out", "ours.jsonl"), 2, "evaluate.folder"),
        ((*FILES, "--judge", "gone.jsonl"), 3, ""),
        ((*FILES, "--judge", "gone.py:score"), 2, "judge.function_file"),
    ],
)
def test_wrong_words_are_answered_in_a_message(folder, capsys, words, status, message):
    got, out, err = called(capsys, *words)
    assert got == status and f"[{message}" in err and "Traceback" not in err, err
    assert out == ""


def test_missing_answers_are_refused_or_left_out_and_told(folder, capsys):
    write_rows(folder / "few.jsonl", [{"prompt": prompt, "completion": "x"} for prompt in PROMPTS[:5]])
    status, _, err = called(capsys, "few=few.jsonl", "--against", "theirs.jsonl", "--judge", "longer")
    assert status == 3 and "[winrate.missing] there is no answer to 3 of 8 prompts" in err
    status, out, _ = called(capsys, "few=few.jsonl", "--against", "theirs.jsonl", "--judge", "longer", "--skip-missing")
    assert status == 0 and "warning: 3 prompts are left out, since a file has no answer to them" in out


def test_a_name_of_the_users_moves_no_cursor(folder, capsys):
    status, out, _ = called(capsys, "a\x1b[2J=ours.jsonl", "--against", "theirs.jsonl", "--judge", "longer")
    assert status == 0 and "\x1b" not in out
