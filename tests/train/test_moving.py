"""Runs whose reference follows the policy (TR-DPO)."""

import math

import pytest
from planted import config_for, pairs, train

LORA = {"adapter": {"kind": "lora", "rank": 4}}


def rows(config):
    return [row for row in train(config).metrics if "split" not in row]


def config(folder, **sections):
    folder.mkdir(exist_ok=True)
    return config_for(folder, pairs(70), **{"train": {"pairs_per_step": 16, "epochs": 2}, **sections})


@pytest.mark.parametrize("adapter", [{}, LORA], ids=["full", "lora"])
def test_after_a_hard_move_training_starts_from_the_reference_again(tmp_path, adapter):
    moved = rows(config(tmp_path, reference={"kind": "ema", "alpha": 1.0, "every": 3}, **adapter))
    assert [row["step"] for row in moved if row.get("reference_moved")] == [3, 6]
    for row in moved:
        at_reference = row["step"] in (1, 4, 7)
        assert (abs(row["chosen_logratio"]) < 1e-4) is at_reference
        assert (row["loss"] == pytest.approx(math.log(2), abs=1e-5)) is at_reference


@pytest.mark.parametrize("adapter", [{}, LORA], ids=["full", "lora"])
def test_a_soft_move_goes_part_of_the_way(tmp_path, adapter):
    """The log-ratio behind a move is smaller than without one, and not yet nothing."""
    still, soft = (
        rows(config(tmp_path / name, reference=reference, **adapter))
        for name, reference in (("still", {}), ("soft", {"kind": "ema", "alpha": 0.5, "every": 4}))
    )
    assert soft[:4] and [row["loss"] for row in soft[:4]] == [row["loss"] for row in still[:4]]
    assert 1e-3 < abs(soft[4]["rejected_logratio"]) < abs(still[4]["rejected_logratio"])
