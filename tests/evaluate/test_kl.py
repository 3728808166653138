"""Both estimates of a sequence KL against the sum over everything that a small policy can write."""

import pytest
import torch
from planted import WORDS
from tiny import stirred, tiny_llama, word_tokenizer

from prefsmith.data.encode import Encoder
from prefsmith.data.render import Renderer
from prefsmith.errors import ConfigError
from prefsmith.evaluate.kl import sequence_kl
from prefsmith.evaluate.policy import measure_policy
from prefsmith.evaluate.samples import draw
from prefsmith.feedback.reward import TextReward
from prefsmith.model.generate import Sampling
from prefsmith.model.score import Frozen, Scorer
from prefsmith.records import Group

WORLD = WORDS[:4]
END, LONGEST = 2, 2
GROUPS = [Group("g1", "rows:1", WORLD[0], ()), Group("g2", "rows:2", f"{WORLD[1]} {WORLD[2]}", ())]


@pytest.fixture(scope="module")
def encoder():
    tokenizer = word_tokenizer(WORLD)
    return Encoder(tokenizer, Renderer(tokenizer), max_length=32)


def model(seed):
    return stirred(tiny_llama(7, std=0.4), seed=seed, std=0.4)


def exact_kl(policy, reference, prompt):
    """Sum over all sequences of pi log (pi / pi_ref); those that do not end are cut."""
    sequences = [(END,), *((a, b) for a in range(7) if a != END for b in range(7))]
    total = 0.0
    for ids in sequences:
        logs = []
        for each in (policy, reference):
            with torch.no_grad():
                logits = each(input_ids=torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1].double()
            logs.append(float(logits.log_softmax(-1)[range(len(ids)), list(ids)].sum()))
        total += torch.tensor(logs[0]).exp().item() * (logs[0] - logs[1])
    return total


def test_both_estimate_the_sum_over_all_sequences(encoder):
    exact = sum(exact_kl(model(0), model(3), encoder.prompt_ids(group)) for group in GROUPS) / 2
    policy, reference = Frozen(Scorer(model(0), "shared")), Frozen(Scorer(model(3), "padded"))
    sampling = Sampling(max_new_tokens=LONGEST, batch_size=512)
    answers = draw(policy, encoder, GROUPS, sampling, per_prompt=1500)
    found = sequence_kl(policy, reference, answers, sampling, token_budget=8192)
    assert exact > 0.3
    for each in (found.averaged, found.sampled):
        assert abs(each.value - exact) <= 3 * each.error and each.n == 3000
    assert abs(found.gap.value) <= 3 * found.gap.error
    assert found.gap.value == pytest.approx(found.sampled.value - found.averaged.value)
    assert found.averaged.error <= found.sampled.error / 2


def test_a_policy_has_none_to_itself(encoder):
    policy = Frozen(Scorer(model(0), "shared"))
    sampling = Sampling(max_new_tokens=6)
    answers = draw(policy, encoder, GROUPS, sampling, per_prompt=4)
    found = sequence_kl(policy, policy, answers, sampling, token_budget=64)
    assert [found.averaged.value, found.sampled.value, found.averaged.error, found.sampled.error] == [0.0] * 4


@pytest.mark.parametrize("other", [{"temperature": 0.7}, {"temperature": 0.0}, {"top_p": 0.9}])
def test_samples_of_another_distribution_are_refused(encoder, other):
    policy = Frozen(Scorer(model(0), "shared"))
    for ask in (
        lambda: sequence_kl(policy, policy, [], Sampling(**other), token_budget=64),
        lambda: measure_policy(
            policy, policy, encoder, GROUPS, TextReward("", len), Sampling(**other), per_prompt=2, token_budget=64
        ),
    ):
        with pytest.raises(ConfigError, match="another distribution") as caught:
            ask()
        assert caught.value.code == "kl.temperature"


def test_a_policy_is_measured_on_its_own_answers(encoder):
    policy, reference = Frozen(Scorer(model(0), "padded")), Frozen(Scorer(model(3), "padded"))
    found = measure_policy(
        policy, reference, encoder, GROUPS, TextReward("words", lambda text: float(len(text.split()))),
        Sampling(max_new_tokens=5), per_prompt=40, token_budget=256,
    )  # fmt: skip
    assert found.rewards == [float(len(answer.text.split())) for answer in found.answers]
    assert found.reward.value == pytest.approx(sum(found.rewards) / 80) and found.reward.n == 80
    assert found.tokens.value == pytest.approx(sum(len(answer.ids) for answer in found.answers) / 80)
    assert found.ended.value == sum(answer.ended for answer in found.answers) / 80
    assert [answer.group.id for answer in found.answers] == ["g1"] * 40 + ["g2"] * 40
