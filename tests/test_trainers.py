"""The Python face, and a test for each fault of the listings that it grew from."""

import copy
import itertools
import math
import warnings
from types import SimpleNamespace

import jaxtyping
import pytest
import torch
from tiny import stirred, tiny_llama
from torch import nn
from torch.utils.data import DataLoader
from transformers import GPT2Config, GPT2LMHeadModel

from prefsmith.config import AdapterConfig
from prefsmith.errors import ConfigError, DataError, TrainingError
from prefsmith.losses import LOSSES
from prefsmith.model import adapters
from prefsmith.trainers import (
    ConstitutionalDPOTrainer,
    DPOTrainer,
    DPOTrainerWithLoRA,
    ProbabilisticDPOTrainer,
    sequence_logprobs,
)
from prefsmith.types import Preferences, SequenceScores

# Row = previous token, column = next token; no two entries are equal.
NEXT = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.61, 0.29], [0.25, 0.35, 0.4]], dtype=torch.float64)
PAIR = (torch.tensor([0]), torch.tensor([1]))
LN2 = math.log(2)


class Bigram(nn.Module):
    """Logits of the next token from a table; returns a plain tensor."""

    def __init__(self, table=NEXT, dropout=0.0, dtype=torch.float64):
        super().__init__()
        self.table = nn.Embedding.from_pretrained(table.log().to(dtype), freeze=False)
        self.dropout = nn.Dropout(dropout)
        self.with_gradient = []

    def forward(self, input_ids, attention_mask=None):
        self.with_gradient.append(torch.is_grad_enabled())
        return self.dropout(self.table(input_ids))


def rows(ids, scored, mask=None):
    """A batch whose labels are the ids where they are scored."""
    ids, scored = torch.tensor(ids), torch.tensor(scored, dtype=torch.bool)
    mask = torch.ones_like(ids) if mask is None else torch.tensor(mask)
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(~scored, -100)}


# Sequence 0: prompt 0, completion 1 2. Sequence 1: prompt 0 2, completion 2. Sequence 2: prompt 1, completion 1 0.
# Sequence 3: prompt 2, completion 1 1. The zeros behind sequence 0 to 3 are padding where the mask says so.
FOUR = rows(
    [[0, 1, 2, 0], [0, 2, 2, 0], [1, 1, 0, 0], [2, 1, 1, 0]],
    [[0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0]],
    [[1, 1, 1, 0]] * 4,
)
BY_HAND = [math.log(0.2 * 0.29), math.log(0.4), math.log(0.61 * 0.1), math.log(0.35 * 0.61)]
SIX = tuple(torch.tensor(side) for side in zip(*itertools.combinations(range(4), 2), strict=True))


def nats(values):
    return torch.tensor(values, dtype=torch.float64)


def assert_explained(caught, code):
    """What, a stable code, and what to do."""
    assert caught.value.code == code
    assert caught.value.what
    assert caught.value.fix


# --- listing fault 1: whole tables instead of the log-probabilities of labels ---


def test_fault_1_gather_shift_and_mask_against_numbers_worked_out_by_hand():
    got = sequence_logprobs(Bigram(), FOUR)
    torch.testing.assert_close(got, nats(BY_HAND), rtol=1e-14, atol=0)


def test_fault_1_a_completion_mask_says_the_same_as_labels():
    x = {**FOUR, "completion_mask": FOUR["labels"] != -100}
    del x["labels"]
    assert torch.equal(sequence_logprobs(Bigram(), x), sequence_logprobs(Bigram(), FOUR))


def test_fault_1_float32_logits_are_summed_in_float64():
    """A thousand tokens: in float32 the sum loses what the margin is made of."""
    ids = [[0, *([1, 2, 0] * 400)]]
    x = rows(ids, [[0] + [1] * 1200])
    got = sequence_logprobs(Bigram(dtype=torch.float32), x)
    assert got.dtype is torch.float64
    assert got.item() == pytest.approx(400 * math.log(0.2 * 0.29 * 0.25), rel=2e-8)


