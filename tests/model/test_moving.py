"""A reference that follows the policy: against averages worked out by hand in float64."""

import copy
import warnings

import pytest
import torch
from peft import LoraConfig, get_peft_model
from pydantic import ValidationError
from tiny import encoded_groups, tiny_llama, word_tokenizer

from prefsmith.assembly import objective_of
from prefsmith.config import AdapterConfig, ModelConfig, ReferenceConfig, RunConfig
from prefsmith.data.pack import pack
from prefsmith.errors import ConfigError
from prefsmith.model import adapters
from prefsmith.model.moving import MovingReference
from prefsmith.model.reference import make_reference
from prefsmith.model.score import Asked, Frozen, Scorer

BATCH = pack(encoded_groups(4, completions=2))


def with_adapter(model=None, **settings):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`")
        return adapters.attach(model or tiny_llama(), AdapterConfig(kind="lora", rank=2, **settings), seed=3).eval()


def policies():
    return {
        "all": lambda: tiny_llama().requires_grad_(True),
        "tied": lambda: tiny_llama(tie_word_embeddings=True).requires_grad_(True),
        "lora": with_adapter,
        "lora_everywhere": lambda: with_adapter(target_modules="all-linear"),
        "lora_on_head": lambda: with_adapter(target_modules=["lm_head", "embed_tokens", "q_proj"]),
        "lora_on_tied_head": lambda: with_adapter(
            tiny_llama(tie_word_embeddings=True), target_modules=["lm_head", "q_proj"]
        ),
    }


KINDS = list(policies())


@pytest.fixture(params=KINDS)
def policy(request):
    return Scorer(policies()[request.param](), "shared")


def pushed(model, seed, size=0.03):
    """Every trainable weight moved at random, as a step of training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator) * size)


@torch.no_grad()
def dense(model):
    """The weights that a model computes with, in float64, by the plain model's names; base + scale B A if adapted."""
    inner = adapters.unwrapped(model)
    found = {}
    for name, module in inner.named_modules():
        if "lora_" in name or name.endswith("base_layer"):
            continue
        if hasattr(module, "lora_A"):
            weight = module.base_layer.weight.double()
            if len(module.lora_A):
                update = module.lora_B["default"].weight.double() @ module.lora_A["default"].weight.double()
            else:
                update = (module.lora_embedding_B["default"].double() @ module.lora_embedding_A["default"].double()).T
            found[f"{name}.weight"] = weight + module.scaling["default"] * update
        else:
            for own, weight in module.named_parameters(recurse=False):
                found[f"{name}.{own}"] = weight.double()
    return found


@torch.no_grad()
def nats_of(weights):
    """Scored log-probabilities of a plain model with these weights, in float64."""
    model = tiny_llama().double()  # with a head of its own, also where the policy ties the two
    for name, weight in model.named_parameters():
        weight.copy_(weights.get(name, weights["model.embed_tokens.weight"]))
    return Scorer(model, "padded").token_nats(BATCH)


def mixed(alpha, theirs, mine):
    return {name: alpha * theirs[name] + (1 - alpha) * mine[name] for name in mine}


def moved(policy, *, alpha, moves, every=1):
    """A reference after so many moves, and the weights that it should have."""
    reference = MovingReference(policy, alpha=alpha, every=every)
    by_hand = dense(policy.model)
    for number in range(1, moves + 1):
        pushed(policy.model, number)
        by_hand = mixed(alpha, dense(policy.model), by_hand)
        assert reference.step(number * every)
    return reference, by_hand


@pytest.mark.parametrize("alpha", [0.6, 0.25, 1.0])
def test_three_moves_are_those_worked_out_by_hand(policy, alpha):
    reference, by_hand = moved(policy, alpha=alpha, moves=3)
    expected = nats_of(by_hand)
    torch.testing.assert_close(reference.token_nats(BATCH), expected, rtol=0, atol=1e-5)
    apart = (policy.token_nats(BATCH) - expected).abs().max()
    assert apart < 1e-5 if alpha == 1 else apart > 0.01


def test_the_factors_of_an_adapter_are_not_averaged():
    """(a B + b B')(a A + b A') is not a B A + b B' A'; the two would differ here by far more than the tolerance."""
    policy = Scorer(with_adapter(), "shared")
    pushed(policy.model, 1, size=0.3)
    factors = {name: each.detach().clone() for name, each in policy.model.named_parameters() if each.requires_grad}
    reference = MovingReference(policy, alpha=0.5, every=1)
    before = dense(policy.model)
    pushed(policy.model, 2, size=0.3)
    by_hand = mixed(0.5, dense(policy.model), before)
    reference.step(1)
    torch.testing.assert_close(reference.token_nats(BATCH), nats_of(by_hand), rtol=0, atol=1e-5)
    for name, each in policy.model.named_parameters():
        if each.requires_grad:
            each.data.lerp_(factors[name], 0.5)
    assert (nats_of(dense(policy.model)) - nats_of(by_hand)).abs().max() > 1e-3


def test_before_the_first_move_it_is_the_start_bit_for_bit(policy):
    start = policy.token_nats(BATCH)
    reference = MovingReference(policy, alpha=0.6, every=5)
    assert torch.equal(reference.token_nats(BATCH), start)
    pushed(policy.model, 1)
    assert not any(reference.step(number) for number in (1, 2, 3, 4))
    assert torch.equal(reference.token_nats(BATCH), start)
    assert reference.tensors() == {}
    assert reference.step(5)
    assert not torch.equal(reference.token_nats(BATCH), start)


@pytest.mark.parametrize("every", [1, 3])
def test_it_moves_every_so_many_steps(every):
    reference = MovingReference(Scorer(tiny_llama(), "shared"), alpha=0.6, every=every)
    assert [number for number in range(1, 10) if reference.step(number)] == list(range(every, 10, every))


def state(model):
    return {name: each.detach().clone() for name, each in model.named_parameters()}


def identities(model):
    return {name: (id(each), each.data_ptr(), each.requires_grad) for name, each in model.named_parameters()}


def test_looking_leaves_the_policy_as_it_was_to_the_bit(policy):
    reference, _ = moved(policy, alpha=0.6, moves=2)
    for module in adapters.dropout_modules(policy.model):
        module.train()
    weights, places = state(policy.model), identities(policy.model)
    nats = policy.token_nats(BATCH)
    for look in (reference, reference.start):
        look.token_nats(BATCH)
        with look.looking():
            look.logits(torch.zeros(2, 32))
        assert identities(policy.model) == places
        assert all(torch.equal(each, weights[name]) for name, each in policy.model.named_parameters())
        assert torch.equal(policy.token_nats(BATCH), nats)


@pytest.mark.parametrize("kind", ["all", "lora"])
def test_a_failure_while_looking_leaves_the_policy_as_it_was(kind):
    policy = Scorer(policies()[kind](), "shared")
    reference, _ = moved(policy, alpha=0.6, moves=1)
    places, nats, theirs = identities(policy.model), policy.token_nats(BATCH), reference.token_nats(BATCH)
    for look in (reference, reference.start):
        with pytest.raises(ZeroDivisionError), look.looking():
            _ = 1 / 0
        assert identities(policy.model) == places
        assert torch.equal(policy.token_nats(BATCH), nats)
        assert torch.equal(reference.token_nats(BATCH), theirs)


def test_dropout_is_off_while_looking_and_back_afterwards():
    policy = Scorer(with_adapter(dropout=0.5), "shared")
    reference, by_hand = moved(policy, alpha=0.6, moves=1)
    for module in adapters.dropout_modules(policy.model):
        module.train()
    torch.testing.assert_close(reference.token_nats(BATCH), nats_of(by_hand), rtol=0, atol=1e-5)
    assert all(module.training for module in adapters.dropout_modules(policy.model))
    assert adapters.dropout_modules(policy.model)


def test_the_start_stays_where_it_was(policy):
    start = policy.token_nats(BATCH)
    reference, _ = moved(policy, alpha=0.6, moves=2)
    now = reference.token_nats(BATCH)
    assert torch.equal(reference.start.token_nats(BATCH), start)
    assert torch.equal(reference.token_nats(BATCH), now)


def test_a_reference_that_stands_still_is_its_own_start():
    reference = Frozen(Scorer(tiny_llama(), "shared"))
    assert reference.start is reference


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_checkpoint_keeps_comes_back_to_the_bit(kind):
    policy = Scorer(policies()[kind](), "shared")
    reference, _ = moved(policy, alpha=0.6, moves=2)
    kept = {name: each.clone() for name, each in reference.tensors().items()}
    again = Scorer(policies()[kind](), "shared")
    start = again.token_nats(BATCH)
    resumed = MovingReference(again, alpha=0.6, every=1)
    again.model.load_state_dict(copy.deepcopy(policy.model.state_dict()))
    resumed.load(kept)
    for number in (3, 4):
        assert torch.equal(resumed.token_nats(BATCH), reference.token_nats(BATCH))
        assert resumed.tensors().keys() == kept.keys()
        for policy_, reference_ in ((policy, reference), (again, resumed)):
            pushed(policy_.model, number)
            reference_.step(number)
    assert torch.equal(resumed.start.token_nats(BATCH), start)
    assert any(not torch.equal(each, kept[name]) for name, each in reference.tensors().items())


def test_nothing_to_put_back_leaves_the_start():
    policy = Scorer(with_adapter(), "shared")
    reference = MovingReference(policy, alpha=0.6, every=1)
    reference.load({})
    assert torch.equal(reference.token_nats(BATCH), policy.token_nats(BATCH))
    assert reference.tensors() == {}


@pytest.mark.parametrize("kind", ["all", "lora"])
def test_an_average_of_other_weights_is_refused(kind):
    other = "lora" if kind == "all" else "lora_everywhere"
    kept = moved(Scorer(policies()[other](), "shared"), alpha=0.6, moves=1)[0].tensors()
    reference = MovingReference(Scorer(policies()[kind](), "shared"), alpha=0.6, every=1)
    with pytest.raises(ConfigError, match="no average of the weights") as caught:
        reference.load(kept)
    assert caught.value.code == "run.changed"


@pytest.mark.parametrize("kind", ["lora", "lora_on_head"])
def test_a_divergence_from_it_is_that_from_a_model_with_its_weights(kind):
    """With an adapter on the head, the head's averaged weight must be in place for the logits too."""
    policy = Scorer(policies()[kind](), "shared")
    reference, by_hand = moved(policy, alpha=0.6, moves=2)
    model = tiny_llama().double()
    model.load_state_dict(by_hand)
    plain = Scorer(tiny_llama().double(), "shared")
    plain.model.load_state_dict(dense(policy.model))
    asked = Asked(kl=True)
    found, expected = (
        policy.token_scores(BATCH, asked, reference),
        plain.token_scores(BATCH, asked, Frozen(Scorer(model, "shared"))),
    )
    torch.testing.assert_close(found.kl, expected.kl, rtol=1e-4, atol=1e-6)
    assert float(expected.kl.mean()) > 1e-3


def peft(**settings):
    model = tiny_llama(attention_bias=True)
    return get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", **settings))


@pytest.mark.parametrize(
    "settings",
    [{"use_dora": True}, {"lora_bias": True}, {"bias": "all"}, {"modules_to_save": ["lm_head"]}],
    ids=["dora", "lora_bias", "bias", "modules_to_save"],
)
def test_adapters_that_do_more_than_add_a_product_are_refused(settings):
    model = peft(**settings)
    with pytest.raises(ConfigError, match="cannot be averaged") as caught:
        MovingReference(Scorer(model, "shared"), alpha=0.6, every=1)
    assert (caught.value.code, caught.value.where) == ("reference.moving", "reference.kind")
    assert caught.value.fix


def test_a_base_in_low_precision_is_refused():
    model = with_adapter()
    for name, module in model.named_modules():
        if name.endswith("base_layer"):
            module.bfloat16()
    with pytest.raises(ConfigError, match="bfloat16, in which small updates round to nothing") as caught:
        adapters.require_merged_weights(model)
    assert caught.value.code == "reference.moving"


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "ema", "alpha": 0},
        {"kind": "ema", "alpha": 1.01},
        {"kind": "ema", "every": 0},
        {"kind": "ema", "path": "other"},
        {"alpha": 0.5},
        {"kind": "frozen", "every": 100},
    ],
)
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValidationError):
        ReferenceConfig(**settings)


def test_the_run_file_of_a_run_without_it_is_read_again():
    """Every default is written there, so a default is not `set`."""
    config = RunConfig.model_validate({"reference": {"kind": "frozen"}})
    assert RunConfig.model_validate(config.model_dump()) == config
    assert ReferenceConfig(kind="ema").alpha == 0.6
    assert ReferenceConfig(kind="ema").every == 512


def test_a_loss_without_reference_has_none_to_move():
    config = RunConfig.model_validate({"loss": "sft", "reference": {"kind": "ema"}})
    with pytest.raises(ConfigError, match="the reference is to follow the policy") as caught:
        objective_of(config)
    assert (caught.value.code, caught.value.where) == ("reference.none", "reference.kind")


@pytest.mark.parametrize("kind", ["all", "lora"])
def test_it_is_made_as_the_settings_say(kind):
    policy = Scorer(policies()[kind](), "shared")
    config = ReferenceConfig(kind="ema", alpha=0.25, every=7)
    words = [f"w{number}" for number in range(37)]
    reference, line = make_reference(
        policy, config, ModelConfig(device="cpu"), [BATCH], word_tokenizer(words), max_length=None
    )
    assert line == "a moving average of the policy, alpha 0.25 every 7 steps"
    assert isinstance(reference, MovingReference)
    assert (reference.alpha, reference.every) == (0.25, 7)
