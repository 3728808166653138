"""What every loss must keep. A new loss is tested by being registered."""

import pytest
import torch

from prefsmith.errors import ConfigError
from prefsmith.losses import LOSSES, resolve
from prefsmith.losses.domain import evaluate
from prefsmith.losses.registry import Term
from prefsmith.types import Preferences, Ratings, SequenceScores, join_labels, join_scores

EVERY_LOSS = pytest.mark.parametrize("entry", LOSSES.values(), ids=LOSSES)
SEQS = 6


def column(*values):
    return torch.tensor(values, dtype=torch.float64)


def scores(policy, reference=None, tokens=None):
    policy = policy if isinstance(policy, torch.Tensor) else column(*policy)
    reference = policy.detach() if reference is None else column(*reference)
    tokens = torch.tensor(tokens) if tokens is not None else torch.arange(1, len(policy) + 1)
    return SequenceScores(policy, reference, tokens)


def random_scores(seed=0, seqs=SEQS):
    generator = torch.Generator().manual_seed(seed)
    policy = -20 * torch.rand(seqs, dtype=torch.float64, generator=generator) - 1
    reference = policy + torch.randn(seqs, dtype=torch.float64, generator=generator)
    return SequenceScores(policy, reference, torch.randint(1, 9, (seqs,), generator=generator))


def pairs(*members, prob=1.0, weight=1.0):
    chosen, rejected = zip(*members, strict=True)
    n = len(members)
    return Preferences(
        torch.tensor(chosen),
        torch.tensor(rejected),
        torch.full((n,), prob, dtype=torch.float64),
        torch.full((n,), weight, dtype=torch.float64),
        torch.full((n,), float("nan"), dtype=torch.float64),
    )


def ratings(*members, weight=1.0, mismatched=(4, 5)):
    seq, value = zip(*members, strict=True)
    return Ratings(
        torch.tensor(seq),
        column(*value),
        torch.full((len(members),), weight, dtype=torch.float64),
        torch.tensor(mismatched),
    )


def labels_for(entry, weight=1.0):
    """Two labels on the first four of six sequences; the last two answer other prompts."""
    if entry.kind == "pairwise":
        return pairs((0, 1), (2, 3), prob=0.8 if entry.soft_labels else 1.0, weight=weight)
    return ratings((0, 1.0), (1, 1.0 if entry.desirable_only else 0.0), weight=weight)


@EVERY_LOSS
def test_value_where_policy_is_reference_is_the_declared_one(entry):
    if entry.start is None:
        pytest.skip("declares no start value: it depends on the policy itself")
    same, labels = scores([-7.0, -9.0, -3.0, -4.5, -2.0, -6.0]), labels_for(entry)
    term = Term(entry, entry.defaults)
    torch.testing.assert_close(term(same, labels), term.start(same, labels), rtol=1e-12, atol=0)


@EVERY_LOSS
def test_first_move_has_the_declared_direction(entry):
    policy = column(-7.0, -9.0, -3.0, -4.5, -2.0, -6.0).requires_grad_(True)
    labels = (
        pairs((0, 1)) if entry.kind == "pairwise" else ratings((0, 1.0), *([] if entry.desirable_only else [(1, 0.0)]))
    )
    entry.fn(scores(policy), labels).sum().backward()
    move = (-policy.grad[:2]).sign().tolist()
    assert move == list(entry.first_move)
    assert policy.grad[2:].count_nonzero() == 0  # nobody else moves


@EVERY_LOSS
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gradient_matches_finite_differences(entry, seed):
    base, labels = random_scores(seed), labels_for(entry)
    policy = base.policy.clone().requires_grad_(True)

    def value(policy):
        own = scores(policy, base.reference.tolist(), base.tokens.tolist())
        # KTO's z0 is a number, not a function of the policy: finite differences would see it move.
        return entry.fn(own, labels)[:, None].sum(1)

    if entry.mismatched:
        frozen = base.policy[4:].clone()
        inner = policy.detach()[:4].requires_grad_(True)
        assert torch.autograd.gradcheck(lambda first: value(torch.cat([first, frozen])), inner)
    else:
        assert torch.autograd.gradcheck(value, policy)


