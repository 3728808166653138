"""From hidden rows to log-probabilities, and the layouts that say which row predicts which token."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from prefsmith.config import AdapterConfig
from prefsmith.model import adapters, logprobs
from prefsmith.model.forest import forest, pad, unshare
from prefsmith.model.head import Head
from prefsmith.model.logprobs import own_head_measures, plain_head_measures, sum_per_sequence
from prefsmith.types import Batch, Preferences


def plain_head_logprobs(*given):
    return plain_head_measures(*given).logprobs


def own_head_logprobs(*given):
    return own_head_measures(*given).logprobs


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("llama", "plain head"),
        ("qwen2", "plain head"),
        ("phi", "plain head"),
        ("opt", "plain head"),
        ("cohere", "plain head, logits times 0.3"),
        ("granite", "plain head, logits divided by 4"),
        ("gemma2", "plain head, logits bounded by 30"),
    ],
)
def test_which_heads_are_plain(build, name, words):
    head = Head(build(name))
    assert head.linear is not None
    assert head.describe() == words
    assert head.vocabulary == 40


@pytest.mark.parametrize(("name", "key", "value"), [("llama", "logit_scale", 0.5), ("cohere", "logit_scale", 1.0)])
def test_a_head_is_what_it_does_and_not_what_the_configuration_says(build, name, key, value):
    """A configuration may have a key that the model does not read, or not the one that it reads."""
    model = build(name)
    setattr(model.config, key, value)
    head = Head(model)
    assert head.describe() == ("plain head" if name == "llama" else "the model's own head")


def test_an_adapter_on_the_head_is_seen(build):
    """Taking the linear layer beneath it would leave the adapter out."""
    config = AdapterConfig(kind="lora", target_modules=["lm_head"])
    adapted = adapters.attach(build("llama"), config, seed=0)
    with torch.no_grad():
        adapted.get_parameter("base_model.model.lm_head.lora_B.default.weight").normal_()
    causal = adapters.unwrapped(adapted)
    head = Head(causal)
    assert head.describe() == "the model's own head"
    rows, targets = torch.randn(3, 32, generator=torch.Generator().manual_seed(1)), torch.tensor([4, 5, 6])
    by_hand = causal.lm_head(rows).log_softmax(-1)[range(3), targets]
    torch.testing.assert_close(head.logprobs(rows, targets), by_hand)


@pytest.mark.parametrize("name", ["cohere", "granite", "gemma2", "phi", "opt", "mamba", "gpt2"])
def test_a_head_gives_the_models_own_logits(build, name):
    """Hidden rows of a real forward, so that scale, cap and bias show."""
    model = build(name)
    ids = torch.tensor([[5, 9, 17, 33, 4, 21]])
    with torch.no_grad():
        want = model(input_ids=ids, use_cache=False).logits[0, :-1].log_softmax(-1)[range(5), ids[0, 1:]]
        rows = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0, :-1]
        got = Head(model).logprobs(rows, ids[0, 1:])
    torch.testing.assert_close(got, want, rtol=0, atol=2e-6)


def test_the_models_body_is_back_after_its_own_head_failed(build):
    model = build("cohere")
    head, body = Head(model), model.model
    with pytest.raises(RuntimeError):
        head.own(torch.zeros(2, 7))
    assert model.model is body


def inputs(rows=5, hidden=4, vocabulary=7, dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    made = [torch.randn(*shape, generator=generator) for shape in ((rows, hidden), (vocabulary, hidden), (vocabulary,))]
    targets = torch.tensor([6, 0, 3, 3, 1])[:rows]
    return *(each.to(dtype).requires_grad_() for each in made), targets


@pytest.mark.parametrize("elements", [7, 14, 2**24])
@pytest.mark.parametrize("biased", [True, False])
def test_plain_head_passes_gradcheck_in_chunks_of_any_size(monkeypatch, elements, biased):
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", elements)
    rows, weight, bias, targets = inputs()
    given = (rows, weight, bias) if biased else (rows, weight)
    assert torch.autograd.gradcheck(
        lambda *args: plain_head_logprobs(args[0], args[1], args[2] if biased else None, targets), given
    )


def gradients(function, *given):
    nats = function()
    nats.backward(torch.linspace(-1, 2, len(nats), dtype=nats.dtype))
    found = [nats.detach(), *(each.grad.clone() for each in given)]
    for each in given:
        each.grad = None
    return found


@pytest.mark.parametrize("elements", [1, 7, 20, 21, 2**24])
@pytest.mark.parametrize("own", [True, False], ids=["own", "plain"])
def test_chunks_change_neither_value_nor_gradient(monkeypatch, elements, own):
    rows, weight, bias, targets = inputs()
    naive = gradients(lambda: F.linear(rows, weight, bias).log_softmax(-1)[range(5), targets], rows, weight, bias)
    widest = []

    def head(part):
        widest.append(len(part))
        return F.linear(part, weight, bias)

    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", elements)
    got = gradients(
        lambda: own_head_logprobs(rows, head, targets, 7) if own else plain_head_logprobs(rows, weight, bias, targets),
        rows,
        weight,
        bias,
    )
    torch.testing.assert_close(got, naive, rtol=1e-13, atol=1e-13)
    assert not own or max(widest) == min(5, max(1, elements // 7))


def test_a_frozen_head_still_passes_the_gradient_on():
    rows, weight, bias, targets = inputs()
    want = gradients(lambda: plain_head_logprobs(rows, weight, bias, targets), rows)
    frozen = gradients(lambda: plain_head_logprobs(rows, weight.detach(), bias.detach(), targets), rows)
    torch.testing.assert_close(frozen, want)


def test_half_precision_is_summed_in_float32():
    rows, weight, bias, targets = inputs(dtype=torch.bfloat16)
    nats = plain_head_logprobs(rows, weight, bias, targets)
    assert nats.dtype is torch.float32
    logits = F.linear(rows, weight, bias).float().detach()
    torch.testing.assert_close(nats.detach(), logits.log_softmax(-1)[range(5), targets])


def test_large_logits_do_not_overflow():
    rows, targets = torch.tensor([[1000.0], [-1000.0]], requires_grad=True), torch.tensor([0, 0])
    nats = plain_head_logprobs(rows, torch.tensor([[1.0], [0.5]]), None, targets)
    assert nats.tolist() == [0.0, -500.0]
    nats.sum().backward()
    assert rows.grad[:, 0].tolist() == [0.0, 0.5]


def test_sums_are_made_in_float64():
    """In float32 the last token of the first sequence would vanish beside the first."""
    nats = torch.tensor([-(2.0**30), -(2.0**-10), -3.0, -0.5, -0.25], dtype=torch.float64)
    sums = sum_per_sequence(nats, torch.tensor([2, 1, 2]))
    assert sums.tolist() == [-(2.0**30) - 2.0**-10, -3.0, -0.75]


# Row = previous token, column = next token. No two entries are equal, so that a wrong row, a wrong column, an extra
# token or a token of a neighbour changes the answer.
NEXT = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.61, 0.29], [0.25, 0.35, 0.4]], dtype=torch.float64)

# g0: prompt 0 2, completions [1 2] and [2 2 0] (its first token is not scored); g1: prompt 1, completion [0]
BIGRAMS = Batch(
    ids=torch.tensor([0, 2, 1, 2, 2, 2, 0, 1, 0]),
    prompts=torch.tensor([[0, 2], [7, 8]]),
    completions=torch.tensor([[0, 2, 4], [0, 4, 7], [1, 8, 9]]),
    scored=torch.tensor([False, False, True, True, False, True, True, False, True]),
    labels=(),
    compared=Preferences(torch.tensor([0]), torch.tensor([1]), *(torch.ones(1, dtype=torch.float64) for _ in range(3))),
    sources=("rows:1", "rows:2"),
)
BY_HAND = [math.log(0.35 * 0.29), math.log(0.4 * 0.25), math.log(0.1)]


@pytest.mark.parametrize("layout", ["shared", "packed", "padded"])
def test_probabilities_worked_out_by_hand(layout):
    """The head's rows are one-hot previous tokens, so that the answers can be read off the table."""
    batch = unshare(BIGRAMS) if layout == "packed" else BIGRAMS
    plan = pad(batch) if layout == "padded" else forest(batch)
    ids = plan.ids.flatten() if layout == "padded" else batch.ids
    rows = nn.functional.one_hot(ids, 3).double()[plan.predictors]
    nats = plain_head_logprobs(rows, NEXT.log().T.contiguous(), None, plan.targets)
    sums = sum_per_sequence(nats, batch.scored_per_seq())
    torch.testing.assert_close(sums, torch.tensor(BY_HAND, dtype=torch.float64), rtol=1e-14, atol=0)


def test_layouts_worked_out_by_hand():
    plan = forest(BIGRAMS)
    assert plan.positions.tolist() == [0, 1, 2, 3, 2, 3, 4, 0, 1]
    assert plan.predictors.tolist() == [1, 2, 4, 5, 7]
    assert plan.targets.tolist() == [1, 2, 2, 0, 0]
    alone = unshare(BIGRAMS)
    assert alone.ids.tolist() == [0, 2, 1, 2, 0, 2, 2, 2, 0, 1, 0]
    assert alone.prompts.tolist() == [[0, 2], [4, 6], [9, 10]]
    assert alone.completions.tolist() == [[0, 2, 4], [1, 6, 9], [2, 10, 11]]
    assert alone.sources == ("rows:1", "rows:1", "rows:2")
    matrix = pad(BIGRAMS, fill=9)
    assert matrix.ids.tolist() == [[0, 2, 1, 2, 9], [0, 2, 2, 2, 0], [1, 0, 9, 9, 9]]
    assert matrix.mask.tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
