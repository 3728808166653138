"""What every loss must keep. A new loss is tested by being registered."""

import json
from dataclasses import replace

import pytest
import torch
from losses.worlds import LABELLED, labels_for, lists, pairs, ratings, summed, taken, world

from prefsmith.errors import ConfigError
from prefsmith.losses import LOSSES, resolve
from prefsmith.losses.domain import evaluate
from prefsmith.losses.registry import Entry, Term
from prefsmith.types import join_labels, join_scores

EVERY_LOSS = pytest.mark.parametrize("entry", LOSSES.values(), ids=LOSSES)
READS_THE_POLICY = {"alpha_dpo"}  # has a reference, and the policy's own log-probabilities beside it
HOLDS_STILL = {"kto", "tdpo2", "alpha_dpo", "beta_dpo"}  # a part of the value is a number to the gradient
SCHEDULED = {"dpo_shift"}  # its memory counts steps, and by default they change nothing


def term_of(entry: Entry, **settings):
    return resolve(entry.name, settings)


def reduced(term, scores, labels, state=None):
    """What a step makes of the values: their mean by data weight."""
    return (labels.weight * term(scores, labels, state)).sum() / labels.weight.sum()


def swapped(entry: Entry, prob):
    there = labels_for(entry)
    there = replace(there, prob=torch.full_like(there.prob, prob))
    turned = replace(
        there, chosen=there.rejected, rejected=there.chosen, prob=1 - there.prob, score_gap=-there.score_gap
    )
    return there, turned


@EVERY_LOSS
def test_value_where_policy_is_reference_is_the_declared_one(entry):
    if entry.start is None:
        assert not entry.needs_reference or entry.name in READS_THE_POLICY, "a start value exists and is not declared"
        pytest.skip("declares no start value: it depends on the policy itself")
    scores, labels = world(same=True).scores(entry), labels_for(entry)
    term = term_of(entry)
    torch.testing.assert_close(term(scores, labels), term.start(scores, labels), rtol=1e-12, atol=1e-15)


@EVERY_LOSS
def test_first_move_has_the_declared_direction(entry):
    if entry.first_move is None:
        pytest.skip("depends on the data")
    start = world(same=True).with_gradients()
    labels = {
        "pairwise": pairs((0, 1)),
        "unpaired": ratings((0, 1.0), *([] if entry.desirable_only else [(1, 0.0)])),
        "listwise": lists((0, 2, 1)),
    }[entry.kind]
    term_of(entry)(start.scores(entry), labels).sum().backward()
    move = (-summed(start.policy.grad)[:2]).sign().tolist()
    assert move == list(entry.first_move)
    assert start.policy.grad[sum(start.lengths[:3]) :].count_nonzero() == 0  # nobody else moves


@EVERY_LOSS
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gradient_matches_finite_differences(entry, seed):
    base, labels, term = world(seed), labels_for(entry), term_of(entry)
    state = term.next_state(term.first_state(), world(9).scores(entry), labels)

    def value(policy, kl):
        return term(replace(base, policy=policy, kl=kl).scores(entry), labels, state)

    leaves = base.with_gradients()
    agree = torch.autograd.gradcheck(value, (leaves.policy, leaves.kl), raise_exception=entry.name not in HOLDS_STILL)
    if entry.name in HOLDS_STILL:  # the tests of its family say what its gradient is
        z0_is_held_at_zero = entry.name == "kto" and (base.policy - base.reference)[-5:].sum() < 0
        assert not agree or z0_is_held_at_zero, "nothing is held still: take it off the list"


@EVERY_LOSS
def test_unlabelled_sequences_get_no_gradient_and_nothing_is_changed(entry):
    base, labels = world().with_gradients(), labels_for(entry)
    before = [each.detach().clone() for each in (base.policy, base.reference, base.kl, base.confidence)]
    term_of(entry)(base.scores(entry), labels).sum().backward()
    assert base.policy.grad[sum(base.lengths[:LABELLED]) :].count_nonzero() == 0
    for now, then in zip((base.policy, base.reference, base.kl, base.confidence), before, strict=True):
        assert torch.equal(now, then)


@EVERY_LOSS
@pytest.mark.parametrize("prob", [0.0, 0.3, 0.5, 1.0])
def test_swapping_the_pair_with_its_label_changes_nothing(entry, prob):
    if entry.kind != "pairwise" or entry.soft_labels is None:
        pytest.skip("soft labels mean nothing to it")
    there, back = swapped(entry, prob)
    term, scores = term_of(entry), world().scores(entry)
    torch.testing.assert_close(term(scores, there), term(scores, back), rtol=1e-12, atol=1e-15)


