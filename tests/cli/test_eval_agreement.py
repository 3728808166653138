"""`prefsmith eval agreement`: what it prints and writes, twice the same, and what it refuses."""

import json
import os
import subprocess
import sys

import pytest

from prefsmith.cli import main
from prefsmith.report.judged import JudgedEvidence

ROWS = [
    {"prompt": f"question {place // 2}", "response_a": "a b c", "response_b": "d", "model_a": "x", "model_b": "y",
     "votes": [{"annotator": "ann", "vote": "a"}, {"annotator": "bob", "vote": "ab"[place % 3 == 0]}],
     "judges": {"gpt": {"orig": "a", "swap": "ab"[place % 2]}, "rule": ["a", "b", "tie", "who knows"][place % 4]}}
    for place in range(24)
]  # fmt: skip


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "votes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def run(capsys, *words):
    status = main(["eval", "agreement", *map(str, words)])
    return (status, *capsys.readouterr())


def test_it_prints_the_main_table_and_writes_evidence_and_page(file, tmp_path, capsys):
    status, out, error = run(capsys, "votes.jsonl")
    assert (status, error) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "votes.jsonl: 24 pairs of answers to 12 prompts, 2 people, 2 judges"
    assert "most people: first 16, second 0, tie 0, no majority 8" in lines[1]
    assert "two people agree on 66.7 %" in lines[2]
    gpt = next(line for line in lines if line.startswith("  gpt "))
    assert gpt.split()[1:3] == ["48", "0"] and gpt.endswith("75.0%           50.0%")
    assert any(line == "  note: verdicts of rule that name no side, counted as invalid: 6" for line in lines)
    assert any(line.startswith("  warning: only 12 different prompts") for line in lines)
    assert lines[-1] == "the page is eval/agreement-votes/report.html"
    assert (tmp_path / lines[-1].removeprefix("the page is ")).read_text().startswith("<!doctype html>")
    evidence = JudgedEvidence.model_validate_json((tmp_path / "eval/agreement-votes/evidence.json").read_bytes())
    assert evidence.files[0].whole.pairs == 24 and len(evidence.files[0].digest["sha256"]) == 64


def test_the_same_seed_gives_the_same_bytes_and_json_is_what_is_written(file, tmp_path, capsys):
    status, out, _ = run(capsys, "votes.jsonl", "--json", "--out", "one")
    run(capsys, "votes.jsonl", "--out", "two")
    run(capsys, "votes.jsonl", "--out", "three", "--seed", "1")
    one, two, three = ((tmp_path / name / "evidence.json").read_bytes() for name in ("one", "two", "three"))
    assert status == 0 and one == two != three and json.loads(out) == json.loads(one)
    assert (tmp_path / "one/report.html").read_bytes() == (tmp_path / "two/report.html").read_bytes()


def test_several_files_have_a_section_each_and_an_older_page_is_written_over(file, tmp_path, capsys):
    (tmp_path / "more.jsonl").write_text(json.dumps({"prompt": "q", "a": "x", "b": "y", "human": "a"}) + "\n")
    assert run(capsys, "votes.jsonl", "--out", "both")[0] == 0
    status, out, _ = run(capsys, "votes.jsonl", "more.jsonl", "--out", "both")
    assert status == 0 and "more.jsonl: 1 pair of answers to 1 prompt, " in out
    page = (tmp_path / "both/report.html").read_text()
    assert page.index('id="file-1"') < page.index('id="file-2"') and "no annotator in this file is a judge" in page


def test_judges_without_people_are_laid_beside_each_other(file, tmp_path, capsys):
    rows = [{"prompt": str(n), "a": "x", "b": "y", "judges": {"one": "a", "two": "ab"[n % 4 == 0]}} for n in range(40)]
    (tmp_path / "judges.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, out, _ = run(capsys, "judges.jsonl")
    assert status == 0 and "agrees with people" not in out
    assert "  one and two agree on 75.0 % [59.8, 85.8] of 40, kappa 0.000" in out.splitlines()


def test_bad_rows_stop_it_or_are_counted(file, tmp_path, capsys):
    with file.open("a") as rows:
        rows.write(json.dumps({**ROWS[0], "response_b": None}) + "\n")
    status, out, error = run(capsys, "votes.jsonl")
    assert (status, out) == (3, "") and "[votes.side]" in error and "votes.jsonl:25" in error
    assert not (tmp_path / "eval").exists()
    status, out, _ = run(capsys, "votes.jsonl", "--skip-bad")
    assert status == 0 and "note: 1 of 25 rows refused: votes.side 1" in out
    assert "<code>votes.side</code> 1" in (tmp_path / "eval/agreement-votes/report.html").read_text()


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        ([], 2, "eval.files"),
        (["votes.jsonl", "./votes.jsonl"], 2, "eval.files"),
        (["nothing.jsonl"], 3, "data.file"),
        (["votes.jsonl", "--out", "votes.jsonl"], 2, "eval.out"),
        (["votes.jsonl", "--out", "taken"], 2, "eval.out"),
        (["votes.jsonl", "--out", "votes.jsonl/below"], 2, "eval.out"),
        (["votes.jsonl", "--sed", "1"], 2, "cli.usage"),
    ],
)
def test_what_it_refuses(file, tmp_path, capsys, words, status, code):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/evidence.json").write_text('{"frontier": null}')
    found, out, error = run(capsys, *words)
    assert (found, out) == (status, "") and f"[{code}]" in error and "Traceback" not in error
    assert (tmp_path / "taken/evidence.json").read_text() == '{"frontier": null}'


def test_a_run_keeps_its_page_and_shows_what_lies_in_its_folder(file, tmp_path, capsys):
    run_folder = tmp_path / "first"
    run_folder.mkdir()
    for name in ("run.yaml", "environment.json"):
        (run_folder / name).write_text("{}")
    status, _, error = run(capsys, "votes.jsonl", "--out", "first")
    assert status == 2 and "this is a run's folder" in error and "--out first/eval/agreement" in error
    assert not (run_folder / "evidence.json").exists()
    status, out, _ = run(capsys, "votes.jsonl", "--out", "first/eval/agreement")
    assert status == 0 and "first/report.html shows it too" in out
    assert "Judges and people" in (run_folder / "report.html").read_text()


@pytest.mark.parametrize("words", [["eval"], ["eval", "agreement"]])
def test_help_loads_nothing_heavy(words):
    code = (
        f"import sys; from prefsmith.cli import main; status = main({[*words, '--help']!r}); "
        "print('heavy:', [name for name in ('torch', 'numpy', 'pyarrow', 'matplotlib') if name in sys.modules], status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
                          env={**os.environ, "COLUMNS": "40"})  # fmt: skip
    *lines, last = done.stdout.splitlines()
    assert last == "heavy: [] 0" and max(map(len, lines)) <= 40
    assert "agreement" in done.stdout
