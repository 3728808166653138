"""prefsmith's arms and the padded loop compute the same; TRL's need its environment, and are held to it by the page."""

import pytest
from speed import model, ours
from speed.arms import ARMS, MEMORY
from speed.exact import norm
from speed.lengths import Lengths

PAIRS = [Lengths(9, 5, 8), Lengths(4, 7, 3), Lengths(12, 2, 2)]
VOCABULARY = 50


@pytest.mark.parametrize("adapter", [False, True])
def test_every_arm_of_ours_gives_the_exact_loss_and_gradient(adapter):
    arms = ours.Arms(VOCABULARY, adapter, model.ids_of(PAIRS, VOCABULARY))
    batch = [2, 0]
    loss, size = arms.exact(batch)
    assert loss != pytest.approx(0.693147, abs=1e-5)  # policy and reference differ, or nothing would be compared
    for arm in (*(key for key, each in ARMS.items() if each.side == "ours"), *MEMORY):
        found = arms.gradient(arm, batch)
        assert (found, norm(arms.weights())) == pytest.approx((loss, size), rel=2e-6), arm
        arms.drop()


def test_a_step_moves_the_weights_of_its_arm_alone_and_drops_the_gradient():
    arms = ours.Arms(VOCABULARY, False, model.ids_of(PAIRS, VOCABULARY))
    before = [each.clone() for each in arms.policy.model.parameters()]
    arms.gradient("padded", [0, 1])
    arms.update()
    assert all(bool((one == other).all()) for one, other in zip(before, arms.policy.model.parameters(), strict=True))
    arms.gradient("cached", [0, 1])
    arms.update()
    moved = [bool((one != other).any()) for one, other in zip(before, arms.policy.model.parameters(), strict=True)]
    assert any(moved) and all(each.grad is None for each in arms.weights())


def test_both_sides_begin_with_the_same_numbers_whatever_else_is_drawn():
    first = [each.clone() for each in model.policy(VOCABULARY).parameters()]
    again = list(model.policy(VOCABULARY).parameters())
    assert all(bool((one == other).all()) for one, other in zip(first, again, strict=True))
    assert [len(each["chosen_ids"]) for each in model.ids_of(PAIRS, VOCABULARY)] == [5, 7, 2]
