"""The doctor on real runs: what is said while they go on, stands in the report, and changes nothing."""

import pytest
from planted import WORDS, config_for, pairs
from tiny import save_model

from prefsmith.errors import ConfigError, Interrupted
from prefsmith.report import draw
from prefsmith.run import fit
from prefsmith.train.findings import Finding
from prefsmith.train.findings.doctor import line_of


def told(config, **arguments):
    said: list[str] = []
    run = fit(config, say=said.append, watch=lambda row, steps: None, **arguments)
    return run, [line for line in said if line.startswith(("warning: [", "note: ["))]


def test_a_healthy_run_is_told_nothing(tmp_path):
    save_model(tmp_path / "base", WORDS, std=0.05)  # it writes all words alike, as the data do
    config = config_for(
        tmp_path, pairs(400), optim={"learning_rate": 2e-3, "schedule": "constant"}, train={"pairs_per_step": 16},
        evaluate={"samples": 8, "sample_tokens": 8}, data={"eval_fraction": 0.3},
    )  # fmt: skip
    run, lines = told(config)
    assert lines == []
    assert [each["name"] for each in draw([run.folder]).facts()["findings"]] == ["shown", "no_trouble"]


def test_a_policy_that_runs_away_is_told_so_once_while_it_does(tmp_path):
    config = config_for(
        tmp_path, pairs(400), optim={"learning_rate": 0.05}, train={"pairs_per_step": 16, "epochs": 2},
        evaluate={"samples": 12, "sample_tokens": 12, "every": 10, "kl_budget": 0.5},
    )  # fmt: skip
    run, lines = told(config)
    assert len(lines) == len(set(lines))
    names = [line.partition("]")[0].partition("[")[2] for line in lines if line.startswith("warning")]
    assert "kl_budget_passed" in names and "saturated" in names and len(names) == len(set(names))
    rows = [row for row in run.metrics if row.get("split") == "eval"]
    assert all(row["kl_low"] <= row["kl"] <= row["kl_high"] and row["kl_n"] == 12 for row in rows)
    assert rows[-1]["kl"] > 0.5
    found = {each["name"] for each in draw([run.folder]).facts()["findings"]}
    assert set(names) <= found


def test_a_budget_changes_no_weight(tmp_path):
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    save_model(tmp_path / "with" / "base", WORDS)
    save_model(tmp_path / "without" / "base", WORDS)
    weights = []
    for name, evaluate in (("with", {"samples": 4, "every": 2, "kl_budget": 1.0}), ("without", {"every": 2})):
        config = config_for(tmp_path / name, pairs(60), evaluate=evaluate, train={"pairs_per_step": 8, "max_steps": 5})
        weights.append((told(config)[0].folder / "model" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_data_that_the_model_would_not_write_are_told(tmp_path):
    save_model(tmp_path / "base", WORDS, std=1.2)  # it writes few of its words, over and over
    config = config_for(
        tmp_path, pairs(200), optim={"learning_rate": 1e-4}, train={"pairs_per_step": 8}, evaluate={"samples": 16}
    )
    run, lines = told(config)
    assert sum("[off_policy]" in line for line in lines) == 1
    row = next(row for row in run.metrics if row["step"] == 1)
    assert row["reference_per_token"] < -2


def test_a_run_that_goes_on_is_told_only_what_is_new(tmp_path):
    save_model(tmp_path / "base", WORDS, std=1.2)
    config = config_for(
        tmp_path, pairs(200), optim={"learning_rate": 1e-4}, train={"pairs_per_step": 8}, evaluate={"samples": 16},
        checkpoint={"every": 12},
    )  # fmt: skip

    class Stopped(Interrupted):
        pass

    def stop(row, steps):
        if row["step"] == 15:
            raise Stopped(15, "stopped")

    said: list[str] = []
    with pytest.raises(Stopped):
        fit(config, say=said.append, watch=stop)
    assert any("[off_policy]" in line for line in said)
    _, lines = told(config, resume=True)
    assert not any("[off_policy]" in line for line in lines)


def test_a_budget_needs_samples_and_a_reference(tmp_path):
    with pytest.raises(ValueError, match="kl_budget is set, but samples is 2"):
        config_for(tmp_path, pairs(4), evaluate={"samples": 2, "kl_budget": 1.0})
    config = config_for(tmp_path, pairs(20), evaluate={"samples": 8, "kl_budget": 1.0}, loss={"name": "sft"})
    with pytest.raises(ConfigError, match="no loss compares the policy with a reference"):
        fit(config)


def test_a_line_names_the_finding_and_what_helps():
    line = line_of(Finding("saturated", "warning", "The margins are saturated.", "From step 3 on.", "cause", "Look."))
    assert line == "warning: [saturated] The margins are saturated. From step 3 on. What helps: Look."
    assert line_of(Finding("x", "note", "It is.")) == "note: [x] It is."
