"""`prefsmith eval implicit` from files to page, on models whose scores can be checked."""

import json
import math
import re

import pytest
from planted import WORDS, config_for, pairs, train
from tiny import byte_tokenizer, save_model, tiny_llama, write_rows

from prefsmith.cli import main
from prefsmith.data.rejects import Rejects
from prefsmith.errors import ConfigError, DataError
from prefsmith.evaluate.reader import open_reader
from prefsmith.evaluate.scored import encode_pairs, score_pairs
from prefsmith.methods import implicit as method
from prefsmith.records import Comparison, Completion, Group, Rating
from prefsmith.report.gathered import gathered


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has learnt the rule."""
    folder = tmp_path_factory.mktemp("run")
    train(config_for(folder, pairs(300), loss={"name": "dpo", "beta": 0.2}, train={"pairs_per_step": 16, "epochs": 3}))
    return folder / "run"


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Rows that nothing was trained on, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return str(write_rows(tmp_path / "fresh.jsonl", pairs(80, seed=9)))


@pytest.fixture
def joined():
    """For the test that looks at the page of the run: it is drawn."""


@pytest.fixture(autouse=True)
def apart(request, monkeypatch):
    """Drawing the page of the run takes long, and most tests look at the evidence alone."""
    if "joined" not in request.fixturenames:
        monkeypatch.setattr(method, "join", lambda folder, about: ())


def measured(model, *data, out=None, **changes):
    said: list[str] = []
    found = method.implicit(method.Asked(str(model), tuple(map(str, data)), **changes), out, say=said.append)
    return found.evidence, found.page, said


def accuracies(evidence):
    return {rule["name"]: rule["accuracy"]["value"] for rule in evidence["rules"]}


def test_a_run_that_learnt_the_rule_is_seen_to_know_it(run, fresh):
    evidence, page, said = measured(run, fresh)
    found = accuracies(evidence)
    assert found["implicit reward"] > 0.95 and found["longer"] == pytest.approx(1 - found["shorter"])
    assert all(rule["policy_less_rule"]["low"] > 0.2 for rule in evidence["rules"][1:])
    assert evidence["beta"] == {"value": 0.2, "from": "run.yaml"}
    assert (
        evidence["reference"]["path"].endswith("base")
        and evidence["model"]["sha256"] != evidence["reference"]["sha256"]
    )
    assert page.parent.as_posix() == "eval/implicit-run" and (page.parent / "evidence.json").is_file()
    assert not (page.parent / "rejected.jsonl").exists()
    assert "80 rows; preference rows" in said[0]


def test_the_scores_are_the_models_log_probabilities(run, fresh):
    """Sums of log-softmax, computed here without any of the program's own paths."""
    import torch

    policy = open_reader(run)
    groups = encode_pairs(policy.encoder, method.read_held_out(fresh, columns={}).groups, Rejects())
    found = score_pairs(policy.model, policy.model, [groups], token_budget=64)
    expected = []
    for group in groups:
        for completion in group.completions:
            ids = torch.tensor([[*group.prompt, *completion.ids]])
            with torch.no_grad():
                logs = policy.model.scorer.causal(ids).logits.double().log_softmax(-1)[0]
            places = range(len(group.prompt), ids.shape[1])
            expected.append(sum(float(logs[place - 1, ids[0, place]]) for place in places))
    assert found.answers.policy.tolist() == pytest.approx(expected, abs=1e-3)
    assert found.answers.tokens[0] == len(groups[0].completions[0].ids)
    assert abs(found.margin).max() == 0


def test_labels_that_name_the_second_side_are_the_same_pairs(run, tmp_path, fresh):
    rows = pairs(80, seed=9)
    swapped = [
        {
            "prompt": row["prompt"],
            "a": row["rejected"],
            "b": row["chosen"],
            "human": "b",
            "subset": "odd" if n % 2 else "even",
        }
        for n, row in enumerate(rows)
    ]
    one = measured(run, fresh)[0]
    two = measured(run, write_rows(tmp_path / "bench.jsonl", swapped), out=tmp_path / "two")[0]
    for name in ("rules", "margin", "calibration"):
        assert one[name] == two[name]
    assert [(part["name"], part["pairs"]) for part in two["parts"]] == [("even", 40), ("odd", 40)]