@pytest.mark.parametrize(("part", "column"), [("prompt", 0), ("padding", 3)])
def test_fault_1_tokens_that_are_not_scored_do_not_count(part, column):
    """Sequence 1 ends with its third token; its first is prompt beyond the reach of a bigram."""
    changed = {**FOUR, "input_ids": FOUR["input_ids"].clone()}
    changed["input_ids"][1, column] = 1
    assert sequence_logprobs(Bigram(), changed)[1] == sequence_logprobs(Bigram(), FOUR)[1]


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: (t, None), lambda t: SimpleNamespace(logits=t)])
def test_fault_1_any_module_that_returns_logits_works(wrap):
    class Wrapped(Bigram):
        def forward(self, input_ids, attention_mask=None):
            return wrap(super().forward(input_ids, attention_mask))

    torch.testing.assert_close(sequence_logprobs(Wrapped(), FOUR), nats(BY_HAND))


# --- listing fault 2: a reference with gradient, in train mode, initialised apart ---


def test_fault_2_the_reference_is_a_frozen_copy_of_the_starting_policy():
    model = Bigram(dropout=0.5)
    trainer = DPOTrainer(model, lr=0.1)
    assert trainer.ref_model is not model
    assert torch.equal(trainer.ref_model.table.weight, model.table.weight)
    start = model.table.weight.detach().clone()
    for _ in range(3):
        trainer.train_step((FOUR, *SIX))
    assert torch.equal(trainer.ref_model.table.weight, start)
    assert not torch.equal(model.table.weight, start)


@pytest.mark.parametrize("given", [None, "itself", "copy"])
def test_fault_2_the_reference_runs_without_gradient_and_in_eval_mode(given):
    model = Bigram(dropout=0.5).train()
    reference = {"itself": model, "copy": copy.deepcopy(model).train()}.get(given)
    trainer = DPOTrainer(model, reference, lr=0.1)
    trainer.train_step((FOUR, *SIX))
    assert not any(module.training for module in trainer.ref_model.modules())
    assert not any(each.requires_grad for each in trainer.ref_model.parameters())
    assert trainer.ref_model.with_gradient == [False]
    assert trainer.ref_model.table.weight.grad is None
    assert not model.training


def test_fault_2_a_separately_initialised_reference_is_refused():
    model, other = Bigram(), Bigram(NEXT.flip(0))
    start = model.table.weight.detach().clone()
    with pytest.raises(TrainingError, match="policy and reference differ by") as caught:
        DPOTrainer(model, other, lr=0.1).train_step((FOUR, *SIX))
    assert_explained(caught, "train.start")
    assert caught.value.where == "step 1"
    assert torch.equal(model.table.weight, start)


def test_fault_2_another_reference_is_taken_on_purpose():
    trainer = DPOTrainer(Bigram(), Bigram(NEXT.flip(0)), lr=0.1, allow_other_reference=True)
    first = trainer.train_step((FOUR, *SIX))
    assert first != pytest.approx(LN2)
    assert trainer.train_step((FOUR, *SIX)) < first


def test_fault_2_the_start_is_checked_only_before_the_first_step():
    trainer = DPOTrainer(Bigram(), lr=0.5)
    losses = [trainer.train_step((FOUR, *SIX)) for _ in range(4)]
    assert losses == sorted(losses, reverse=True)


# --- listing fault 3: a probabilistic trainer without reference ---


