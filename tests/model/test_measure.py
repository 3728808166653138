"""Confidence and KL divergence beside log-probabilities: against a naive softmax, and only when asked."""

import weakref

import pytest
import torch
import torch.nn.functional as F
from tiny import stirred, tiny_llama

from prefsmith.config import AdapterConfig
from prefsmith.errors import ConfigError
from prefsmith.model import adapters, logprobs
from prefsmith.model.logprobs import own_head_measures, plain_head_measures
from prefsmith.model.measure import measure
from prefsmith.model.score import PATHS, Asked, Frozen, Scorer
from prefsmith.types import TokenSlopes

ALL = Asked(confidence=True, kl=True)
HEADS = ["plain", "own"]


def inputs(rows=5, hidden=4, vocabulary=7, dtype=torch.float64):
    """Hidden rows, a head, targets, and the logits of a reference."""
    generator = torch.Generator().manual_seed(2)
    shapes = ((rows, hidden), (vocabulary, hidden), (vocabulary,))
    rows_, weight, bias = (torch.randn(*shape, generator=generator).to(dtype).requires_grad_() for shape in shapes)
    others = torch.randn(rows, vocabulary, generator=generator).to(dtype) * 1.5
    return rows_, weight, bias, torch.tensor([6, 0, 3, 3, 1])[:rows], others


def naive(logits, targets, others):
    """Log-probability, confidence, KL and the reference's log-probability, as the formulas stand."""
    own, other = logits.log_softmax(-1), others.log_softmax(-1)
    picked = torch.arange(len(targets)), targets
    kl = (other.exp() * (other - own)).sum(-1)
    return own[picked], own[picked] - own.exp().square().sum(-1).log(), kl, other[picked]


def ours(head, rows, weight, bias, targets, **asked):
    if head == "plain":
        return plain_head_measures(rows, weight, bias, targets, **asked)
    return own_head_measures(rows, lambda part: F.linear(part, weight, bias), targets, len(weight), **asked)


def pulled(logprob, kl, *leaves):
    """Gradient of a sum in which no two tokens and no two measures weigh the same."""
    slopes = torch.linspace(-1, 2, len(logprob), dtype=logprob.dtype)
    return torch.autograd.grad((slopes * logprob).sum() + (slopes.flip(0) * 0.7 * kl).sum(), leaves)


@pytest.mark.parametrize("elements", [1, 7, 20, 21, 2**24])
@pytest.mark.parametrize("head", HEADS)
def test_values_and_gradients_are_those_of_a_naive_softmax(monkeypatch, head, elements):
    rows, weight, bias, targets, others = inputs()
    want = naive(F.linear(rows, weight, bias), targets, others)
    want_gradients = pulled(want[0], want[2], rows, weight, bias)
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", elements)
    found = ours(head, rows, weight, bias, targets, confidence=True, reference=lambda part: others[part])
    got = (found.logprobs, found.confidence, found.kl, found.reference)
    for value, expected in zip(got, want, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-13, atol=1e-14)
    for value, expected in zip(pulled(got[0], got[2], rows, weight, bias), want_gradients, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-13)
    assert not found.confidence.requires_grad
    assert not found.reference.requires_grad


@pytest.mark.parametrize("elements", [7, 14, 2**24])
@pytest.mark.parametrize("head", HEADS)
def test_log_probability_and_divergence_pass_gradcheck(monkeypatch, head, elements):
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", elements)
    *leaves, targets, others = inputs()

    def both(*given):
        found = ours(head, *given, targets, confidence=True, reference=lambda part: others[part])
        return found.logprobs, found.kl

    assert torch.autograd.gradcheck(both, tuple(leaves))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("which", [0, 1])
def test_the_gradient_of_one_without_the_other(head, which):
    rows, weight, bias, targets, others = inputs()
    want = naive(F.linear(rows, weight, bias), targets, others)[2 * which]
    found = ours(head, rows, weight, bias, targets, reference=lambda part: others[part])
    got = (found.logprobs, found.kl)[which]
    for value, expected in zip(
        torch.autograd.grad(got.sum(), (rows, weight)), torch.autograd.grad(want.sum(), (rows, weight)), strict=True
    ):
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("head", HEADS)
def test_a_confidence_alone_asks_no_reference(head):
    rows, weight, bias, targets, others = inputs()
    found = ours(head, rows, weight, bias, targets, confidence=True)
    torch.testing.assert_close(found.confidence, naive(F.linear(rows, weight, bias), targets, others)[1].detach())
    assert found.kl is None
    assert found.reference is None


