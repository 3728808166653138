"""Peaks of memory: counted to the byte, and drawn out to micro-batches that were not measured."""

import pytest
import torch
from tiny import encoded_groups, tiny_llama

from prefsmith.config import AdapterConfig
from prefsmith.model import adapters
from prefsmith.model.score import NOTHING_MORE, PATHS, Asked, Frozen, Scorer
from prefsmith.train import peak
from prefsmith.train.peak import Line, computed_tokens, measured, peak_bytes

CPU = torch.device("cpu")
GROUPS = encoded_groups(24, prompt=(15, 25), answer=(20, 40))


def test_the_peak_is_what_was_there_at_once():
    weight = torch.zeros(1000)  # 4,000 bytes that were there before

    def action():
        one = weight + 1
        two = one * 2  # 8,000
        del one
        three = two[:500].clone()  # 6,000
        two.mul_(3)
        assert weight.view(10, 100).shape == (10, 100)
        return three

    assert peak_bytes(action, CPU) == 8000


def test_what_backward_makes_is_counted():
    weight = torch.zeros(1000, requires_grad=True)
    assert peak_bytes(lambda: (weight * 2).exp().sum().backward(), CPU) >= 2 * 4000
    assert peak_bytes(lambda: None, CPU) == 0


def test_a_line_is_read_both_ways():
    line = Line(fixed=1000.0, per_token=10.0)
    assert line.at(50) == 1500
    assert line.tokens_in(1500) == 50
    assert line.tokens_in(900) == 0


SCORERS = {
    "plain": lambda path: Scorer(tiny_llama(400), path),
    "again": lambda path: Scorer(tiny_llama(400, num_hidden_layers=6), path, recompute=True),
    "bf16": lambda path: Scorer(tiny_llama(400), path, precision="bf16"),
    "lora": lambda path: Scorer(adapters.attach(tiny_llama(400), AdapterConfig(kind="lora"), seed=0).eval(), path),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", SCORERS)
def test_the_line_holds_for_a_micro_batch_of_all_rows(kind, path):
    policy = SCORERS[kind](path)
    line = measured(policy, None, NOTHING_MORE, GROUPS)
    assert all(each.grad is None for each in policy.model.parameters())
    peak._gradient(policy, None, NOTHING_MORE, GROUPS[:1])
    true = peak_bytes(lambda: peak._gradient(policy, None, NOTHING_MORE, GROUPS), CPU)
    assert 0.9 < line.at(computed_tokens(GROUPS, path)) / true < 1.1


def test_a_single_row_gives_a_line_through_nothing():
    policy = Scorer(tiny_llama(400), "shared")
    line = measured(policy, None, NOTHING_MORE, GROUPS[:1])
    assert line.fixed == pytest.approx(0, abs=1)
    assert line.at(computed_tokens(GROUPS[:1], "shared")) > 10_000


def test_a_divergence_takes_more():
    policy, reference = Scorer(tiny_llama(400), "shared"), Frozen(Scorer(tiny_llama(400, seed=1), "shared"))
    plain = measured(policy, reference, NOTHING_MORE, GROUPS)
    assert measured(policy, reference, Asked(kl=True), GROUPS).per_token > plain.per_token


def test_measuring_draws_no_number_of_the_run():
    model = adapters.attach(tiny_llama(400), AdapterConfig(kind="lora", dropout=0.5), seed=0).eval()
    for module in adapters.dropout_modules(model):
        module.train()
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    measured(Scorer(model, "shared"), None, NOTHING_MORE, GROUPS)
    assert torch.equal(torch.random.get_rng_state(), before)
