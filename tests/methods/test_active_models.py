"""`prefsmith label next` with models: features of the last layer, and what trained adapters disagree about."""

import numpy as np
import pytest
import torch
from planted import WORDS, config_for, pairs, train
from tiny import save_model, write_rows

from prefsmith.cli import main
from prefsmith.data.pool import read_pool
from prefsmith.data.rejects import Rejects
from prefsmith.errors import ConfigError, DataError
from prefsmith.evaluate.hidden import encode_pool, hidden_features, implicit_margins
from prefsmith.evaluate.reader import Reader, open_reader
from prefsmith.feedback.choice.acquire import entropy
from prefsmith.feedback.choice.estimate import sigmoid
from prefsmith.methods.active import Asked, label_next


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, a pool, and two adapters that learnt opposite labels of the same pairs."""
    made = tmp_path_factory.mktemp("active")
    write_rows(made / "pool.jsonl", pairs(24, seed=5))
    save_model(made / "MODEL", WORDS)
    for name, seed in (("a", 0), ("b", 1)):
        rows = pairs(48, seed=seed)
        if name == "b":
            rows = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in rows]
        (made / name).mkdir()
        settings = {"adapter": {"kind": "lora", "rank": 4}, "optim": {"learning_rate": 0.03, "warmup_steps": 2}}
        train(config_for(made / name, rows, train={"pairs_per_step": 8, "epochs": 4}, **settings))
    return made


def groups_of(folder):
    return [each.group for each in read_pool(folder / "pool.jsonl").candidates]


def test_features_are_means_of_the_rows_that_predict_an_answer_s_tokens(folder):
    reader = open_reader(folder / "MODEL")
    encoded = encode_pool(reader, groups_of(folder), Rejects())
    found = hidden_features(reader, encoded, token_budget=40)
    body = reader.model.scorer.causal.base_model
    for row, group in zip(found, encoded, strict=True):
        means = []
        for completion in group.completions:
            ids = torch.tensor([[*group.prompt, *completion.ids]])
            with torch.no_grad():
                hidden = body(ids).last_hidden_state[0].double()
            means.append(hidden[len(group.prompt) - 1 : -1].mean(0).numpy())
        assert row == pytest.approx(means[0] - means[1], abs=1e-4)
    assert np.abs(found).max() > 0.01
    assert hidden_features(reader, encoded, token_budget=10_000) == pytest.approx(found, abs=1e-4)


def test_members_that_learnt_the_opposite_disagree_and_are_asked_for_what_they_disagree_about(folder):
    members = [str(folder / name / "run") for name in ("a", "b")]
    chosen = label_next(Asked(str(folder / "pool.jsonl"), 3, method="disagreement", members=tuple(members)))
    margins = []
    for member in members:
        reader = open_reader(member)
        base = Reader(reader.base, reader.encoder, "base")
        encoded = encode_pool(reader, groups_of(folder), Rejects())
        margins.append(implicit_margins(reader, base, encoded, beta=0.1, token_budget=64))
    assert (margins[0] > 0).mean() > 0.7 and (margins[1] < 0).mean() > 0.7  # the rule, and its opposite
    prob = sigmoid(np.array(margins))
    worth = entropy(prob.mean(0)) - entropy(prob).mean(0)
    assert chosen.worth == pytest.approx(sorted(worth, reverse=True)[:3], rel=1e-3)
    best = np.argsort(-worth)[:3]
    assert set(chosen.ids) == {groups_of(folder)[place].id for place in best}
    assert "implicit rewards" in chosen.features


def test_the_command_chooses_by_the_last_layer(folder, tmp_path, capsys):
    command = ["label", "next", str(folder / "pool.jsonl"), "--budget", "4", "--model", str(folder / "MODEL")]
    assert main([*command, "--out", str(tmp_path / "ask.jsonl")]) == 0
    assert f"told apart by the last layer of {folder / 'MODEL'}" in capsys.readouterr().out
    assert len((tmp_path / "ask.jsonl").read_text().splitlines()) == 4


def test_a_model_without_a_reference_is_no_member(folder):
    with pytest.raises(ConfigError, match="do not say what they were trained from") as caught:
        label_next(Asked(str(folder / "pool.jsonl"), 2, method="entropy", members=(str(folder / "MODEL"),)))
    assert caught.value.code == "label.value" and "--reference" not in caught.value.fix


def test_a_pair_that_cannot_be_written_is_refused_or_counted(folder, tmp_path):
    rows = [*pairs(4, seed=5), {"prompt": "", "chosen": "good", "rejected": "bad"}]
    rows[-1]["prompt"] = [{"role": "user", "content": "x", "tool_calls": [1]}]
    pool = str(write_rows(tmp_path / "pool.jsonl", rows))
    with pytest.raises(DataError):
        label_next(Asked(pool, 2, model=str(folder / "MODEL")))
    chosen = label_next(Asked(pool, 9, model=str(folder / "MODEL"), skip_bad=True))
    assert chosen.pool == 5 and len(chosen.ids) == 4 and sum(chosen.refused.values()) == 1


def test_a_model_whose_layer_is_not_finite_is_refused(folder, tmp_path):
    reader = open_reader(folder / "MODEL")
    with torch.no_grad():
        next(reader.model.scorer.causal.base_model.parameters()).fill_(float("nan"))
    encoded = encode_pool(reader, groups_of(folder), Rejects())
    with pytest.raises(DataError, match="not finite") as caught:
        hidden_features(reader, encoded, token_budget=100)
    assert caught.value.code == "label.features"


def test_memory_that_runs_out_is_said_with_what_to_do(folder, monkeypatch):
    def full(reader, groups):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr("prefsmith.evaluate.hidden._means", full)
    with pytest.raises(ConfigError, match="memory ran out on") as caught:
        label_next(Asked(str(folder / "pool.jsonl"), 2, model=str(folder / "MODEL")))
    assert caught.value.code == "eval.memory" and "--token-budget" in caught.value.fix