def optimum(trainer, reference, pairs, probs):
    """The policy over single outcomes that minimises the trainer's loss, by L-BFGS."""
    logits = torch.zeros(len(reference), dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [logits], max_iter=500, tolerance_grad=1e-13, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        solver.zero_grad()
        loss, _ = trainer.compute_loss(logits.log_softmax(0), reference.log(), *pairs, probs)
        loss.backward()
        return loss

    solver.step(closure)
    return logits.softmax(0).detach()


def test_fault_3_the_probabilistic_optimum_keeps_the_reference():
    """pi is proportional to reference exp(r / beta); without the reference it would be (.090, .245, .665)."""
    reward, beta, reference = nats([0.0, 0.5, 1.0]), 0.5, nats([0.7, 0.2, 0.1])
    pairs = tuple(torch.tensor(side) for side in zip(*itertools.permutations(range(3), 2), strict=True))
    probs = (reward[pairs[0]] - reward[pairs[1]]).sigmoid()
    found = optimum(ProbabilisticDPOTrainer(Bigram(), beta=beta), reference, pairs, probs)
    target = reference * (reward / beta).exp()
    torch.testing.assert_close(found, target / target.sum(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found, nats([0.353, 0.274, 0.373]), rtol=0, atol=5e-4)


# --- listing fault 4: the batch summed into one logit ---


@pytest.mark.parametrize("kind", [DPOTrainer, ProbabilisticDPOTrainer, ConstitutionalDPOTrainer])
def test_fault_4_the_loss_is_the_mean_of_losses_not_the_loss_of_a_sum(kind):
    """Two pairs with opposite margins: their sum is 0, their losses are not ln 2."""
    trainer = kind(Bigram(), beta=0.5)
    policy, reference = nats([2.0, 0.0, 0.0, 2.0]), nats([0.0, 0.0, 0.0, 0.0])
    index = torch.tensor([0, 2]), torch.tensor([1, 3])
    prob = (1.0,) if kind is ProbabilisticDPOTrainer else ()
    loss, _ = trainer.compute_loss(policy, reference, *index, *prob)
    by_hand = (math.log1p(math.exp(-1.0)) + math.log1p(math.exp(1.0))) / 2
    assert loss.item() == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("prob", [0.8, torch.tensor([0.8, 0.8, 0.8, 0.8, 0.8, 0.8]), torch.linspace(0, 1, 6)])
def test_fault_4_each_pair_has_its_own_probability(prob):
    trainer = ProbabilisticDPOTrainer(Bigram(), beta=0.3)
    policy, reference = nats([-1.0, -3.0, -2.0, -7.0]), nats([-2.0, -2.5, -1.0, -4.0])
    loss, _ = trainer.compute_loss(policy, reference, *SIX, prob)
    p = torch.as_tensor(prob, dtype=torch.float64).expand(6).tolist()
    ratio = [1.0, -0.5, -1.0, -3.0]
    h = [0.3 * (ratio[a] - ratio[b]) for a, b in itertools.combinations(range(4), 2)]
    by_hand = [q * math.log1p(math.exp(-m)) + (1 - q) * math.log1p(math.exp(m)) for q, m in zip(p, h, strict=True)]
    assert loss.item() == pytest.approx(sum(by_hand) / 6, rel=1e-7)


def test_probabilities_come_from_the_batch_or_from_the_trainer():
    def after(*batch, **settings):
        trainer = ProbabilisticDPOTrainer(Bigram(), lr=0.1, **settings)
        for _ in range(2):
            loss = trainer.train_step((FOUR, *SIX, *batch))
        return loss

    assert after(0.3) == after(preference_prob=0.3) == after(torch.full((6,), 0.3, dtype=torch.float64))
    assert after() == after(0.8)
    assert after(0.8) != after(0.3)


def test_with_certain_labels_the_probabilistic_trainer_is_the_plain_one():
    given = nats([-1.0, -3.0, -2.0, -7.0]), nats([-2.0, -2.5, -1.0, -4.0]), *SIX
    plain, _ = DPOTrainer(Bigram()).compute_loss(*given)
    assert torch.equal(ProbabilisticDPOTrainer(Bigram(), preference_prob=1.0).compute_loss(*given)[0], plain)


# --- listing fault 5: a number added to a tuple ---


def unlikely(model, pi_logps, ref_logps, yw_idxs, yl_idxs):
    """A penalty with a gradient."""
    return (pi_logps[0] + 5.0).relu()


def test_fault_5_a_constraint_adds_to_the_loss_and_is_reported():
    trainer = ConstitutionalDPOTrainer(Bigram(), lr=0.01, constraints=[unlikely])
    loss = trainer.train_step((FOUR, *SIX))
    penalty = BY_HAND[0] + 5
    assert loss == pytest.approx(LN2 + penalty, rel=1e-12)
    assert trainer.report.constraints == {"unlikely": pytest.approx(penalty, rel=1e-12)}
    assert trainer.report.preference_loss == pytest.approx(LN2, rel=1e-12)
    assert trainer.report.loss == loss


def test_fault_5_a_constraint_acts_through_its_gradient():
    plain, bound = (ConstitutionalDPOTrainer(Bigram(), lr=0.01, constraints=c) for c in ([], [unlikely]))
    for _ in range(20):
        plain.train_step((FOUR, *SIX))
        bound.train_step((FOUR, *SIX))
    assert sequence_logprobs(bound.model, FOUR)[0] < sequence_logprobs(plain.model, FOUR)[0] - 0.1


def test_fault_5_compute_loss_returns_a_loss_and_rewards():
    trainer = ConstitutionalDPOTrainer(Bigram(), beta=0.5, constraints=[unlikely])
    policy = nats([-1.0, -3.0]).requires_grad_()
    loss, rewards = trainer.compute_loss(policy, nats([-1.0, -3.0]), *PAIR)
    assert loss.item() == pytest.approx(LN2 + 4.0)
    assert rewards.tolist() == [0.0, 0.0]


def test_constraints_without_gradient_are_warned_about():
    trainer = ConstitutionalDPOTrainer(Bigram(), constraints=[lambda *_args: 0.25])
    with pytest.warns(UserWarning, match="the constraint <lambda>_0 has no gradient"):
        assert trainer.train_step((FOUR, *SIX)) == pytest.approx(LN2 + 0.25)
    assert trainer.report.constraints == {"<lambda>_0": 0.25}


def test_constraints_of_one_name_are_all_counted():
    trainer = ConstitutionalDPOTrainer(Bigram(), constraints=[unlikely, unlikely])
    assert trainer.train_step((FOUR, *SIX)) == pytest.approx(LN2 + 2 * (BY_HAND[0] + 5))
    assert list(trainer.report.constraints) == ["unlikely_0", "unlikely_1"]


def test_constraints_must_be_scalars():
    trainer = ConstitutionalDPOTrainer(Bigram(), constraints=[lambda _model, pi_logps, *_rest: pi_logps])
    with pytest.raises(DataError, match=r"returned the shape \(4,\), not a scalar") as caught:
        trainer.train_step((FOUR, *SIX))
    assert_explained(caught, "trainer.constraint")


# --- listing fault 6: LoRA adapts its own reference ---

LLAMA_ROWS = rows(
    [[5, 9, 17, 33, 4], [5, 9, 21, 8, 30], [5, 9, 6, 7, 3]], [[0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1]]
)


@pytest.mark.parametrize("given", ["none", "itself", "copy"])
def test_fault_6_lora_leaves_its_reference_where_it_was(given):
    model = tiny_llama()
    before = sequence_logprobs(tiny_llama(), LLAMA_ROWS).detach()
    reference = {"none": None, "itself": model, "copy": copy.deepcopy(model)}[given]
    trainer = DPOTrainerWithLoRA(model, reference, lr=0.05, beta=0.5, lora_dropout=0.0)
    losses = [trainer.train_step((LLAMA_ROWS, *PAIR)) for _ in range(5)]
    assert losses[0] == pytest.approx(LN2, rel=1e-9)
    assert losses[-1] < 0.6
    with torch.no_grad(), trainer._reference():
        assert torch.equal(sequence_logprobs(trainer.ref_model, LLAMA_ROWS), before)
    assert not torch.equal(sequence_logprobs(trainer.model, LLAMA_ROWS), before)


def test_fault_6_the_base_weights_stay_bit_for_bit():
    model, plain = tiny_llama(), dict(tiny_llama().named_parameters())
    trainer = DPOTrainerWithLoRA(model, lr=0.05)
    for _ in range(2):
        trainer.train_step((LLAMA_ROWS, *PAIR))
    kept = {name.replace(".base_layer", ""): each for name, each in model.named_parameters() if "lora_" not in name}
    assert kept.keys() == plain.keys()
    assert all(torch.equal(kept[name], plain[name]) for name in plain)
    assert trainer.report.grad_norm > 0


def test_lora_settings_reach_the_adapter():
    trainer = DPOTrainerWithLoRA(tiny_llama(), lora_rank=3, lora_alpha=6.0, target_modules=["o_proj"], lora_dropout=0.1)
    layer = adapters.unwrapped(trainer.model).model.layers[0].self_attn.o_proj
    assert layer.scaling == {"default": 2.0}
    assert layer.lora_A["default"].weight.shape == (3, 32)
    assert [module.p for module in trainer.model.modules() if module.training] == [0.1, 0.1]


def test_lora_dropout_does_not_matter_in_the_first_step():
    trainer = DPOTrainerWithLoRA(tiny_llama(), lora_dropout=0.5)
    assert trainer.train_step((LLAMA_ROWS, *PAIR)) == pytest.approx(LN2, rel=1e-9)


def test_lora_with_unknown_modules_is_refused():
    with pytest.raises(ConfigError) as caught:
        DPOTrainerWithLoRA(tiny_llama(), target_modules=["nowhere"])
    assert_explained(caught, "adapter.target_modules")


# --- listing fault 7: defaults ---


def test_fault_7_defaults_are_the_documented_ones():
    trainer = DPOTrainer(Bigram())
    assert trainer.beta == 0.1
    assert isinstance(trainer.optimizer, torch.optim.AdamW)
    assert trainer.optimizer.param_groups[0]["lr"] == 1e-5


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"beta": 0.0}, "loss.value"),
        ({"beta": -0.1}, "loss.value"),
        ({"lr": 0.0}, "optim.learning_rate"),
        ({"lr": 3.0}, "optim.learning_rate"),
    ],
)
def test_settings_out_of_range_are_refused(settings, code):
    with pytest.raises(ConfigError) as caught:
        DPOTrainer(Bigram(), **settings)
    assert caught.value.code == code
    assert caught.value.where


