"""`prefsmith audit`: what is printed, what is written, what training makes of it, and how it ends."""

import json
from pathlib import Path

import pytest
import yaml
from planted_faults import clean_rows, damaged_rows, refused_rows, write

from prefsmith.cli.main import main
from prefsmith.config import DataConfig
from prefsmith.data.prepare import Preparation
from prefsmith.data.views import Wanted
from prefsmith.methods.audit import Asked


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write(Path("pairs.jsonl"), [*clean_rows(60), *refused_rows(), *damaged_rows()])


def test_the_worst_comes_first_with_places_effect_and_cure(faulty, capsys):
    assert main(["audit", faulty]) == 0, "what is found is no failure of the command"
    text = capsys.readouterr().out
    assert f"{faulty} (to train on): 86 rows, 12 of them cannot be used; preference rows" in text
    assert "error: Chosen and rejected are the same [broken.identical]\n  3 of 86 rows (3.5%)\n" in text
    assert f"    {faulty}:61  chosen and rejected are the same, so the pair" in text
    assert text.index("error: ") < text.index("warning: ") < text.index("worth knowing:") < text.index("5 errors, ")
    assert "effect: training stops at the first of these rows" in text and "cure: mend the rows" in text
    assert "data.audit=audit/pairs/audit.yaml" in text
    assert "<|im_end|>" in text and "\x00" not in text


