"""What a loss remembers goes from step to step, to held-out rows, and through a checkpoint."""

from itertools import groupby

import pytest
from planted import config_for, pairs

from prefsmith.run import fit
from prefsmith.train import reduction


class Stop(Exception):
    """The plug is pulled."""


def stop_after_three(row, _steps):
    if row["step"] == 3:
        raise Stop


def states_of(monkeypatch, config, **arguments):
    """The states in which bco is asked during a run, in order, each once."""
    seen = []

    def watched(term, scores, labels, state, noise):
        seen.append(state)
        return evaluate(term, scores, labels, state, noise)

    evaluate = reduction.evaluate
    with monkeypatch.context() as patch:
        patch.setattr(reduction, "evaluate", watched)
        fit(config, say=lambda line: None, **arguments)
    return [state for state, _ in groupby(seen)]


def config(folder):
    folder.mkdir()
    return config_for(
        folder,
        pairs(75),
        loss={"name": "bco", "beta": 0.5},
        train={"pairs_per_step": 16, "max_steps": 4},
        checkpoint={"every": 2},
        evaluate={"every": 2},
    )


def test_steps_and_held_out_rows_are_judged_by_the_steps_before(monkeypatch, tmp_path):
    states = states_of(monkeypatch, config(tmp_path / "run"))
    assert [state["count"] for state in states] == [0, 32, 64, 96, 128]  # the last by the evaluation at the end
    assert len({state["mean"] for state in states[1:]}) == 4


def test_a_run_that_goes_on_remembers_what_it_did(monkeypatch, tmp_path):
    whole = states_of(monkeypatch, config(tmp_path / "whole"))
    stopped = config(tmp_path / "stopped")
    with pytest.raises(Stop):
        fit(stopped, say=lambda line: None, watch=stop_after_three)
    assert states_of(monkeypatch, stopped, resume=True) == whole[2:]
