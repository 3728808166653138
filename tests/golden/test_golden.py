"""Thirty steps on planted pairs give the losses and gradient norms that are stored beside this file.

`python tests/golden/test_golden.py` stores them anew: only where a change is meant to change numbers; say why.
"""

import json
import sys
import tempfile
from pathlib import Path

import pytest

STORED = Path(__file__).with_name("losses.json")
RUNS = {
    "dpo": {"loss": {"name": "dpo"}},
    "ipo": {"loss": {"name": "ipo", "length_norm": "token"}},
    "kto": {"loss": {"name": "kto"}},
    "sft": {"loss": {"name": "sft"}},
    "lora": {"adapter": {"kind": "lora"}},
}


def measured(name, folder):
    from planted import config_for, pairs, train

    steps = {"max_steps": 30, "epochs": 2, "pairs_per_step": 8, "token_budget": 64}
    run = train(config_for(folder, pairs(160, seed=7), train=steps, optim={"learning_rate": 1e-3}, **RUNS[name]))
    return [[row["loss"], row["grad_norm"]] for row in run.metrics if "split" not in row]


@pytest.mark.parametrize("name", RUNS)
def test_the_first_thirty_steps_are_what_they_were(tmp_path, name):
    expected = json.loads(STORED.read_text())[name]
    # Sums run in another order on another processor; 1e-4 is far above that and far below any change of a formula.
    for step, (got, stored) in enumerate(zip(measured(name, tmp_path), expected, strict=True), start=1):
        assert got == pytest.approx(stored, rel=1e-4), f"step {step}"


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import torch

    torch.set_num_threads(1)
    found = {name: measured(name, Path(tempfile.mkdtemp())) for name in RUNS}
    STORED.write_text(json.dumps(found, indent=0))
    print({name: (rows[0], rows[-1]) for name, rows in found.items()})
