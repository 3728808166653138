"""A body and one row: what it reads, that nothing beside a completion changes it, and what is refused."""

import pytest
import torch
from planted import WORDS
from tiny import encoded_groups, save_model, tiny_llama

from prefsmith.data.pack import pack
from prefsmith.errors import ConfigError
from prefsmith.model.reward import RewardModel, load_reward_model, new_reward_model


@pytest.fixture
def model(tmp_path):
    """One whose rewards all differ."""
    made = new_reward_model(str(save_model(tmp_path / "base", WORDS, std=0.3)), device="cpu")
    with torch.no_grad():
        made.head.weight.copy_(torch.randn(made.head.weight.shape, generator=torch.Generator().manual_seed(1)))
    return made


def test_every_reward_is_zero_to_begin_with(tmp_path):
    made = new_reward_model(str(save_model(tmp_path / "base", WORDS)), device="cpu")
    found = made(pack(encoded_groups(3, vocabulary=15)))
    assert found.tolist() == [0.0] * 6 and found.dtype == torch.float64 and found.requires_grad


def test_it_reads_the_hidden_state_of_the_last_token(model):
    groups = encoded_groups(4, completions=3, vocabulary=15)
    found = model(pack(groups))
    expected = []
    for group in groups:
        for completion in group.completions:
            ids = torch.tensor([[*group.prompt, *completion.ids]])
            hidden = model.inner.base_model(input_ids=ids).last_hidden_state[0, -1]
            expected.append(float(model.head(hidden).detach()))
    assert len(set(expected)) == 12
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_body_and_head_come_from_the_language_model(tmp_path):
    folder = save_model(tmp_path / "base", WORDS)
    body = dict(new_reward_model(str(folder), device="cpu").inner.base_model.named_parameters())
    policy = dict(tiny_llama(15).model.named_parameters())
    assert body.keys() == policy.keys() and all(torch.equal(body[name], policy[name]) for name in body)


def test_a_language_model_is_no_reward_model_yet(tmp_path):
    folder = save_model(tmp_path / "base", WORDS)
    with pytest.raises(ConfigError, match="without the head of a reward model \\(score") as caught:
        load_reward_model(str(folder), device="cpu")
    assert caught.value.code == "reward.model"


def test_a_model_without_such_a_head_is_refused():
    with pytest.raises(ConfigError, match="no head called `score`") as caught:
        RewardModel(tiny_llama())
    assert caught.value.code == "reward.model"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError):
        load_reward_model(str(tmp_path / "nothing"), device="cpu")