def test_the_same_seed_gives_the_same_bytes(run, fresh, tmp_path):
    pages = [measured(run, fresh, out=tmp_path / name)[1] for name in ("one", "two")]
    for name in ("evidence.json", "report.html"):
        one, two = ((page.parent / name).read_bytes() for page in pages)
        assert one == two


def test_the_token_budget_changes_nothing_beyond_rounding(run, fresh, tmp_path):
    one, two = (measured(run, fresh, out=tmp_path / str(budget), token_budget=budget)[0] for budget in (1, 4096))
    assert accuracies(one) == accuracies(two)
    assert one["margin"]["value"] == pytest.approx(two["margin"]["value"], abs=1e-4)


def test_a_model_against_itself_is_a_coin(run, fresh):
    evidence = measured(run, fresh, reference=str(run))[0]
    assert accuracies(evidence)["implicit reward"] == 0.5
    assert evidence["calibration"]["brier"]["value"] == 0.25


def test_an_adapter_is_compared_with_its_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = config_for(tmp_path, pairs(60), adapter={"kind": "lora", "rank": 4}, optim={"learning_rate": 0.02})
    train(config)
    data = write_rows(tmp_path / "fresh.jsonl", pairs(40, seed=9))
    evidence = measured(tmp_path / "run" / "model", data)[0]
    assert "without its adapter" in evidence["reference"]["path"] and evidence["margin"]["value"] != 0
    assert evidence["beta"] == {"value": 0.1, "from": "default"}  # the folder of weights alone does not say it
    assert any("--beta" in each for each in evidence["warnings"])


def test_a_model_alone_has_no_reference(run, fresh):
    with pytest.raises(ConfigError, match=r"\[eval\.reference\].*\n.*\n.*--reference MODEL"):
        measured(run / "model", fresh)


def test_a_reference_with_another_vocabulary_is_refused(run, fresh, tmp_path):
    other = save_model(tmp_path / "other", WORDS[::-1])
    with pytest.raises(ConfigError, match="another id"):
        measured(run, fresh, reference=str(other))


def test_bad_rows_are_counted_shown_and_kept(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = pairs(40, seed=9)
    bad = [{**good[0], "rejected": good[0]["chosen"]}, {**good[1], "chosen": ""}]
    evidence, page, _ = measured(run, write_rows(tmp_path / "rows.jsonl", [*good, *bad]))
    assert evidence["refused"] == {"data.identical": 1, "data.empty": 1} and evidence["pairs"] == 40
    assert any("2 rows cannot be used" in each for each in evidence["warnings"])
    rejected = (page.parent / "rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["where"].rpartition(":")[2] for line in rejected] == ["41", "42"]
    assert "2 rows cannot be used" in page.read_text()


def test_rows_that_compare_nothing_are_refused_by_name(run):
    reader, rejects = open_reader(run), Rejects(skip=True)
    lone = Group("x", "f:1", "red", (Completion(" apple"),), ratings=(Rating(0, 1.0),))
    paired = Group("y", "f:2", "red", (Completion(" apple"), Completion(" berry")), comparisons=(Comparison(0, 1),))
    assert [each.group.id for each in encode_pairs(reader.encoder, [lone, paired], rejects)] == ["y"]
    assert rejects.counts() == {"data.no_pairs": 1}


def test_ties_alone_are_nothing_to_be_right_about(run, tmp_path):
    rows = [{**row, "prob": 0.5} for row in pairs(10)]
    with pytest.raises(DataError, match="no label prefers"):
        measured(run, write_rows(tmp_path / "ties.jsonl", rows), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ranked_answers_are_compared_pair_by_pair(run, tmp_path):
    rows = [
        {"prompt": row["prompt"], "completions": [row["rejected"], row["chosen"], " w1"], "scores": [1, 3, 2]}
        for row in pairs(30, seed=5)
    ]
    evidence = measured(run, write_rows(tmp_path / "ranked.jsonl", rows), out=tmp_path / "out")[0]
    assert evidence["pairs"] == 90 and evidence["rules"][0]["accuracy"]["interval"] == "bootstrap"


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"beta": 0.0}, "eval.value"), ({"beta": math.inf}, "eval.value"), ({"limit": 0}, "eval.value"),
     ({"token_budget": 0}, "eval.value"), ({"seed": -1}, "eval.value")],
)  # fmt: skip
def test_values_that_mean_nothing_are_refused(changes, code):
    with pytest.raises(ConfigError) as caught:
        method.Asked("m", ("f",), **changes)
    assert caught.value.code == code