# --- listing idea 8: index pairs ---


def test_idea_8_four_completions_make_six_pairs_in_one_forward():
    model = Bigram()
    trainer = DPOTrainer(model, Bigram(NEXT.flip(1)), allow_other_reference=True, lr=1e-3)
    singles = [
        DPOTrainer(Bigram(), Bigram(NEXT.flip(1)), allow_other_reference=True).train_step(
            (FOUR, torch.tensor([a]), torch.tensor([b]))
        )
        for a, b in itertools.combinations(range(4), 2)
    ]
    assert trainer.train_step((FOUR, *SIX)) == pytest.approx(sum(singles) / 6, rel=1e-12)
    assert len(set(singles)) == 6
    assert len(model.with_gradient) == 1


def test_idea_8_the_gradient_of_six_pairs_is_that_of_six_separate_losses():
    policy, reference = nats([-1.0, -3.0, -2.0, -7.0]).requires_grad_(), nats([-2.0, -2.5, -1.0, -4.0])
    trainer = DPOTrainer(Bigram(), beta=0.3)
    trainer.compute_loss(policy, reference, *SIX)[0].backward()
    ratio, by_hand = [1.0, -0.5, -1.0, -3.0], [0.0] * 4
    for a, b in itertools.combinations(range(4), 2):
        slope = -0.3 / (1 + math.exp(0.3 * (ratio[a] - ratio[b]))) / 6
        by_hand[a] += slope
        by_hand[b] -= slope
    torch.testing.assert_close(policy.grad, nats(by_hand), rtol=1e-12, atol=0)


