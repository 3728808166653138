"""Noise of the sides, and prompts that are asked together."""

from prefsmith.evaluate.answers import _runs, noise


def test_methods_and_baseline_have_noise_of_their_own_under_every_seed():
    seeds = [noise(seed, part) for seed in range(50) for part in ("methods", "baseline")]
    assert len(set(seeds)) == 100 and min(seeds) >= 0
    assert noise(3, "methods") == noise(3, "methods")


def test_prompts_that_follow_each_other_are_asked_together():
    assert _runs([0, 1, 2, 5, 6, 9], 2) == [[0, 1], [2], [5, 6], [9]]
    assert _runs([0, 1, 2, 5, 6, 9], 64) == [[0, 1, 2], [5, 6], [9]]
    assert _runs([], 4) == []