@pytest.mark.parametrize("asked", [False, True], ids=["nothing", "everything"])
def test_one_product_per_chunk_whatever_is_asked(monkeypatch, asked):
    """Two chunks on the way there, the same two on the way back; the reference's logits only where they are used."""
    rows, weight, bias, targets, others = inputs()
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", 21)
    products, looks, affine = [], [], logprobs.affine
    monkeypatch.setattr(logprobs, "affine", lambda *given: products.append(1) or affine(*given))
    more = {"confidence": True, "reference": lambda part: looks.append(part) or others[part]} if asked else {}
    found = plain_head_measures(rows, weight, bias, targets, **more)
    assert (len(products), len(looks)) == (2, 2 * asked)
    found.logprobs.sum().backward(retain_graph=True)
    assert (len(products), len(looks)) == (4, 2 * asked)
    if asked:
        found.kl.sum().backward()
        assert (len(products), len(looks)) == (6, 4)


@pytest.mark.parametrize("head", HEADS)
def test_no_logits_are_kept_from_forward_to_backward(monkeypatch, head):
    rows, weight, bias, targets, others = inputs()
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", 7)
    made = []

    def reference(part):
        logits = others[part].clone()
        made.append(weakref.ref(logits))
        return logits

    found = ours(head, rows, weight, bias, targets, reference=reference)
    assert len(made) == 5
    assert not any(each() is not None for each in made)
    found.kl.sum().backward()


@pytest.mark.parametrize("head", HEADS)
def test_half_precision_is_summed_in_float32(head):
    rows, weight, bias, targets, others = inputs(dtype=torch.bfloat16)
    found = ours(head, rows, weight, bias, targets, confidence=True, reference=lambda part: others[part])
    logits = F.linear(rows, weight, bias).detach()
    want = naive(logits.double(), targets, others.double())
    for value, expected in zip((found.logprobs, found.confidence, found.kl, found.reference), want, strict=True):
        assert value.dtype is torch.float32
        torch.testing.assert_close(value.detach().double(), expected, rtol=1e-6, atol=1e-6)
    (found.logprobs + found.kl).sum().backward()
    assert rows.grad.dtype is weight.grad.dtype is torch.bfloat16


def test_a_divergence_is_never_negative_and_keeps_its_digits_where_it_is_small():
    """The plain sum of p log(p / q) in float32 is off by 4e-7 here, and often below zero."""
    generator = torch.Generator().manual_seed(0)
    others = torch.randn(64, 5000, generator=generator) * 4
    logits = others + 3e-4 * torch.randn(64, 5000, generator=generator)
    targets = torch.zeros(64, dtype=torch.int64)
    exact = naive(logits.double(), targets, others.double())[2]
    found = measure(logits, targets, reference=others).kl.double()
    assert bool((found >= 0).all())
    assert float(exact.max()) < 2e-7
    assert float((found - exact).abs().max()) < 1e-7


def test_equal_logits_have_no_divergence_at_all():
    rows, weight, bias, targets, _ = inputs(dtype=torch.float32)
    same = F.linear(rows, weight, bias).detach()
    kl = plain_head_measures(rows, weight, bias, targets, reference=lambda part: same[part]).kl
    assert not kl.any()
    kl.sum().backward()
    assert not rows.grad.any()


def test_far_apart_is_large_and_finite():
    logits, others = torch.tensor([[0.0, 900.0, -900.0]]), torch.tensor([[800.0, 0.0, -800.0]])
    found = measure(logits, torch.tensor([0]), confidence=True, reference=others)
    assert (found.kl.item(), found.confidence.item(), found.reference.item()) == (900.0, -900.0, 0.0)


def test_a_token_that_both_rule_out_counts_nothing():
    nothing = float("-inf")
    logits, others = torch.tensor([[0.0, 0.0, nothing]]), torch.tensor([[0.0, nothing, nothing]])
    found = measure(logits, torch.tensor([0]), confidence=True, reference=others)
    torch.testing.assert_close(found.kl, torch.tensor([2.0]).log())
    torch.testing.assert_close(found.confidence, torch.zeros(1))


def own_scores(policy, reference, batch):
    """The four measures by the models' own forwards, one sequence at a time; differentiable in the policy."""
    parts = []
    for group, start, end in batch.completions.tolist():
        first, last = batch.prompts[group].tolist()
        ids = torch.cat([batch.ids[first:last], batch.ids[start:end]])
        scored = torch.cat([torch.zeros(last - first, dtype=torch.bool), batch.scored[start:end]])[1:]
        with torch.no_grad():
            others = reference(ids[None])[:-1][scored]
        parts.append(naive(policy(ids[None])[:-1][scored], ids[1:][scored], others))
    return [torch.cat(column) for column in zip(*parts, strict=True)]


def forward(model):
    return lambda ids: model(input_ids=ids, use_cache=False).logits[0].double()


def accumulated(policy, reference, batch, asked=ALL):
    """What `accumulate` hands to the objective and what gradient it leaves, with the weights of `pulled`."""
    seen = []

    def weigh(tokens, _groups):
        seen.append(tokens)
        slopes = torch.linspace(-1, 2, len(tokens.policy), dtype=torch.float64)
        return TokenSlopes(slopes, slopes.flip(0) * 0.7)

    policy.model.zero_grad()
    policy.accumulate(batch, weigh, asked, reference)
    return seen[0], [each.grad for each in policy.model.parameters() if each.requires_grad]