# --- the loss, the rewards, the report ---


def test_the_loss_at_the_start_is_ln_2_and_a_tie_counts_one_half():
    trainer = DPOTrainer(Bigram())
    assert trainer.report is None
    assert trainer.train_step((FOUR, *SIX)) == pytest.approx(LN2, rel=1e-15)
    assert (trainer.report.accuracy, trainer.report.margin) == (0.5, 0.0)


def test_rewards_are_beta_times_the_log_ratio_without_gradient():
    policy, reference = nats([-1.0, -3.0]).requires_grad_(), nats([-2.0, -2.5])
    loss, rewards = DPOTrainer(Bigram(), beta=0.3).compute_loss(policy, reference, *PAIR)
    torch.testing.assert_close(rewards, nats([0.3, -0.15]))
    assert not rewards.requires_grad
    assert loss.requires_grad
    assert loss.item() == pytest.approx(math.log1p(math.exp(-0.45)), rel=1e-12)


def test_the_reference_gets_no_gradient_from_the_loss():
    reference = nats([-2.0, -2.5]).requires_grad_()
    loss, _ = DPOTrainer(Bigram()).compute_loss(nats([-1.0, -3.0]).requires_grad_(), reference, *PAIR)
    loss.backward()
    assert reference.grad is None


def test_the_loss_is_the_one_of_the_package():
    policy, reference = nats([-1.0, -3.0, -2.0, -7.0]), nats([-2.0, -2.5, -1.0, -4.0])
    ones = torch.ones(6, dtype=torch.float64)
    scores = SequenceScores(policy, reference, torch.ones(4, dtype=torch.int64))
    want = LOSSES["dpo"].fn(scores, Preferences(*SIX, ones, ones, ones), beta=0.3).mean()
    assert torch.equal(DPOTrainer(Bigram(), beta=0.3).compute_loss(policy, reference, *SIX)[0], want)