@pytest.mark.parametrize("data", [(), ("f", "g", "f")])
def test_a_file_is_named_and_named_once(data):
    with pytest.raises(ConfigError) as caught:
        method.Asked("m", data)
    assert caught.value.code == "eval.data"


def test_memory_that_runs_out_is_said_with_what_fits(run, fresh, tmp_path, monkeypatch):
    from prefsmith.evaluate import scored
    from prefsmith.train.room import OutOfRoom

    whole = scored.score_step

    def small(policy, reference, objective, groups, budget):
        if budget > 64:
            raise OutOfRoom(groups)
        return whole(policy, reference, objective, groups, budget)

    monkeypatch.setattr(scored, "score_step", small)
    with pytest.raises(ConfigError, match=r"\[eval\.memory\]") as caught:
        measured(run, fresh, out=tmp_path / "out")
    assert re.search(r"--token-budget \d+: these rows were tried", caught.value.fix)


# The command


def test_the_command_prints_the_table_and_says_where_the_page_is(run, fresh, capsys, joined):
    assert main(["eval", "implicit", str(run), "--data", fresh]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"implicit reward +\d+\.\d %", printed) and "longer" in printed and "p (sign test)" in printed
    assert "the page is eval/implicit-run/report.html" in printed
    assert f"{run}/report.html shows it too" in printed
    (shown,) = gathered(run)
    assert shown.kind == "implicit" and shown.doubt == "" and "fresh.jsonl" in (run / "report.html").read_text()


def test_json_is_the_evidence_and_nothing_else(run, fresh, tmp_path, capsys):
    assert main(["eval", "implicit", str(run), "--data", fresh, "--json", "--out", str(tmp_path / "out")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "evidence.json").read_text())


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (["runs/nothing"], "eval.data", 2),
        (["runs/nothing", "--data", "missing.jsonl"], "data.", 3),
        (["./runs/nothing", "--data", "fresh.jsonl"], "model.", 2),
        (["runs/nothing", "--data", "fresh.jsonl", "--columns", "tags"], "eval.value", 2),
        (["runs/nothing", "--data", "fresh.jsonl", "--columns", "nothing=a"], "data.columns", 2),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(fresh, capsys, words, code, status):
    assert main(["eval", "implicit", *words]) == status
    assert f"[{code}" in capsys.readouterr().err


def test_a_folder_that_holds_something_is_left_alone(run, fresh, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert main(["eval", "implicit", str(run), "--data", fresh, "--out", str(tmp_path / "mine")]) == 2
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["notes.txt"]


# Public benchmarks


def test_the_longer_side_of_a_public_benchmark(shared_data, tmp_path):
    """Counted before by another program: the chosen answer has more words in 70 of 123 pairs."""
    for seed, name in enumerate(("policy", "reference")):
        tokenizer = byte_tokenizer()
        tokenizer.save_pretrained(tmp_path / name)
        tiny_llama(len(tokenizer), seed=seed, max_position_embeddings=4096).save_pretrained(tmp_path / name)
    data, reference = shared_data / "hhh_alignment.jsonl.gz", str(tmp_path / "reference")
    evidence = measured(tmp_path / "policy", data, out=tmp_path / "out", reference=reference)[0]
    assert evidence["pairs"] == 123 and evidence["prompts"] == 66 and evidence["refused"] == {}
    assert evidence["length"]["preferred_side"]["words"]["longer"] == 70
    longer = next(rule for rule in evidence["rules"] if rule["name"] == "longer")["accuracy"]
    assert longer["value"] == (75 + 0.5 * 2) / 123
    assert {part["name"]: part["pairs"] for part in evidence["parts"]} == {
        "harmless": 39, "helpful": 35, "other": 28, "honest": 21,
    }  # fmt: skip


def test_the_page_shows_every_number_of_the_tables(run, fresh):
    evidence, page, _ = measured(run, fresh)
    text = page.read_text()
    assert text.count("<svg") == 2 and "<script" not in text
    for rule in evidence["rules"]:
        assert f"{100 * rule['accuracy']['value']:.1f} %" in text