@EVERY_LOSS
def test_probability_one_half_pulls_nowhere_at_the_start(entry):
    if entry.kind != "pairwise" or entry.soft_labels is None or not entry.neutral_tie:
        pytest.skip("a tie means nothing to it, or something of its own")
    start = world(same=True, lengths=(3, 3, 4, 4, 1, 1, 1, 1)).with_gradients()
    there, _ = swapped(entry, 0.5)
    term_of(entry)(start.scores(entry), there).sum().backward()
    assert start.policy.grad.abs().max() < 1e-12


@EVERY_LOSS
def test_the_same_constant_on_policy_and_reference_changes_nothing(entry):
    if not entry.needs_reference or entry.name in READS_THE_POLICY:
        pytest.skip("reads the policy itself")
    base, labels, term = world(), labels_for(entry), term_of(entry)
    shift = torch.linspace(-3, 4, len(base.policy), dtype=torch.float64)
    moved = replace(base, policy=base.policy + shift, reference=base.reference + shift)
    torch.testing.assert_close(
        term(base.scores(entry), labels), term(moved.scores(entry), labels), rtol=1e-10, atol=1e-12
    )


@EVERY_LOSS
def test_order_of_labels_does_not_matter(entry):
    labels, term, scores = labels_for(entry), term_of(entry), world().scores(entry)
    turned = taken(labels, list(reversed(range(len(labels)))))
    torch.testing.assert_close(term(scores, labels).flip(0), term(scores, turned))


@EVERY_LOSS
def test_joined_batches_give_what_they_give_apart_unless_it_looks_across_the_step(entry):
    one, two = world(1).scores(entry), world(2).scores(entry)
    labels, term = labels_for(entry), term_of(entry)
    apart = torch.cat([term(one, labels), term(two, labels)])
    together = term(join_scores([one, two]), join_labels([labels, labels], [8, 8]))
    if entry.name in {"beta_dpo", "length", "constraint"}:
        return  # across the step only once they remember one, or once the bound is crossed: tested with their family
    assert torch.allclose(apart, together, rtol=1e-12) is not entry.across_step


@EVERY_LOSS
def test_data_weight_is_left_to_whoever_reduces(entry):
    scores, term = world().scores(entry), term_of(entry)
    torch.testing.assert_close(
        term(scores, labels_for(entry, weight=1.0)), term(scores, labels_for(entry, weight=5.0)), rtol=1e-12, atol=1e-15
    )


@EVERY_LOSS
def test_a_label_of_weight_two_counts_as_two_labels(entry):
    """Also in what is remembered, and in what looks across the step."""
    labels, term, scores = labels_for(entry), term_of(entry), world().scores(entry)
    weight = torch.ones_like(labels.weight)
    weight[0] = 2
    heavy, twice = replace(labels, weight=weight), taken(labels, [0, *range(len(labels))])
    torch.testing.assert_close(reduced(term, scores, heavy), reduced(term, scores, twice), rtol=1e-10, atol=1e-14)
    after = [term.next_state(term.first_state(), scores, each) for each in (heavy, twice)]
    assert after[0] == pytest.approx(after[1], rel=1e-10)


@EVERY_LOSS
def test_what_is_remembered_is_a_handful_of_numbers_that_matter(entry):
    term, scores, labels = term_of(entry), world().scores(entry), labels_for(entry)
    first = term.first_state()
    after = term.next_state(first, scores, labels)
    if entry.memory is None:
        assert first == after == {}
        return
    assert set(first) == set(after) and after != first
    assert json.loads(json.dumps(after)) == after and all(isinstance(value, float | int) for value in after.values())
    assert term.first_state() == first  # nothing is kept outside
    changed = not torch.equal(term(scores, labels, after), term(scores, labels, first))
    assert changed or entry.name in SCHEDULED


@EVERY_LOSS
def test_whatever_draws_sees_the_whole_step_and_draws_from_its_noise_alone(entry):
    if not entry.random:
        pytest.skip("draws nothing")
    assert entry.across_step
    term, scores, labels = term_of(entry), world().scores(entry), labels_for(entry)
    state = term.next_state(term.first_state(), scores, labels)
    noise = torch.tensor([0.2, 0.7], dtype=torch.float64)
    assert torch.equal(term(scores, labels, state, noise), term(scores, labels, state, noise))