def test_the_report_says_what_the_step_did():
    model, reference = Bigram(), Bigram(NEXT.flip(1))
    theirs = sequence_logprobs(reference, FOUR).tolist()
    ratio = [a - b for a, b in zip(BY_HAND, theirs, strict=True)]
    margins = [ratio[0] - ratio[1], ratio[2] - ratio[1]]
    trainer = DPOTrainer(model, reference, beta=0.4, allow_other_reference=True)
    weights = model.table.weight.detach().clone().requires_grad_()
    trainer.train_step((FOUR, torch.tensor([0, 2]), torch.tensor([1, 1])))
    report = trainer.report
    assert report.margin == pytest.approx(sum(margins) / 2, rel=1e-9)
    assert report.accuracy == sum(m > 0 for m in margins) / 2
    assert (
        report.loss
        == report.preference_loss
        == pytest.approx(sum(math.log1p(math.exp(-0.4 * m)) for m in margins) / 2, rel=1e-9)
    )
    table = weights.log_softmax(-1)
    pi = torch.stack([table[0, 1] + table[1, 2], table[2, 2], table[1, 1] + table[1, 0]])
    h = 0.4 * (pi[[0, 2]] - pi[[1, 1]] - nats([theirs[0] - theirs[1], theirs[2] - theirs[1]]))
    nn.functional.softplus(-h).mean().backward()
    assert report.grad_norm == pytest.approx(float(weights.grad.norm()), rel=1e-9)


@pytest.mark.parametrize("kind", [DPOTrainer, ProbabilisticDPOTrainer, ConstitutionalDPOTrainer])
def test_a_loop_over_a_loader_lowers_the_loss(kind):
    def collate(items):
        x = {name: torch.stack([item[name] for item in items]).flatten(0, 1) for name in items[0]}
        chosen = torch.arange(0, 2 * len(items), 2)
        return x, chosen, chosen + 1

    generator = torch.Generator().manual_seed(0)
    data = []
    for _ in range(16):
        ids = torch.randint(0, 3, (2, 4), generator=generator)
        ids[:, 0] = ids[0, 0]
        ids[0, 1], ids[1, 1] = 2, 0  # the preferred completion starts with 2
        labels = ids.clone()
        labels[:, 0] = -100
        data.append({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels})
    loader = DataLoader(data, batch_size=4, collate_fn=collate, shuffle=True, generator=generator)
    trainer = kind(Bigram(dtype=torch.float32), beta=0.5, lr=0.05)
    losses = [trainer.train_step(batch) for _ in range(3) for batch in loader]
    assert losses[0] == pytest.approx(LN2, abs=1e-6)
    assert losses[-1] < 0.58
    assert trainer.report.accuracy > 0.9