def test_json_is_what_is_written(faulty, tmp_path, capsys):
    assert main(["audit", faulty, "--json", "--out", str(tmp_path / "out")]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((tmp_path / "out" / "evidence.json").read_text())
    assert (shown["kind"], shown["counts"]["error"]) == ("audit", 5)
    (file,) = shown["files"]
    assert (file["rows"], file["usable"], file["refused"]["data.diverge"]) == (86, 74, 4)
    found = {each["code"]: each for each in shown["findings"]}
    assert found["broken.control_token"]["numbers"]["tokens"]["</s>"] == 1
    assert found["broken.empty"]["examples"][0]["where"] == f"{faulty}:64"


def test_the_same_audit_again_gives_the_same_bytes(faulty, tmp_path):
    files = ("evidence.json", "audit.yaml")
    made = []
    for _ in range(2):
        assert main(["audit", faulty, "--out", str(tmp_path / "out")]) == 0
        made.append([(tmp_path / "out" / name).read_bytes() for name in files])
    assert made[0] == made[1]


def test_training_takes_what_was_proposed(faulty, tmp_path):
    assert main(["audit", faulty]) == 0
    audit = tmp_path / "audit" / "pairs" / "audit.yaml"
    entries = {each["code"]: each for each in yaml.safe_load(audit.read_text())["files"][0]["entries"]}
    assert entries["broken.identical"]["lines"] == "61-63" and entries["broken.unreadable"]["lines"] == "72"
    config = DataConfig(train=faulty, audit=str(audit), eval_fraction=0, cache="none")
    preparation = Preparation(config, [Wanted("dpo", "pairwise")], lambda line: None)
    sides = preparation.read(None)
    assert len(sides.train) == 60, "all faults are left out, also rows at which training would stop"
    assert preparation.record["train"]["audit"]["left_out"] == 26
    assert {row.group.source for row in sides.train} == {f"{faulty}:{line}" for line in range(1, 61)}


def test_pairs_are_told_beside_rows_where_a_row_is_a_vote_or_a_list(tmp_path, capsys):
    single = {"preference": 1, "generator_1": "m", "generator_2": "n", "instruction": "q"}
    votes = write(tmp_path / "single.jsonl", [*({**single, "annotator": name} for name in "abc"), "{bad"])
    compared = [{"left": 0, "right": n, "verdict": "left", "annotator": "ann"} for n in (1, 2)]
    lists = write(tmp_path / "lists.jsonl", [{"prompt": "q", "completions": ["x", "y", "z"], "votes": compared}])
    prompts = write(tmp_path / "prompts.jsonl", [{"prompt": "q"}, {"prompt": "q"}])
    assert main(["audit", votes, "--eval", lists, "--other", prompts, "--out", str(tmp_path / "out")]) == 0
    told = [line.partition("): ")[2] for line in capsys.readouterr().out.splitlines()[:3]]
    assert told == [
        "4 rows, 1 of them cannot be used, 1 pair; judgements (alpaca_eval)",
        "1 row, 2 pairs; judgements (groups)",
        "2 rows, 1 prompt; different prompts, without answers",
    ]


def test_strict_is_for_programs(faulty):
    clean = write(Path("clean.jsonl"), clean_rows(80))
    assert main(["audit", faulty, "--strict", "--out", "one"]) == 3
    assert main(["audit", clean, "--strict", "--out", "two"]) == 0


def test_held_out_rows_and_other_files_are_named(faulty, tmp_path, capsys):
    held_out = write(Path("eval.jsonl"), [*clean_rows(30, 1), clean_rows(60)[0]])
    other = write(Path("bench.jsonl"), [clean_rows(60)[1]])
    assert main(["audit", faulty, "--eval", held_out, "--other", other, "data.workers=0"]) == 0
    text = capsys.readouterr().out
    assert "error: Held-out rows have a prompt that is trained on [repeated.leaked]\n  1 of 31 rows" in text
    assert f"error: Rows of {other} have" in text and "[repeated.leaked_other]" in text
    assert f"also in {faulty}:1: " in text
    audit = yaml.safe_load((tmp_path / "audit" / "pairs" / "audit.yaml").read_text())
    assert [each["name"] for each in audit["files"]] == [faulty, held_out], "what is not trained on needs no proposals"
    leaked = [each["lines"] for each in audit["files"][0]["entries"] if each["code"].startswith("repeated.leaked")]
    assert sorted(leaked) == ["1", "2"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["audit"], 2, "audit.files"),
        (["audit", "pairs.jsonl", "pairs.jsonl"], 2, "named twice"),
        (["audit", "pairs.jsonl", "--other", "./pairs.jsonl"], 2, "named twice"),
        (["audit", "nowhere.jsonl"], 3, "data.file"),
        (["audit", "pairs.jsonl", "--out", "pairs.jsonl"], 2, "eval.out"),
        (["audit", "pairs.jsonl", "data.limt=3"], 2, "limit"),
        (["audit", "pairs.jsonl", "data.columns.chosen=better"], 3, "better"),
        (["audit", "pairs.jsonl", "data.eval=pairs.jsonl"], 2, "fix:   --eval FILE"),
        (["audit", "pairs.jsonl", "data.audit=nothing.yaml"], 2, "[audit.setting] an audit does not go by data.audit"),
        (["audit", "pairs.jsonl", "data.max_length=20"], 2, "--model MODEL"),
        (["audit", "pairs.jsonl", "--seed", "-1"], 2, "[audit.value] --seed is -1"),
        (["audit", "pairs.jsonl", "--model", "nowhere", "--model-rows", "0"], 2, "[audit.value] --model-rows is 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_audited_is_refused(faulty, capsys, words, status, said):
    assert main(words) == status
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err


def test_an_older_page_does_not_stay_beside_other_evidence(faulty, tmp_path, capsys):
    out, clean = tmp_path / "out", write(Path("clean.jsonl"), clean_rows(5))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.html").write_text("of a run")
    assert main(["audit", clean, "--out", "run"]) == 0
    assert (tmp_path / "run" / "report.html").read_text() == "of a run"
    assert main(["audit", faulty, "--out", str(out), "--html"]) == 0
    assert main(["audit", clean, "--out", str(out)]) == 0
    assert "5 rows" in (page := (out / "report.html").read_text()) and faulty not in page
    assert f"the page is {out / 'report.html'}" in capsys.readouterr().out


def test_what_a_model_reads_may_be_said_beside_one():
    Asked(["pairs.jsonl"], model="MODEL", config=DataConfig(template="plain", max_length=20, limit=3))


def test_evidence_of_something_else_stays(faulty, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "evidence.json").write_text('{"kind": "agreement"}')
    assert main(["audit", faulty, "--out", "out"]) == 2
    assert "something else" in capsys.readouterr().err
    assert (tmp_path / "out" / "evidence.json").read_text() == '{"kind": "agreement"}'


def test_a_file_in_which_every_row_is_bad_is_a_finding(tmp_path, capsys):
    rows = [{**row, "rejected": row["chosen"]} for row in clean_rows(7)]
    assert main(["audit", write(tmp_path / "bad.jsonl", rows), "--out", str(tmp_path / "out")]) == 0
    assert "7 of 7 rows (100.0%)" in capsys.readouterr().out


def test_check_says_what_an_audit_changed():
    from prefsmith.preflight.survey import _audited

    record = {"audit": {"path": "audit.yaml", "left_out": 8, "weighed": 0}}
    assert _audited(record) == {"left out, as audit.yaml says": 8}
    assert _audited({}) == {}