@EVERY_LOSS
def test_exact_inside_its_domain_finite_and_straight_outside(entry):
    term, labels, domain = term_of(entry), labels_for(entry, hard=True), entry.domain
    lengths = (1,) * 8

    def at(low, high):
        base = replace(world(same=True, lengths=lengths), reference=torch.zeros(8, dtype=torch.float64))
        policy = torch.tensor([low, high, 0, 0, 0, 0, 0, 0], dtype=torch.float64)
        policy = policy.clamp(domain.low, domain.high).index_copy(
            0, torch.tensor([0, 1]), torch.tensor([low, high], dtype=torch.float64)
        )
        base = replace(base, policy=policy).with_gradients()
        values, outside = evaluate(term, base.scores(entry), labels)
        (gradient,) = torch.autograd.grad(values.sum(), base.policy)
        return values.detach(), gradient, outside

    for low, high in ((domain.low, domain.high), (domain.high, domain.low)):
        values, gradient, outside = at(low, high)
        assert outside == 0 and torch.isfinite(values).all() and torch.isfinite(gradient).all()
        step = {domain.low: domain.low - abs(domain.low), domain.high: domain.high + abs(domain.high)}
        beyond, steep, outside = at(step[low], step[high])
        assert outside == 2 and torch.isfinite(beyond).all() and torch.isfinite(steep).all()
        if "per_token" in entry.needs:
            continue  # reads tokens, which are finite wherever they are
        torch.testing.assert_close(steep, gradient)  # the slope of the border
        moved = torch.tensor([step[low] - low, step[high] - high], dtype=torch.float64)
        torch.testing.assert_close(beyond.sum(), values.sum() + (gradient[:2] * moved).sum())


@EVERY_LOSS
def test_every_default_is_inside_its_range_and_text_is_converted(entry):
    as_text = {name: str(value) for name, value in entry.defaults.items()}
    assert resolve(entry.name, as_text).settings == entry.defaults


@EVERY_LOSS
def test_a_page_has_formula_settings_and_source(entry):
    page = entry.fn.__doc__
    assert "L = " in page and "Source:" in page and ("minimum" in page or "smallest" in page)
    for name in entry.settings:
        assert f"{name}:" in page, f"the page of {entry.name} does not explain {name}"


def test_memory_and_noise_come_in_through_the_arguments():
    for entry in LOSSES.values():
        term = Term(entry, entry.defaults)
        assert (entry.memory is None) is (term.first_state() == {})


@pytest.mark.parametrize(
    ("name", "settings", "code"),
    [
        ("dop", {}, "loss.unknown"),
        ("dpo", {"betta": 1}, "loss.setting"),
        ("dpo", {"beta": 0}, "loss.value"),
        ("dpo", {"beta": "-1"}, "loss.value"),
        ("dpo", {"beta": "nan"}, "loss.value"),
        ("dpo", {"beta": True}, "loss.value"),
        ("dpo", {"beta": [1]}, "loss.value"),
        ("dpo", {"label_smoothing": 0.5}, "loss.value"),
        ("robust_dpo", {"noise": 0.5}, "loss.value"),
        ("robust_dpo", {"noise": 0.7}, "loss.value"),
        ("ipo", {"length_norm": "words"}, "loss.value"),
        ("kto", {"desirable_weight": -0.1}, "loss.value"),
        ("sft", {"beta": 0.1}, "loss.setting"),
    ],
)
def test_wrong_names_and_values_are_refused(name, settings, code):
    with pytest.raises(ConfigError) as caught:
        resolve(name, settings)
    assert caught.value.code == code and caught.value.where.startswith("loss.")


def test_nearest_names_are_offered():
    with pytest.raises(ConfigError, match="did you mean 'dpop' or 'dpo'"):
        resolve("dop", {})
    with pytest.raises(ConfigError, match="did you mean 'beta'"):
        resolve("dpo", {"betta": 1})


@pytest.mark.parametrize(
    ("name", "settings", "beta"),
    [
        ("dpo", {"beta": 0.3}, 0.3), ("ipo", {"tau": 0.2}, 0.2), ("ipo", {"tau": 0.2, "length_norm": "token"}, None),
        ("dpo_norm", {}, None), ("alpha_dpo", {}, None), ("simpo", {}, None), ("sft", {}, None),
    ],
)  # fmt: skip
def test_beta_is_only_that_of_a_whole_answer_s_log_ratio(name, settings, beta):
    """A reward per token times the log-ratio of an answer would be a reward that the loss never saw."""
    assert resolve(name, settings).beta == beta


@pytest.mark.parametrize(("value", "word"), [(False, "no"), (True, "yes"), ("no", "no")])
def test_words_that_yaml_reads_as_truth_values_are_words(value, word):
    assert resolve("wpo", {"clamp": value}).settings["clamp"] == word
    with pytest.raises(ConfigError):
        resolve("ipo", {"length_norm": value})
