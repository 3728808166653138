"""Metrics worked out by hand."""

import errno
import json
import math
import os
from contextlib import closing
from pathlib import Path

import pytest
import torch

from prefsmith.errors import TrainingError
from prefsmith.losses import resolve
from prefsmith.train.monitor import MetricsLog, as_row, evidence, line_of, read_rows, require_finite, require_same_start
from prefsmith.train.objective import Objective
from prefsmith.train.step import Scored
from prefsmith.types import Preferences, Ratings, SequenceScores


def column(*values):
    return torch.tensor(values, dtype=torch.float64)


def scored(ratios, pairs=(), prob=(), weight=(), ratings=None, reference=True):
    policy = column(*ratios)
    prefs = Preferences(
        torch.tensor([c for c, _ in pairs], dtype=torch.int64),
        torch.tensor([r for _, r in pairs], dtype=torch.int64),
        column(*prob),
        column(*weight),
        column(*(math.nan for _ in pairs)),
    )
    scores = SequenceScores(policy, torch.zeros_like(policy) if reference else None, torch.ones(len(policy)).long())
    return Scored(0.5, scores, (ratings if ratings is not None else prefs,), prefs, 0)


def test_averages_are_weighted_and_a_tie_counts_one_half():
    seen = evidence(scored([2.0, 1.0, 3.0, 3.0, 0.0, 4.0], [(0, 1), (2, 3), (4, 5)], (1, 1, 1), (1, 2, 3)))
    assert seen.accuracy == pytest.approx((1 * 1 + 2 * 0.5 + 3 * 0) / 6)
    assert seen.margin == pytest.approx((1 * 1 + 2 * 0 + 3 * -4) / 6)
    assert seen.chosen_logratio == pytest.approx((2 + 2 * 3 + 0) / 6)
    assert seen.rejected_logratio == pytest.approx((1 + 2 * 3 + 3 * 4) / 6)
    assert seen.effective == pytest.approx(36 / 14)


def test_a_label_below_one_half_prefers_the_other_side_and_one_half_prefers_none():
    seen = evidence(scored([2.0, 1.0, 5.0, 0.0], [(0, 1), (2, 3)], (0.2, 0.5), (1, 1)))
    assert (seen.pairs, seen.accuracy, seen.margin) == (1, 0.0, -1.0)


def test_ratings_without_pairs_count_the_sign_of_their_log_ratio():
    ratings = Ratings(torch.tensor([0, 1, 2]), column(1, 0, 0), column(1, 1, 2))
    seen = evidence(scored([1.0, -2.0, 3.0], ratings=ratings))
    assert seen.accuracy == pytest.approx(2 / 4)
    assert seen.margin == pytest.approx(1.0 - (-2 + 2 * 3) / 3)


def test_without_reference_there_is_no_evidence():
    seen = evidence(scored([1.0, 0.0], [(0, 1)], (1,), (1,), reference=False))
    assert seen.accuracy is None and seen.margin is None


def test_margin_is_in_nats_and_reward_margin_is_beta_times_it():
    row = as_row(scored([2.0, 1.0], [(0, 1)], (1,), (1,)), Objective((resolve("dpo", {"beta": 0.3}),)))
    assert (row["margin"], row["reward_margin"], row["pairs"], row["tokens"]) == (1.0, pytest.approx(0.3), 1, 2)


def test_a_start_away_from_the_reference_is_refused():
    with pytest.raises(TrainingError, match=r"differ by 0\.5 nats") as caught:
        require_same_start(column(0.0, 0.5), column(0.0, 0.0), where="pairs.jsonl:1", fix="mend")
    assert (caught.value.code, caught.value.where, caught.value.fix) == ("train.start", "pairs.jsonl:1", "mend")
    require_same_start(column(0.0, 5e-4), column(0.0, 0.0), where="", fix="")


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (1.0, math.inf)])
def test_values_that_are_not_finite_stop_and_name_the_rows(loss, norm):
    with pytest.raises(TrainingError) as caught:
        require_finite(3, loss, norm, ["a:1", "a:2"])
    assert caught.value.code == "train.nonfinite" and caught.value.where == "a:1, a:2" and "step 3" in caught.value.what


def test_the_log_is_cut_to_where_a_checkpoint_was_made(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write({"step": 1})
    length = log.sync()
    log.write({"step": 2})
    log.close()
    again = MetricsLog(tmp_path / "metrics.jsonl")
    again.rewind(length)
    again.write({"step": 2, "again": True})
    again.close()
    assert read_rows(tmp_path / "metrics.jsonl") == [{"step": 1}, {"step": 2, "again": True}]
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0]) == {"step": 1}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk here that is always full")
def test_a_row_that_cannot_be_written_is_told_once_and_closing_adds_nothing():
    with (
        pytest.raises(TrainingError, match="metrics cannot be written: No space left") as caught,
        closing(MetricsLog(Path("/dev/full"))) as log,
    ):
        log.write({"step": 1})
    assert caught.value.code == "run.write"


@pytest.mark.parametrize("call", ["fsync", "ftruncate"])
def test_a_disk_that_fails_while_the_log_is_cut_or_synced_is_told(tmp_path, monkeypatch, call):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write({"step": 1})
    file = log.file

    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(log, "file", type("Failing", (), {"tell": file.tell, "truncate": fail})())
    with closing(file), pytest.raises(TrainingError, match="Input/output error"):
        log.sync() if call == "fsync" else log.rewind(0)


def test_a_log_that_has_lost_rows_says_so_and_keeps_the_rest(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write({"step": 1})
    assert log.rewind(10_000) is False
    log.close()
    assert read_rows(tmp_path / "metrics.jsonl") == [{"step": 1}]


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.7, '"the shorter is better" 0.700 [0.600, 0.800]'), (0.2, '"the longer is better" 0.800 [0.700, 0.900]')],
)
def test_beside_the_accuracy_stands_the_length_rule_that_is_harder_to_beat(share, words):
    row = {"split": "eval", "step": 3, "loss": 0.5, "shorter_accuracy": share}
    row |= {"shorter_accuracy_low": share - 0.1, "shorter_accuracy_high": share + 0.1}
    assert line_of(row, 3).endswith(words)
