"""What `prefsmith label` prints, and with which status it ends."""

import json

import pytest

from prefsmith.cli import main


@pytest.fixture
def votes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = ["aaa", "aab", "bbb", "bba", "aab", "t"]
    names = ("ann", "bob", "cat")
    rows = [
        {"prompt": f"q{number}", "a": f"x{number}", "b": f"y{number}", "model_a": "m1", "model_b": "m2",
         "votes": [{"annotator": name, "vote": {"t": "tie"}.get(each, each)}
                   for name, each in zip(names, line, strict=False)]}
        for number, line in enumerate(said)
    ]  # fmt: skip
    (tmp_path / "votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.parametrize("method", ["share", "one-coin", "dawid-skene", "crowd-bradley-terry"])
def test_aggregate_prints_counts_that_add_up(votes, capsys, method):
    assert main(["label", "aggregate", "votes.jsonl", "--method", method, "--out", "labels.jsonl"]) == 0
    printed = capsys.readouterr().out
    assert "6 pairs, first 8, second 7, tie 1, invalid 0" in printed and "written: 6" in printed
    assert "the labels are in labels.jsonl" in printed and len((votes / "labels.jsonl").read_text().splitlines()) == 6


def test_aggregate_tells_the_share_of_wrong_labels_and_the_setting(votes, capsys):
    assert main(["label", "aggregate", "votes.jsonl", "--method", "majority", "--hard", "--out", "l.jsonl"]) == 0
    printed = capsys.readouterr().out
    assert "loss.name=robust_dpo loss.noise=0." in printed and "ties, which a hard label cannot say: 1" in printed
    assert main(["label", "aggregate", "votes.jsonl", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"] == {"read": 6, "written": 6, "left_out": {}} and found["method"] == "share"


def test_without_out_or_in_a_dry_run_nothing_is_written(votes, capsys):
    assert main(["label", "aggregate", "votes.jsonl"]) == 0
    assert "name a file with --out" in capsys.readouterr().out
    assert main(["label", "aggregate", "votes.jsonl", "--out", "l.jsonl", "--dry-run"]) == 0
    assert "nothing is written: --dry-run" in capsys.readouterr().out and not (votes / "l.jsonl").exists()


def test_wrong_usage_and_wrong_data_have_their_status(votes, capsys):
    assert main(["label", "aggregate", "votes.jsonl", "--method", "mean"]) == 2
    assert main(["label", "aggregate", "votes.jsonl", "--out", "votes.jsonl"]) == 2
    (votes / "empty.jsonl").write_text("")
    assert main(["label", "aggregate", "empty.jsonl"]) == 3
    assert main(["label", "aggregate", "absent.jsonl"]) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_rank_prints_systems_with_intervals(votes, capsys):
    assert main(["label", "rank", "votes.jsonl", "--by", "copeland"]) == 0
    printed = capsys.readouterr().out
    assert "m1" in printed and "beats every other: m1" in printed and "Kemeny: one order against 7.5 votes" in printed
    assert main(["label", "rank", "votes.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["contests"][0]["items"][0]["name"] == "m1"


def test_rank_says_how_many_draws_an_interval_rests_on(votes, capsys):
    row = {"prompt": "other", "a": "x", "b": "y", "model_a": "m1", "model_b": "rare",
           "votes": [{"annotator": "ann", "vote": "a"}]}  # fmt: skip
    with (votes / "votes.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    assert main(["label", "rank", "votes.jsonl"]) == 0
    (told,) = [line for line in capsys.readouterr().out.splitlines() if "draws" in line]
    assert "rare" in told and "of 200 draws compare it)" in told


def test_names_from_a_file_do_not_reach_the_terminal_as_commands(votes, capsys):
    row = {"prompt": "q", "a": "x", "b": "y", "votes": [{"annotator": name, "vote": "a"} for name in ("\x1b[31m", "b")]}
    (votes / "odd.jsonl").write_text(json.dumps(row) + "\n")
    assert main(["label", "aggregate", "odd.jsonl"]) == 0
    assert "\x1b" not in capsys.readouterr().out
