"""Sampling draws from the model's own distribution, row by row, and leaves the model as it was."""

import pytest
import torch
from tiny import tiny_llama

from prefsmith.config import AdapterConfig
from prefsmith.errors import ConfigError
from prefsmith.model import adapters
from prefsmith.model.attention import FOREST
from prefsmith.model.generate import Sampling, generate

PROMPTS = [(1, 5, 6), (1, 7, 8, 9, 10, 11), (1, 12)]
DRAWS = 4_000


def first_tokens(model, sampling):
    """How often each token was the first of an answer to one prompt."""
    (samples,) = generate(model, [PROMPTS[0]], sampling, ends=(), per_prompt=DRAWS)
    return torch.bincount(torch.tensor([sample.ids[0] for sample in samples]), minlength=40) / DRAWS


def probabilities(model, temperature=1.0):
    with torch.no_grad():
        return (model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1] / temperature).softmax(-1)


def assert_drawn_from(shares, expected):
    """Within five standard errors for every token, and never where the probability is zero."""
    assert bool(((shares - expected).abs() <= 5 * (expected * (1 - expected) / DRAWS).sqrt() + 1e-9).all())
    assert not bool(shares[expected == 0].any())


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_tokens_have_the_models_probabilities(temperature):
    model = tiny_llama(std=0.6)
    sampling = Sampling(max_new_tokens=1, temperature=temperature, batch_size=DRAWS)
    expected = probabilities(model, temperature)
    assert expected.max() > 0.1  # not flat, so that a wrong temperature shows
    assert_drawn_from(first_tokens(model, sampling), expected)


def test_top_p_keeps_the_likeliest_and_scales_them_up():
    model = tiny_llama(std=0.6)
    whole = probabilities(model)
    order = whole.argsort(descending=True)
    kept = order[: int((whole[order].cumsum(0) < 0.6).sum()) + 1]
    expected = torch.zeros_like(whole)
    expected[kept] = whole[kept] / whole[kept].sum()
    assert_drawn_from(first_tokens(model, Sampling(max_new_tokens=1, top_p=0.6, batch_size=DRAWS)), expected)


@pytest.mark.parametrize("temperature", [1e-5, 1e-40, 5e-324])
def test_temperatures_near_zero_take_the_likeliest_token_too(temperature):
    model = tiny_llama(std=0.6)
    coldest = generate(model, PROMPTS, Sampling(max_new_tokens=6, temperature=temperature), ends=())
    assert coldest == generate(model, PROMPTS, Sampling(max_new_tokens=6, temperature=0), ends=())


def test_prompts_asked_in_parts_have_the_noise_that_they_have_together():
    model = tiny_llama(std=0.4)
    together = generate(model, PROMPTS, Sampling(max_new_tokens=9), ends=(2,), per_prompt=2)
    parts = [
        generate(model, PROMPTS[start : start + 1], Sampling(max_new_tokens=9), ends=(2,), per_prompt=2, first=start)[0]
        for start in range(3)
    ]
    assert parts == together
    again = generate(model, [PROMPTS[0]] * 2, Sampling(max_new_tokens=9), ends=(2,))
    assert again[0] != again[1]  # the same prompt in two places has noise of its own in each


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_a_sample_does_not_depend_on_what_runs_beside_it(batch_size):
    model = tiny_llama(std=0.4)
    together = generate(model, PROMPTS, Sampling(max_new_tokens=9), ends=(2,), per_prompt=4)
    apart = generate(model, PROMPTS, Sampling(max_new_tokens=9, batch_size=batch_size), ends=(2,), per_prompt=4)
    assert apart == together
    alone = generate(model, PROMPTS[:1], Sampling(max_new_tokens=9), ends=(2,), per_prompt=2)
    assert alone[0] == together[0][:2]


def test_seeds_prompts_and_numbers_have_noise_of_their_own():
    model = tiny_llama()
    sampling = Sampling(max_new_tokens=12)
    (one,) = generate(model, PROMPTS[:1], sampling, ends=(), per_prompt=20)
    assert len(set(one)) == 20
    twice = generate(model, [PROMPTS[0], PROMPTS[0]], sampling, ends=(), per_prompt=20)
    assert twice[0] == one and not set(twice[0]) & set(twice[1])
    (other,) = generate(model, PROMPTS[:1], Sampling(max_new_tokens=12, seed=1), ends=(), per_prompt=20)
    assert not set(one) & set(other)
    assert generate(model, PROMPTS[:1], sampling, ends=(), per_prompt=20) == [one]


def test_temperature_zero_takes_the_likeliest_token_of_the_models_own_forward():
    model = tiny_llama(std=0.4)
    for (sample,), prompt in zip(
        generate(model, PROMPTS, Sampling(max_new_tokens=8, temperature=0), ends=()), PROMPTS, strict=True
    ):
        ids = list(prompt)
        for _ in range(8):
            with torch.no_grad():
                ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        assert sample.ids == tuple(ids[len(prompt) :])


def test_an_answer_ends_with_any_of_the_end_tokens_or_is_cut():
    model = tiny_llama(std=0.4)
    ends = (2, 17, 21)
    (samples,) = generate(model, PROMPTS[:1], Sampling(max_new_tokens=10), ends=ends, per_prompt=60)
    assert {sample.ended for sample in samples} == {True, False}
    for sample in samples:
        assert sample.ended == (sample.ids[-1] in ends) and not set(sample.ids[:-1]) & set(ends)
        assert sample.ended or len(sample.ids) == 10


def test_the_models_own_generation_settings_change_nothing():
    model = tiny_llama(std=0.4)
    expected = generate(model, PROMPTS, Sampling(max_new_tokens=9), ends=(2,))
    model.generation_config.update(repetition_penalty=9.0, no_repeat_ngram_size=1, suppress_tokens=list(range(5, 30)))
    assert generate(model, PROMPTS, Sampling(max_new_tokens=9), ends=(2,)) == expected
    assert model.generation_config.repetition_penalty == 9.0


def test_model_and_generators_are_left_as_they_were():
    model = tiny_llama()
    expected = generate(model, PROMPTS, Sampling(max_new_tokens=5), ends=(2,))
    model.set_attn_implementation(FOREST)
    model.train()
    state = torch.get_rng_state()
    assert generate(model, PROMPTS, Sampling(max_new_tokens=5), ends=(2,)) == expected
    assert model.config._attn_implementation == FOREST
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(IndexError):
        generate(model, [(99,)], Sampling(max_new_tokens=5), ends=(2,))
    assert model.config._attn_implementation == FOREST and model.training


def test_an_adapter_is_sampled_with_it_on_and_without_it_off():
    plain = generate(tiny_llama(), PROMPTS, Sampling(max_new_tokens=9), ends=())
    model = adapters.attach(tiny_llama(), AdapterConfig(kind="lora"), seed=0)
    assert generate(model, PROMPTS, Sampling(max_new_tokens=9), ends=()) == plain  # it changes nothing yet
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.add_(0.3)
    adapted = generate(model, PROMPTS, Sampling(max_new_tokens=9), ends=())
    assert adapted != plain
    with adapters.adapter_off(model):
        assert generate(model, PROMPTS, Sampling(max_new_tokens=9), ends=()) == plain


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_new_tokens", 0), ("temperature", -0.1), ("temperature", float("nan")), ("temperature", float("inf")),
     ("top_p", 0.0), ("top_p", 1.1), ("seed", -1), ("batch_size", 0)],
)  # fmt: skip
def test_numbers_outside_their_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name} is {value}") as caught:
        Sampling(**{name: value})
    assert (caught.value.code, caught.value.where) == ("generate.value", name)
