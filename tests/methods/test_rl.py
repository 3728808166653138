"""RLOO on policies that can be enumerated: its gradient is the objective's, and it ends at the closed form."""

import itertools
import math

import pytest
import torch
from planted import WORDS
from tiny import stirred, tiny_llama, word_tokenizer

from prefsmith.config import OptimConfig
from prefsmith.data.encode import Encoder
from prefsmith.data.render import Renderer
from prefsmith.errors import ConfigError, TrainingError
from prefsmith.evaluate.samples import Answer
from prefsmith.feedback.reward import TextReward
from prefsmith.methods.rl import Rloo, accumulate, leave_one_out, rloo
from prefsmith.model.score import Frozen, Scorer
from prefsmith.records import Group

END, PROMPT = 2, (1, 3)
SEQUENCES = [(END,), *((first, second) for first in (0, 1, 3) for second in range(4))]
"""Everything that a policy of four tokens can write in two, the end token included."""


def small(seed):
    return stirred(tiny_llama(4, std=0.4), seed=seed, std=0.4)


def log_probabilities(model):
    rows = []
    for ids in SEQUENCES:
        logits = model(input_ids=torch.tensor([[*PROMPT, *ids]])).logits[0, len(PROMPT) - 1 : -1]
        rows.append(logits.log_softmax(-1)[range(len(ids)), list(ids)].sum())
    return torch.stack(rows)


def answer(ids):
    return Answer(Group("g", "rows:1", "p", ()), PROMPT, ids, "", ids[-1] == END)


@pytest.mark.parametrize("beta", [0.0, 0.7])
@pytest.mark.parametrize("budget", [8192])
def test_the_expected_gradient_is_that_of_the_objective(beta, budget):
    """Expectations over two answers are sums over all pairs of sequences, each with its probability."""
    rewards = torch.randn(len(SEQUENCES), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    exact, reference = small(0), small(7)
    with torch.no_grad():
        behind = log_probabilities(reference)
    own = log_probabilities(exact)
    assert float(own.detach().exp().sum()) == pytest.approx(1, abs=1e-5)
    objective = (own.exp() * (rewards - beta * (own - behind))).sum()
    (-objective).backward()

    policy, other = Scorer(small(0).requires_grad_(True), "shared"), Frozen(Scorer(small(7), "shared"))
    settings = Rloo(beta=beta, steps=1, prompts=1, answers=2, token_budget=budget)
    total = {name: torch.zeros_like(each) for name, each in policy.model.named_parameters()}
    shares = own.detach().exp()
    for one, two in itertools.product(range(len(SEQUENCES)), repeat=2):
        policy.model.zero_grad()
        answers = [answer(SEQUENCES[one]), answer(SEQUENCES[two])]
        accumulate(policy, other, answers, rewards[torch.tensor([[one, two]])], settings)
        for name, each in policy.model.named_parameters():
            total[name] += shares[one] * shares[two] * each.grad
    for name, each in exact.named_parameters():
        torch.testing.assert_close(total[name], each.grad, atol=2e-5, rtol=1e-3)
    assert max(float(each.grad.abs().max()) for each in exact.parameters()) > 0.05


def test_steps_of_several_micro_batches_are_the_same_step():
    rewards = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    answers = [
        Answer(Group(f"g{place // 2}", "rows:1", "p", ()), PROMPT, SEQUENCES[place * 2], "", True) for place in range(6)
    ]
    found = []
    for budget in (1, 8192):
        policy = Scorer(small(0).requires_grad_(True), "shared")
        settings = Rloo(beta=0.5, steps=1, prompts=3, answers=2, token_budget=budget)
        step = accumulate(policy, Frozen(Scorer(small(7), "shared")), answers, rewards, settings)
        found.append((step.loss, torch.cat([each.grad.flatten() for each in policy.model.parameters()])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)  # float32 sums, in another order
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-5, rtol=1e-3)


def test_the_baseline_of_an_answer_is_the_mean_of_the_others():
    found = leave_one_out(torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]], dtype=torch.float64))
    assert found.tolist() == [[-3.0, -1.5, 4.5], [-1.5, -1.5, 3.0]]


VALUES = {"w0": 1.5, "w1": 1.0, "apple": -1.5}


def reward_of(text):
    return VALUES.get(text.strip(), 0.0)


def learn(beta, reward=reward_of, steps=120, seed=0):
    """A policy of one token, so that its whole distribution can be read."""
    tokenizer = word_tokenizer(WORDS)
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=32)
    model, reference = tiny_llama(15, std=0.3), tiny_llama(15, std=0.3)
    rows = []
    settings = Rloo(
        beta=beta, steps=steps, prompts=8, answers=8, max_new_tokens=1, seed=seed,
        optim=OptimConfig(learning_rate=0.01, schedule="linear", warmup_steps=5),
    )  # fmt: skip
    rloo(
        Scorer(model.requires_grad_(True), "shared"), Frozen(Scorer(reference, "shared")), encoder,
        [Group("g", "rows:1", "red", ())], TextReward("planted", reward), settings,
        watch=lambda row, steps: rows.append((row, steps)),
    )  # fmt: skip
    return tokenizer, model, reference, rows


def distribution(model, tokenizer):
    model.set_attn_implementation("sdpa")
    ids = torch.tensor([tokenizer("red")["input_ids"]])
    with torch.no_grad():
        return model(input_ids=ids).logits[0, -1].double().softmax(-1)


def test_it_ends_at_the_closed_form():
    tokenizer, model, reference, rows = learn(beta=0.5)
    values = torch.tensor([reward_of(word) for word in tokenizer.convert_ids_to_tokens(range(15))])
    closed = distribution(reference, tokenizer) * (values / 0.5).exp()
    closed /= closed.sum()
    far = float((distribution(reference, tokenizer) - closed).abs().sum() / 2)
    near = float((distribution(model, tokenizer) - closed).abs().sum() / 2)
    assert far > 0.3 and near < 0.1
    first, last = rows[0][0], rows[-1][0]
    assert (first["kl_sampled"], rows[0][1], len(rows)) == (pytest.approx(0.0, abs=1e-6), 120, 120)
    assert last["reward"] > first["reward"] + 0.3 and last["kl_sampled"] > 0.1
    assert first["answers"] == 64 and first["tokens"] == 64


def test_a_seed_repeats_it_and_another_does_not():
    weights = [
        torch.cat([each.flatten() for each in learn(0.5, steps=3, seed=seed)[1].parameters()]) for seed in (0, 0, 1)
    ]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_a_reward_that_is_no_number_stops_it():
    with pytest.raises(TrainingError, match="loss nan") as caught:
        learn(0.5, reward=lambda text: math.nan, steps=2)
    assert caught.value.code == "train.nonfinite"


@pytest.mark.parametrize(
    "wrong", [{"beta": -1.0}, {"answers": 1}, {"steps": 0}, {"prompts": 0}, {"optim": OptimConfig()}]
)
def test_numbers_outside_their_ranges_are_refused(wrong):
    with pytest.raises(ConfigError, match="must be") as caught:
        Rloo(**{"beta": 1.0, "steps": 1, **wrong})
    assert caught.value.code == "rl.value"
