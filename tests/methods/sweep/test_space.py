"""Which settings are searched by default, and ranges as they are typed."""

import pytest
from planted import config_for, pairs

from prefsmith.errors import ConfigError
from prefsmith.methods.sweep.space import Range, default_ranges, parse_ranges


@pytest.mark.parametrize(("kind", "factor"), [("none", 1), ("lora", 10), ("dora", 10), ("ia3", 100)])
def test_adapters_take_larger_steps(tmp_path, kind, factor):
    found = {each.key: each for each in default_ranges(config_for(tmp_path, pairs(4), adapter={"kind": kind}), ())}
    rate = found["optim.learning_rate"]
    assert (rate.low, rate.high, rate.log) == (pytest.approx(1e-6 * factor), pytest.approx(1e-5 * factor), True)
    assert found["loss.beta"] == Range("loss.beta", 0.1, 0.5)
    assert found["train.pairs_per_step"] == Range("train.pairs_per_step", 32, 128, step=32)


@pytest.mark.parametrize(
    ("loss", "key"),
    [("dpo", "loss.beta"), ("ipo", "loss.tau"), ("sft", None), ([{"name": "dpo"}, {"name": "sft"}], "loss.0.beta")],
)
def test_what_turns_nats_into_reward_is_searched_where_there_is_one(tmp_path, loss, key):
    config = config_for(tmp_path, pairs(4)).model_copy(update={})
    config = type(config).model_validate({**config.model_dump(), "loss": loss})
    keys = [each.key for each in default_ranges(config, ())]
    assert keys == [*([key] if key else []), "optim.learning_rate", "train.pairs_per_step"]


@pytest.mark.parametrize(
    ("loss", "low", "high"), [("simpo", 2 / 3, 6.0), ("dpo_norm", 5 / 3, 15.0), ("sppo", 1e-3 / 3, 3e-3)]
)
def test_a_beta_on_another_scale_is_searched_around_its_own_default(tmp_path, loss, low, high):
    config = config_for(tmp_path, pairs(4), loss={"name": loss})
    found = default_ranges(config, ())[0]
    assert (found.key, found.low, found.high, found.log) == ("loss.beta", pytest.approx(low), pytest.approx(high), True)


def test_what_is_fixed_is_not_searched(tmp_path):
    found = default_ranges(config_for(tmp_path, pairs(4)), ["loss.beta", "train.pairs_per_step"])
    assert [each.key for each in found] == ["optim.learning_rate"]


def test_ranges_as_they_are_typed():
    assert parse_ranges(["loss.beta=0.05:1", "optim.learning_rate=1e-6:1e-4:log", "train.epochs=1:3:1"]) == [
        Range("loss.beta", 0.05, 1.0),
        Range("optim.learning_rate", 1e-6, 1e-4, log=True),
        Range("train.epochs", 1.0, 3.0, step=1),
    ]


@pytest.mark.parametrize(
    "text",
    ["loss.beta", "loss.beta=1", "loss.beta=1:0.5", "loss.beta=a:b", "=1:2", "loss.beta=0:1:log", "loss.beta=0:1:0",
     "loss.beta=0.5:1.5:1", "train.epochs=1:4:2", "loss.beta=1:2:3:4", "loss.beta=nan:1", "loss.beta=1:inf"],
)  # fmt: skip
def test_what_is_no_range_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        parse_ranges([text])
    assert caught.value.code == "sweep.range"


def test_two_ranges_of_one_setting_are_refused():
    with pytest.raises(ConfigError, match="has two ranges"):
        parse_ranges(["loss.beta=0.05:1", "loss.beta=0.1:1"])