def test_a_step_does_not_keep_the_gradient_of_the_one_before():
    trainer, norms = DPOTrainer(Bigram(), lr=1e-9), []
    for _ in range(2):
        trainer.train_step((FOUR, *SIX))
        norms.append(trainer.report.grad_norm)
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)


# --- padding ---


def padded(side, pad=0):
    """A long and a short sequence; end token 2 closes both, and padding may be the end token too."""
    long, short = [5, 9, 17, 33, 4, 21, 2], [7, 8, 30, 2]
    filler, away = [pad] * 3, [0] * 3
    if side == "left":
        ids, mask = [long, filler + short], [[1] * 7, away + [1] * 4]
        scored = [[0, 0, 0, 1, 1, 1, 1], [*away, 0, 0, 1, 1]]
    else:
        ids, mask = [long, short + filler], [[1] * 7, [1] * 4 + away]
        scored = [[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, *away]]
    return rows(ids, scored, mask)


def tiny_gpt2():
    """Its positions are learned, so that a shift shows."""
    sizes = {"vocab_size": 40, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    return stirred(GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=2)))


def tiny_gpt2_with_adapter():
    return adapters.attach(tiny_gpt2(), AdapterConfig(kind="lora"), seed=0).eval()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pad", [0, 2], ids=["pad", "pad-is-eos"])
@pytest.mark.parametrize("make", [tiny_llama, tiny_gpt2, tiny_gpt2_with_adapter])
def test_padding_on_either_side_changes_no_log_probability(side, pad, make):
    model = make()
    alone = [
        sequence_logprobs(model, rows([[5, 9, 17, 33, 4, 21, 2]], [[0, 0, 0, 1, 1, 1, 1]])),
        sequence_logprobs(model, rows([[7, 8, 30, 2]], [[0, 0, 1, 1]])),
    ]
    torch.testing.assert_close(sequence_logprobs(model, padded(side, pad)), torch.cat(alone), rtol=0, atol=1e-5)


def test_the_end_token_counts_once_where_it_is_also_the_padding():
    """Sequence 7 8 30 </s>: the real end token is scored, the padding behind it is not."""
    model = tiny_llama()
    with torch.no_grad():
        table = model(input_ids=torch.tensor([[7, 8, 30, 2]])).logits[0].double().log_softmax(-1)
    by_hand = float(table[1, 30] + table[2, 2])
    for side in ("left", "right"):
        assert sequence_logprobs(model, padded(side, pad=2))[1].item() == pytest.approx(by_hand, abs=1e-5)


def test_without_a_mask_every_token_is_read():
    x = {name: FOUR[name] for name in ("input_ids", "labels")}
    torch.testing.assert_close(sequence_logprobs(Bigram(), x), nats(BY_HAND))


# --- what is refused ---


@pytest.mark.parametrize("kind", [DPOTrainer, ConstitutionalDPOTrainer])
def test_weights_that_are_no_numbers_stop_the_step_before_they_move(kind):
    model = Bigram()
    trainer = kind(model, lr=0.1)
    trainer.train_step((FOUR, *SIX))
    with torch.no_grad():
        model.table.weight[1, 2] = float("nan")
    before = model.table.weight.detach().clone()
    report = trainer.report
    with pytest.raises(TrainingError, match="the weights were not changed") as caught:
        trainer.train_step((FOUR, *SIX))
    assert_explained(caught, "train.nonfinite")
    assert caught.value.where == "step 2"
    torch.testing.assert_close(model.table.weight.detach(), before, rtol=0, atol=0, equal_nan=True)
    assert trainer.report is report


