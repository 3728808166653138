"""Head, loss and gradient in one sweep: the numbers of autograd, with fewer products and whole groups at a time."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import encoded_groups
from torch import nn

from prefsmith.data.pack import pack
from prefsmith.model import logprobs, sweep
from prefsmith.model.bend import STRAIGHT, Bend
from prefsmith.model.logprobs import plain_head_measures
from prefsmith.model.measure import exponentials, measure
from prefsmith.model.sweep import Part, parts_of

VOCABULARY, HIDDEN = 11, 5
SIZES = (2, 3, 1, 4)  # rows of each group


def problem(*, bias=True, frozen=False):
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(sum(SIZES), HIDDEN, generator=generator, dtype=torch.float64)
    linear = nn.Linear(HIDDEN, VOCABULARY, bias=bias).double().requires_grad_(not frozen)
    with torch.no_grad():
        for each in linear.parameters():
            each.normal_(generator=generator)
    return rows, linear, torch.randint(VOCABULARY, (sum(SIZES),), generator=generator)


def slopes_of(nats, groups):
    """A loss in which the tokens of a group have to do with each other, and groups with none but themselves."""
    pulls = []
    for part in nats.split(SIZES[groups]):
        leaf = part.detach().requires_grad_(True)
        pulls.append(torch.autograd.grad(torch.tanh(leaf.sum() / 4) + (leaf**2).mean(), leaf)[0])
    return torch.cat(pulls)


def by_autograd(rows, linear, targets, bend=STRAIGHT):
    leaf = rows.clone().requires_grad_(True)
    logits = linear(leaf) * bend.scale / bend.divisor
    logits = logits if bend.cap is None else bend.cap * torch.tanh(logits / bend.cap)
    nats = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]
    wanted = [leaf, *(each for each in linear.parameters() if each.requires_grad)]
    return nats.detach(), torch.autograd.grad((nats * slopes_of(nats, slice(0, len(SIZES)))).sum(), wanted)


def parts(*groups_each):
    made, group, row = [], 0, 0
    for many in groups_each:
        rows = sum(SIZES[group : group + many])
        made.append(Part(slice(group, group + many), slice(row, row + rows)))
        group, row = group + many, row + rows
    return made


@pytest.mark.parametrize("kept", [10**6, 1], ids=["kept", "made again"])
@pytest.mark.parametrize("division", [(4,), (1, 1, 1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("shape", [{}, {"bias": False}, {"frozen": True}])
def test_values_and_gradients_are_those_of_autograd(monkeypatch, kept, division, shape):
    monkeypatch.setattr(sweep, "KEPT_ELEMENTS", kept)
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", 2 * VOCABULARY)
    rows, linear, targets = problem(**shape)
    seen = {}

    def weigh(found, groups):
        seen[groups.start] = (groups, found.logprobs)
        return slopes_of(found.logprobs, groups)

    by_rows = sweep.sweep(rows, linear, targets, parts(*division), weigh)
    nats, (expected, *others) = by_autograd(rows, linear, targets)
    torch.testing.assert_close(by_rows, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(torch.cat([seen[start][1] for start in sorted(seen)]), nats, rtol=1e-12, atol=1e-13)
    assert [seen[start][0] for start in sorted(seen)] == [part.groups for part in parts(*division)]
    for parameter, gradient in zip(linear.parameters(), others, strict=False):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-12, atol=1e-13)
    assert shape.get("frozen") is None or all(each.grad is None for each in linear.parameters())


@pytest.mark.parametrize("kept", [10**6, 1], ids=["kept", "made again"])
@pytest.mark.parametrize("bend", [Bend(scale=0.3), Bend(divisor=4.0), Bend(cap=1.5), Bend(2.0, 3.0, 0.7)])
def test_logits_that_are_scaled_and_bounded(monkeypatch, kept, bend):
    monkeypatch.setattr(sweep, "KEPT_ELEMENTS", kept)
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", 2 * VOCABULARY)
    rows, linear, targets = problem()
    expected = by_autograd(rows, linear, targets, bend)[1]
    by_rows = sweep.sweep(
        rows, linear, targets, parts(1, 3), lambda found, part: slopes_of(found.logprobs, part), bend=bend
    )
    torch.testing.assert_close((by_rows, linear.weight.grad, linear.bias.grad), expected, rtol=1e-12, atol=1e-13)
    whole = plain_head_measures(
        leaf := rows.clone().requires_grad_(True), linear.weight, linear.bias, targets, bend=bend
    )
    nats = whole.logprobs
    (again,) = torch.autograd.grad((nats * slopes_of(nats.detach(), slice(0, 4))).sum(), leaf)
    torch.testing.assert_close(again, expected[0], rtol=1e-12, atol=1e-13)


def test_gradients_are_added_to_those_that_are_there():
    rows, linear, targets = problem()
    for times in (1, 2):
        sweep.sweep(rows, linear, targets, parts(4), lambda found, groups: slopes_of(found.logprobs, groups))
        _, (_, weight, bias) = by_autograd(rows, linear, targets)
        torch.testing.assert_close(linear.weight.grad, times * weight)
        torch.testing.assert_close(linear.bias.grad, times * bias)


@pytest.mark.parametrize(("frozen", "products"), [(False, 3), (True, 2)])
def test_a_part_takes_three_products_and_two_with_a_frozen_head(monkeypatch, frozen, products):
    counts = []
    for name in ("affine", "product", "add_product"):
        real = getattr(sweep, name)
        monkeypatch.setattr(sweep, name, lambda *given, real=real, name=name: counts.append(name) or real(*given))
    rows, linear, targets = problem(frozen=frozen)
    sweep.sweep(rows, linear, targets, parts(2, 2), lambda found, groups: slopes_of(found.logprobs, groups))
    assert len(counts) == 2 * products


@given(st.integers(1, 40))
def test_parts_are_whole_groups_in_order_and_no_larger_than_they_may_be(most):
    groups = encoded_groups(6)
    batch = pack(groups)
    rows = [sum(len(each.ids) - each.unscored for each in group.completions) for group in groups]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logprobs, "CHUNK_ELEMENTS", most * VOCABULARY)
        made = parts_of(batch, VOCABULARY)
    assert made[0].groups.start == made[0].rows.start == 0
    assert (made[-1].groups.stop, made[-1].rows.stop) == (6, sum(rows))
    for one, two in pairwise(made):
        assert (one.groups.stop, one.rows.stop) == (two.groups.start, two.rows.start)
        assert sum(rows[one.groups]) + rows[two.groups.start] > most  # the next one did not fit
    for part in made:
        size = part.rows.stop - part.rows.start
        assert size == sum(rows[part.groups])
        assert size <= most or part.groups.stop - part.groups.start == 1


@pytest.mark.parametrize(("kept", "rows"), [(10**6, 4), (2 * VOCABULARY, 3)])
def test_how_many_rows_have_logits_at_a_time_is_known_beforehand(monkeypatch, kept, rows):
    """Three fit in a chunk; a group of four is kept whole if it may be, and is done by three otherwise."""
    monkeypatch.setattr(sweep, "KEPT_ELEMENTS", kept)
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", 3 * VOCABULARY)
    at_once, affine = [], sweep.affine
    monkeypatch.setattr(sweep, "affine", lambda given, *more: at_once.append(len(given)) or affine(given, *more))
    head_rows, linear, targets = problem()
    sweep.sweep(head_rows, linear, targets, parts(1, 1, 1, 1), lambda found, part: slopes_of(found.logprobs, part))
    assert max(at_once) == sweep.rows_at_once(sum(SIZES), max(SIZES), VOCABULARY) == rows


@pytest.mark.parametrize("scale", [1.0, 80.0, 2000.0])
def test_one_exponential_gives_what_two_give(scale):
    """Also where a softmax has all of its mass on one token, and exponentials of the others are zero."""
    rows, linear, targets = problem()
    logits = (linear(rows) * scale).detach()
    shares, total, found = exponentials(logits.clone(), targets, confidence=True)
    expected = measure(logits, targets, confidence=True)
    for name in ("logprobs", "normalisers", "confidence"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(shares / total[:, None], logits.softmax(-1), rtol=1e-12, atol=1e-15)
