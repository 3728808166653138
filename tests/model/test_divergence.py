"""KL of next-token distributions: against the formula on plain logits, and against what samples say."""

from functools import partial

import pytest
import torch
from tiny import encoded_groups, stirred, tiny_llama

from prefsmith.config import AdapterConfig
from prefsmith.data.pack import pack
from prefsmith.errors import ConfigError
from prefsmith.model import adapters, logprobs
from prefsmith.model.divergence import token_divergence
from prefsmith.model.score import PATHS, Frozen, Scorer


def by_hand(policy, reference, groups, temperature):
    parts = []
    for group in groups:
        for completion in group.completions:
            ids = torch.tensor([[*group.prompt, *completion.ids]])
            with torch.no_grad():
                own = (policy(input_ids=ids).logits[0].double() / temperature).log_softmax(-1)
                other = (reference(input_ids=ids).logits[0].double() / temperature).log_softmax(-1)
            rows, tokens = slice(len(group.prompt) - 1, -1), torch.tensor(completion.ids)[:, None]
            kl = (own.exp() * (own - other)).sum(-1)[rows]
            parts.append(torch.stack([kl, (own - other)[rows].gather(1, tokens)[:, 0]]))
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("elements", [2**24, 100])
def test_it_is_the_formula_on_plain_logits(monkeypatch, path, temperature, elements):
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", elements)
    policy, reference = tiny_llama(std=0.4), stirred(tiny_llama(std=0.4), seed=7, std=0.4)
    groups = encoded_groups(6, completions=3)
    expected, sampled = by_hand(policy, reference, groups, temperature)
    found = token_divergence(
        Frozen(Scorer(policy, path)), Frozen(Scorer(reference, "padded")), pack(groups), temperature=temperature
    )
    assert expected.min() >= 0 and expected.mean() > 0.1
    torch.testing.assert_close(found.averaged, expected, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(found.sampled, sampled, atol=2e-5, rtol=1e-4)


def test_a_model_has_none_to_itself():
    model = Frozen(Scorer(tiny_llama(), "shared"))
    found = token_divergence(model, model, pack(encoded_groups(4)))
    assert not found.averaged.any() and not found.sampled.any()


def test_an_adapter_is_compared_with_its_base():
    model = adapters.attach(tiny_llama(std=0.4), AdapterConfig(kind="lora"), seed=0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.add_(0.2)
    scorer = Scorer(model, "shared")
    base = Frozen(scorer, partial(adapters.adapter_off, model))
    groups = encoded_groups(4)
    found = token_divergence(Frozen(scorer), base, pack(groups))
    plain = tiny_llama(std=0.4)
    torch.testing.assert_close(found.averaged, by_hand(model, plain, groups, 1.0)[0], atol=2e-6, rtol=1e-5)


def test_other_vocabularies_are_refused():
    with pytest.raises(ConfigError, match="40 logits and the reference 41") as caught:
        token_divergence(
            Frozen(Scorer(tiny_llama(40), "padded")), Frozen(Scorer(tiny_llama(41), "padded")), pack(encoded_groups(2))
        )
    assert caught.value.code == "reference.vocabulary"
