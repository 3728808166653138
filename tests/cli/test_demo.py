"""`prefsmith demo`: what somebody reads who has typed it as the first command."""

import pytest

from prefsmith.cli import main
from prefsmith.methods import demo as module


@pytest.fixture
def small(monkeypatch):
    sizes = {"REVIEWS": 300, "JUDGED_PROMPTS": 4, "MEASURED": 4, "FRONTIER": 20, "SFT_STEPS": 12, "DPO_STEPS": 4}
    for name, value in sizes.items():
        monkeypatch.setattr(module, name, value)


def test_it_ends_with_a_table_the_report_and_the_next_command(small, tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    out = capsys.readouterr().out
    assert next(line for line in out.splitlines() if line[1:3] == "/5").startswith("1/5  A corpus: 300 short reviews")
    table = out[out.index("fresh samples each") :]
    for words in ("mean true reward", "KL to the reference", "best reward of any policy", "grammatical", "rose by"):
        assert words in table
    report = tmp_path / "demo" / "dpo" / "report.html"
    assert f"The report: {report}" in table and report.is_file()
    assert table.rstrip().splitlines()[-2].endswith("prefsmith check --model MODEL --data pairs.jsonl")


def test_a_folder_that_is_taken_is_refused(tmp_path, capsys):
    (tmp_path / "mine").write_text("")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "[run.exists]" in capsys.readouterr().err