def test_weights_that_are_no_numbers_at_the_start_are_refused():
    model = Bigram()
    with torch.no_grad():
        model.table.weight[1, 2] = float("nan")
    with pytest.raises(TrainingError) as caught:
        DPOTrainer(model).train_step((FOUR, *SIX))
    assert_explained(caught, "train.nonfinite")


def test_a_gradient_that_is_no_number_stops_the_step():
    """The loss is finite, its gradient is not."""
    trainer = ConstitutionalDPOTrainer(Bigram(), lr=0.1, constraints=[lambda _m, pi, *_rest: (pi[0] * 0).sqrt().sum()])
    before = trainer.model.table.weight.detach().clone()
    with pytest.raises(TrainingError, match="gradient norm nan") as caught:
        trainer.train_step((FOUR, *SIX))
    assert_explained(caught, "train.nonfinite")
    assert torch.equal(trainer.model.table.weight, before)


@pytest.fixture
def unchecked():
    """As users have it: shapes are not checked by the types, so the trainer must."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def broken(**changes):
    return {name: each for name, each in (FOUR | changes).items() if each is not None}


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (broken(labels=None), "does not say what is scored"),
        (broken(labels=FOUR["input_ids"]), "first token of a row is scored"),
        (broken(labels=FOUR["labels"].index_fill(0, torch.tensor(2), -100)), "row 2 has no scored token"),
    ],
)
def test_batches_that_cannot_be_scored_are_refused(x, match):
    with pytest.raises(DataError, match=match) as caught:
        DPOTrainer(Bigram()).train_step((x, *SIX))
    assert_explained(caught, "trainer.batch")


@pytest.mark.parametrize("kind", [DPOTrainer, ConstitutionalDPOTrainer])
def test_probabilities_for_a_trainer_that_takes_none_are_refused(kind):
    with pytest.raises(DataError, match="fourth part") as caught:
        kind(Bigram()).train_step((FOUR, *SIX, 0.7))
    assert_explained(caught, "trainer.batch")
    assert "ProbabilisticDPOTrainer" in caught.value.fix


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("yw", "yl", "code"),
    [
        ([4], [0], "trainer.index"),
        ([0], [-1], "trainer.index"),
        ([0, 1], [2], "trainer.shape"),
        ([], [], "trainer.shape"),
    ],
)
def test_indices_that_do_not_fit_are_refused(yw, yl, code):
    index = torch.tensor(yw, dtype=torch.int64), torch.tensor(yl, dtype=torch.int64)
    with pytest.raises(DataError) as caught:
        DPOTrainer(Bigram()).compute_loss(nats([0.0] * 4), nats([0.0] * 4), *index)
    assert_explained(caught, code)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("policy", "reference"), [((4,), (3,)), ((4, 7, 3), (4, 7, 3)), ((4, 7), (4, 7))])
def test_whole_tables_are_refused(policy, reference):
    """Fault 1 again, at the door of the loss: (B, L, V) where (B,) belongs."""
    shapes = torch.zeros(policy, dtype=torch.float64), torch.zeros(reference, dtype=torch.float64)
    with pytest.raises(DataError, match=r"not both of shape \(B,\)") as caught:
        DPOTrainer(Bigram()).compute_loss(*shapes, *PAIR)
    assert_explained(caught, "trainer.shape")


@pytest.mark.parametrize("prob", [1.2, -0.1, float("nan"), torch.tensor([0.5, 1.5, 0.5, 0.5, 0.5, 0.5])])
def test_probabilities_outside_their_range_are_refused(prob):
    with pytest.raises(DataError, match=r"not in \[0, 1\]") as caught:
        ProbabilisticDPOTrainer(Bigram()).train_step((FOUR, *SIX, prob))
    assert_explained(caught, "trainer.probability")


def test_no_step_warns_without_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ConstitutionalDPOTrainer(Bigram(), constraints=[unlikely]).train_step((FOUR, *SIX))
