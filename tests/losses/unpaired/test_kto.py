"""KTO: where it starts, which way it goes, where it ends, and its reference point."""

import math

import pytest
import torch
from losses.slopes import at, sequence_scores
from losses.worlds import column

from prefsmith.losses import LOSSES, resolve
from prefsmith.types import Ratings, join_labels, join_scores

QUALITIES = (0.9, 0.7, 0.6, 0.4, 0.2)


def thumbs(qualities, mismatched):
    """Each completion twice, thumb up with its share and thumb down with the rest."""
    seq = torch.arange(len(qualities)).repeat(2)
    value = torch.cat([torch.ones(len(qualities)), torch.zeros(len(qualities))]).double()
    weight = torch.cat([column(*qualities), 1 - column(*qualities)])
    return Ratings(seq, value, weight, torch.as_tensor(mismatched))


def rated(*values, mismatched):
    many = len(values)
    return Ratings(torch.arange(many), column(*values), torch.ones(many).double(), torch.tensor(mismatched))


@pytest.mark.parametrize(("up", "down"), [(1.0, 1.0), (1.5, 2.0), (0.0, 1.0)])
def test_it_starts_at_half_the_weight_of_the_class(up, down):
    labels = rated(1.0, 0.0, 0.0, mismatched=[3])
    values, _ = at("kto", [0.0] * 4, labels, desirable_weight=up, undesirable_weight=down)
    assert values.tolist() == [up / 2, down / 2, down / 2]


@pytest.mark.parametrize("undesirable_weight", [1.0, 2.0])
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_the_first_move_is_thresholded_on_the_share_of_thumbs_up(beta, undesirable_weight):
    labels = thumbs(QUALITIES, [5])
    policy = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    scores = sequence_scores(policy.detach(), reference=[0.0] * 6)
    term = resolve("kto", {"beta": beta, "undesirable_weight": undesirable_weight})
    scores = type(scores)(policy, scores.reference, scores.tokens)
    (labels.weight * term(scores, labels)).sum().backward()
    wanted = beta / 4 * (column(*QUALITIES) - undesirable_weight * (1 - column(*QUALITIES)))
    torch.testing.assert_close(-policy.grad[:5], wanted)


def test_with_unlabelled_mass_it_ends_above_the_reference_for_a_majority_and_far_below_for_a_minority():
    """A policy over five rated completions and one that nobody rated and that holds half of the reference's mass."""
    reference = column(*[0.1] * 5, 0.5).log()
    logits = reference.clone().requires_grad_()
    labels, term = thumbs(QUALITIES, range(5)), resolve("kto", {"beta": 1.0})
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(1500):
        optimizer.zero_grad()
        scores = sequence_scores(reference, reference=reference)
        scores = type(scores)(logits.log_softmax(0), reference, scores.tokens)
        (labels.weight * term(scores, labels)).sum().backward()
        optimizer.step()
    ended = (logits.detach().log_softmax(0) - reference)[:5]
    assert ended.sign().tolist() == [1, 1, 1, -1, -1]
    assert ended[3:].max() < -5 and ended[0] > ended[1] > ended[2]


def test_the_reference_point_moves_no_weight():
    """Caught: z0 with a gradient, which would raise the mismatched answers."""
    labels = rated(1.0, 0.0, mismatched=[2, 3])
    _, gradient = at("kto", [0.3, -0.2, 0.7, 0.9], labels, beta=1.0)
    assert gradient[2:].tolist() == [0.0, 0.0] and (gradient[:2] != 0).all()
    wanted = torch.sigmoid(column(0.3 - 0.8, -0.2 - 0.8))
    torch.testing.assert_close(gradient[:2], column(-1.0, 1.0) * wanted * (1 - wanted))


@pytest.mark.parametrize("ratios", [(-3.0, -1.0), (-0.5, 0.4)])
def test_the_reference_point_is_never_negative(ratios):
    """Caught: clamping each answer and not their mean, and not clamping at all."""
    values, _ = at("kto", [0.5, *ratios], rated(1.0, mismatched=[1, 2]), beta=1.0)
    assert values.item() == pytest.approx(1 - 1 / (1 + math.exp(-0.5)))


@pytest.mark.parametrize("sizes", [(2, 4), (3, 3), (1, 1, 4), (6,)])
def test_the_value_does_not_depend_on_how_the_step_is_divided(sizes):
    generator = torch.Generator().manual_seed(3)
    parts = []
    for size in sizes:
        drawn = torch.randn(2 * size, dtype=torch.float64, generator=generator) + 0.5
        labels = rated(*([1.0, 0.0] * size)[:size], mismatched=list(range(size, 2 * size)))
        parts.append((sequence_scores(drawn, reference=[0.0] * (2 * size)), labels))
    scores, labels = zip(*parts, strict=True)
    whole = join_labels(list(labels), [2 * size for size in sizes])
    found = LOSSES["kto"].fn(join_scores(list(scores)), whole, beta=1.0)
    ratios = join_scores(list(scores)).policy
    z0 = ratios[whole.mismatched].mean().clamp(min=0)
    sign = 2 * whole.value - 1
    torch.testing.assert_close(found, 1 - torch.sigmoid(sign * (ratios[whole.seq] - z0)))
    apart = torch.cat([LOSSES["kto"].fn(*each, beta=1.0) for each in parts])
    assert len(sizes) == 1 or not torch.allclose(found, apart)


def test_without_answers_to_other_prompts_it_refuses():
    labels = Ratings(torch.tensor([0]), column(1.0), column(1.0))
    with pytest.raises(ValueError, match="mismatched"):
        at("kto", [0.0], labels)
