import math

import pytest
import torch
from torch import nn

from prefsmith.config import OptimConfig
from prefsmith.train.optim import Optimizer, learning_rate_at


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1.0, 1.0, 0.5 * (1 + math.cos(math.pi / 4)), 0.5, 0.5 * (1 - math.cos(math.pi / 4))]),
    ],
)
def test_schedules_by_hand(schedule, expected):
    """Two warm-up steps of six; the last step still moves."""
    assert [learning_rate_at(step, 6, 1.0, schedule, 2) for step in range(1, 7)] == pytest.approx(expected)


def test_without_warm_up_the_first_step_is_at_the_peak():
    assert learning_rate_at(1, 3, 0.1, "linear", 0) == 0.1


def test_a_warm_up_longer_than_the_run_only_rises():
    rates = [learning_rate_at(step, 3, 1.0, "cosine", 10) for step in (1, 2, 3)]
    assert rates == pytest.approx([0.1, 0.2, 0.3])


def make(**settings):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    return module, Optimizer(module, OptimConfig(warmup_steps=0, **settings), peak=0.1, steps=4)


def test_only_matrices_decay():
    module, optimizer = make(weight_decay=0.5)
    before = {name: each.detach().clone() for name, each in module.named_parameters()}
    for each in module.parameters():
        each.grad = torch.zeros_like(each)
    optimizer.step(1)
    after = dict(module.named_parameters())
    torch.testing.assert_close(after["0.weight"], before["0.weight"] * (1 - 0.1 * 0.5))
    assert all(torch.equal(after[name], before[name]) for name in ("0.bias", "1.weight", "1.bias"))


def test_gradients_are_clipped_to_the_norm_and_the_norm_before_is_told():
    module, optimizer = make(max_grad_norm=1.0)
    for each in module.parameters():
        each.grad = torch.full_like(each, 3.0)
    assert optimizer.clip() == pytest.approx(3.0 * math.sqrt(12))
    norm = torch.stack([each.grad.norm() for each in module.parameters()]).norm()
    assert float(norm) == pytest.approx(1.0, rel=1e-5)


def test_state_put_back_goes_on_to_the_bit():
    def steps(module, optimizer, numbers):
        for number in numbers:
            for index, each in enumerate(module.parameters()):
                each.grad = torch.full_like(each, 0.1 * number + index)
            optimizer.step(number)

    straight, optimizer = make()
    steps(straight, optimizer, (1, 2, 3, 4))
    halfway, first = make()
    steps(halfway, first, (1, 2))
    resumed, second = make()
    resumed.load_state_dict(halfway.state_dict())
    second.load_state({key: value.clone() for key, value in first.state().items()})
    steps(resumed, second, (3, 4))
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), resumed.parameters(), strict=True))


def test_weights_move_as_adamw_by_hand():
    """In float64, number by number; four steps, decay on the matrix alone."""
    module, optimizer = make(weight_decay=0.3, schedule="linear")
    assert optimizer.adamw.defaults["fused"]
    wanted = {name: each.detach().double() for name, each in module.named_parameters()}
    first, second = ({name: torch.zeros_like(each) for name, each in wanted.items()} for _ in range(2))
    for number in range(1, 5):
        rate = learning_rate_at(number, 4, 0.1, "linear", 0)
        for index, (name, each) in enumerate(module.named_parameters()):
            slope = torch.linspace(-1.0, 2.0, each.numel(), dtype=torch.float64).view_as(each).sin() * (number + index)
            each.grad = slope.float()
            first[name] = 0.9 * first[name] + 0.1 * slope
            second[name] = 0.999 * second[name] + 0.001 * slope**2
            kept = 1 - rate * 0.3 if name == "0.weight" else 1.0
            root = (second[name] / (1 - 0.999**number)).sqrt() + 1e-8
            wanted[name] = kept * wanted[name] - rate * first[name] / (1 - 0.9**number) / root
        assert optimizer.step(number) == rate
    for name, each in module.named_parameters():
        torch.testing.assert_close(each.double(), wanted[name], atol=2e-7, rtol=2e-6)
