"""`prefsmith report`, as it is typed; and what it starts without."""

import json
import subprocess
import sys

import pytest

from prefsmith.cli import main


def run(arguments, capsys):
    status = main(["report", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def test_one_run_is_drawn_into_its_folder(record, capsys):
    folder = record()
    assert run([folder], capsys) == (0, f"wrote {folder}/report.html\n", "")
    assert (folder / "report.html").read_text().startswith("<!doctype html>")


def test_several_are_compared(record, capsys, tmp_path):
    status, out, _ = run([record("one"), record("two"), "--out", tmp_path / "both.html"], capsys)
    assert (status, out) == (0, f"wrote {tmp_path}/both.html\n")


def test_facts_are_printed_as_json(record, capsys, rows):
    broken = [{**row, "loss": float("nan")} for row in rows[0]()]
    status, out, _ = run([record(changes={"metrics.jsonl": broken}), "--json"], capsys)
    facts = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert status == 0 and facts["state"] == "finished" and facts["steps"] == 30
    assert facts["evaluation"]["accuracy"] == 0.585 and facts["last_step"]["loss"] is None
    assert facts["kl"]["value"] == pytest.approx(0.5) and "58.5 %" in facts["result"][0]
    assert facts["settings"]["loss.beta"] == 0.2 and "data.max_length" in facts["changed"]
    assert {each["name"] for each in facts["findings"]} >= {"not_above_length"}
    assert facts["refused"] == {"rows": 2, "codes": {"data.empty": 1, "data.identical": 1}}
    assert facts["resume"] is None and facts["repeat"].startswith("prefsmith train")


def test_facts_of_several_runs(record, capsys, settings):
    one, two = record("one"), record("two", {"run.yaml": settings(loss={"beta": 0.5})})
    facts = json.loads(run([one, two, "--json"], capsys)[1])
    assert facts["differences"] == {"loss.beta": {str(one): 0.2, str(two): 0.5}}
    assert [each["run"] for each in facts["runs"]] == [str(one), str(two)]
    assert facts["comparison"].endswith("comparison.html")


def test_what_cannot_be_drawn_is_said_with_its_code(record, capsys, tmp_path):
    folder = record()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    for arguments, code in (
        ([], "report.none"),
        ([tmp_path / "none"], "report.folder"),
        ([tmp_path / "empty"], "report.no_run"),
        ([folder, folder], "report.twice"),
        ([folder, "--out", tmp_path / "notes.txt"], "report.exists"),
        ([folder, "--out", tmp_path / "none" / "page.html"], "report.write"),
    ):
        status, out, err = run(arguments, capsys)
        assert (status, out) == (2, "") and err.startswith(f"[{code}] ") and "fix:" in err
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_names_cannot_act_on_the_terminal(record, capsys):
    _, out, _ = run([record("\x1b[31mred")], capsys)
    assert "\x1b" not in out


def test_a_report_is_drawn_without_torch(record):
    code = (
        "import sys; from prefsmith.cli import main; status = main(['report', sys.argv[1]]);"
        "sys.exit(status or any(name in sys.modules for name in ('torch', 'transformers', 'datasets')))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(record())], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_and_the_package_start_without_what_draws():
    code = (
        "import sys; import prefsmith.report, prefsmith.train.findings, prefsmith.cli.report;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'datasets', 'matplotlib', 'jinja2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