@EVERY_LOSS
def test_reference_and_mismatched_sequences_get_no_gradient_and_nothing_is_changed(entry):
    base, labels = random_scores(), labels_for(entry)
    policy = base.policy.clone().requires_grad_(True)
    before = (policy.detach().clone(), base.reference.clone())
    entry.fn(SequenceScores(policy, base.reference, base.tokens), labels).sum().backward()
    assert policy.grad[4:].count_nonzero() == 0
    assert torch.equal(policy, before[0]) and torch.equal(base.reference, before[1])


@EVERY_LOSS
def test_swapping_the_pair_with_its_label_changes_nothing(entry):
    if entry.kind != "pairwise" or entry.soft_labels is None:
        pytest.skip("soft labels mean nothing to it")
    there, back = (entry.fn(random_scores(), pairs(p, prob=q)) for p, q in (((0, 1), 0.7), ((1, 0), 0.3)))
    torch.testing.assert_close(there, back, rtol=1e-12, atol=0)


@EVERY_LOSS
def test_probability_one_half_pulls_nowhere_at_the_start(entry):
    if entry.kind != "pairwise" or entry.soft_labels is None:
        pytest.skip("soft labels mean nothing to it")
    policy = column(-7.0, -9.0).requires_grad_(True)
    entry.fn(scores(policy), pairs((0, 1), prob=0.5)).sum().backward()
    assert policy.grad.abs().max() < 1e-12


@EVERY_LOSS
def test_the_same_constant_on_policy_and_reference_changes_nothing(entry):
    if not entry.needs_reference:
        pytest.skip("has no reference")
    base, labels = random_scores(), labels_for(entry)
    shift = column(1.0, -2.0, 3.0, 0.5, 4.0, -1.0)
    moved = SequenceScores(base.policy + shift, base.reference + shift, base.tokens)
    torch.testing.assert_close(entry.fn(base, labels), entry.fn(moved, labels), rtol=1e-10, atol=1e-12)


@EVERY_LOSS
def test_order_of_labels_does_not_matter(entry):
    labels = labels_for(entry)
    turned = type(labels)(
        **{name: getattr(labels, name).flip(0) for name in labels.__slots__ if name != "mismatched"},
        **({"mismatched": labels.mismatched} if isinstance(labels, Ratings) else {}),
    )
    torch.testing.assert_close(entry.fn(random_scores(), labels).flip(0), entry.fn(random_scores(), turned))


@EVERY_LOSS
def test_joined_batches_give_what_they_give_apart_unless_it_looks_across_the_step(entry):
    one, two = random_scores(1), random_scores(2)
    labels = labels_for(entry)
    apart = torch.cat([entry.fn(one, labels), entry.fn(two, labels)])
    together = entry.fn(join_scores([one, two]), join_labels([labels, labels], [SEQS, SEQS]))
    assert torch.allclose(apart, together, rtol=1e-12) is not entry.across_step


@EVERY_LOSS
def test_data_weight_is_left_to_whoever_reduces(entry):
    base = random_scores()
    assert torch.equal(entry.fn(base, labels_for(entry, weight=1.0)), entry.fn(base, labels_for(entry, weight=5.0)))


@EVERY_LOSS
def test_exact_inside_its_domain_finite_and_straight_outside(entry):
    term, labels, far = Term(entry, entry.defaults), labels_for(entry), entry.domain

    def at(distance):
        policy = column(distance, -distance, 0.0, 0.0, 0.0, 0.0).requires_grad_(True)
        values, outside = evaluate(
            term, SequenceScores(policy, torch.zeros_like(policy).detach(), torch.ones(6).long()), labels
        )
        (gradient,) = torch.autograd.grad(values.sum(), policy)
        return values.detach(), gradient, outside

    for sign in (1, -1):
        values, gradient, outside = at(sign * far)
        assert outside == 0 and torch.isfinite(values).all() and torch.isfinite(gradient).all()
        beyond, steep, outside = at(sign * far * 3)
        assert outside == 2 and torch.isfinite(beyond).all()
        torch.testing.assert_close(steep, gradient)  # the slope of the border
        straight = values.sum() + (gradient[:2] * column(2 * far * sign, -2 * far * sign)).sum()
        torch.testing.assert_close(beyond.sum(), straight)


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
    with pytest.raises(ConfigError, match="did you mean 'dpo'"):
        resolve("dop", {})
    with pytest.raises(ConfigError, match="did you mean 'beta'"):
        resolve("dpo", {"betta": 1})