def check_against_own_forwards(policy, policy_forward, reference, reference_forward, batch):
    want = own_scores(policy_forward, reference_forward, batch)
    leaves = [each for each in policy.model.parameters() if each.requires_grad]
    gradients = pulled(want[0], want[2], *leaves)
    looked = policy.token_scores(batch, ALL, reference)
    tokens, found = accumulated(policy, reference, batch)
    for each in (looked, tokens):
        got = (each.policy, each.confidence, each.kl, each.reference)
        for value, expected in zip(got, want, strict=True):
            assert value.dtype is torch.float64
            torch.testing.assert_close(value, expected.detach(), rtol=2e-6, atol=4e-6)
    size = torch.stack([each.norm() for each in gradients]).norm()
    for value, expected in zip(found, gradients, strict=True):
        assert float((value - expected).norm()) <= 1e-5 * size


@pytest.mark.parametrize("elements", [2**24, 100])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["llama", "cohere"])
def test_a_batch_against_the_models_own_forwards(monkeypatch, build, probe, name, path, elements):
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", elements)
    policy, other = build(name), stirred(build(name), seed=7, std=0.3)
    reference = Frozen(Scorer(other, path))
    check_against_own_forwards(Scorer(policy, path), forward(policy), reference, forward(other), probe)


def trained_adapter(**settings):
    model = adapters.attach(tiny_llama(), AdapterConfig(kind="lora", rank=2, **settings), seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return model.eval()


@pytest.mark.parametrize("targets", [None, ["lm_head", "q_proj"]], ids=["plain", "own"])
def test_the_adapter_off_is_the_reference(monkeypatch, probe, targets):
    """With an adapter on the head, the reference's logits must be made without it, on the way back too."""
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", 100)
    model, base = trained_adapter(target_modules=targets), tiny_llama()
    policy = Scorer(model, "shared")
    assert (policy.head.linear is None) == (targets is not None)
    reference = Frozen(policy, lambda: adapters.adapter_off(model))
    check_against_own_forwards(policy, forward(model), reference, forward(base), probe)
    assert all(each.requires_grad == ("lora_" in name) for name, each in model.named_parameters())


def test_models_that_are_equal_have_no_divergence(build, probe):
    reference = Frozen(Scorer(build("llama"), "shared"))
    tokens = Scorer(build("llama"), "shared").token_scores(probe, ALL, reference)
    assert not tokens.kl.any()
    assert torch.equal(tokens.reference, tokens.policy)


@pytest.mark.parametrize("asked", [Asked(), Asked(confidence=True), Asked(kl=True), ALL])
def test_what_was_not_asked_is_not_there_and_no_reference_is_run(build, probe, asked):
    other, runs = stirred(build("llama"), seed=7), []
    other.model.register_forward_hook(lambda *_: runs.append(1))
    policy, reference = Scorer(build("llama"), "shared"), Frozen(Scorer(other, "shared"))
    plain = policy.token_nats(probe)
    tokens, _ = accumulated(policy, reference, probe, asked)
    looked = policy.token_scores(probe, asked, reference)
    for each in (tokens, looked):
        assert (each.confidence is not None) == asked.confidence
        assert (each.kl is not None) == (each.reference is not None) == asked.kl
        assert torch.equal(each.policy, plain)
    assert len(runs) == 2 * asked.kl
    if asked.kl:
        assert torch.equal(tokens.reference, reference.token_nats(probe))


@pytest.mark.parametrize("call", ["token_scores", "accumulate"])
def test_models_of_different_vocabularies_are_refused(probe, call):
    policy, reference = Scorer(tiny_llama(40), "shared"), Frozen(Scorer(tiny_llama(41), "shared"))
    with pytest.raises(ConfigError, match="the policy has 40 logits and the reference 41") as caught:
        accumulated(policy, reference, probe) if call == "accumulate" else policy.token_scores(probe, ALL, reference)
    assert caught.value.code == "reference.vocabulary"


def test_a_divergence_needs_a_reference(probe):
    with pytest.raises(ValueError, match="no reference"):
        Scorer(tiny_llama(), "shared").token_scores(probe, Asked(kl=True))


def test_a_frozen_policy_is_looked_at_without_dropout(probe):
    model = trained_adapter(dropout=0.5)
    for module in adapters.dropout_modules(model):
        module.train()
    policy = Frozen(Scorer(model, "shared"))
    reference = Frozen(policy.scorer, lambda: adapters.adapter_off(model))
    first, second = (policy.token_scores(probe, ALL, reference) for _ in range(2))
    assert torch.equal(first.policy, second.policy)
    assert torch.equal(first.kl, second.kl)
    assert all(module.training for module in adapters.dropout_modules(model))
