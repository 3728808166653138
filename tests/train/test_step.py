"""The gradient of one step: the same whatever the micro-batches, and the one that a direct computation gives."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from tiny import encoded_groups, tiny_llama

from prefsmith.data.pack import pack
from prefsmith.errors import TrainingError
from prefsmith.losses import resolve
from prefsmith.losses.registry import LOSSES, Entry, Term
from prefsmith.model import logprobs, sweep
from prefsmith.model.score import Asked, Frozen, Scorer
from prefsmith.records import Rating
from prefsmith.train.objective import Objective
from prefsmith.train.step import accumulate_step, score_step

WHOLE = 10_000


def groups_for(name, count=8, **changes):
    """Groups of one loss; for KTO each with the answers of the next one behind its own."""
    kind = LOSSES[name].kind
    groups = encoded_groups(count, kind=kind, **changes)
    if name == "sft":
        groups = [replace(g, views=(replace(g.views[0], ratings=(Rating(0, 1.0),)),)) for g in groups]
    if LOSSES[name].mismatched:
        groups = [
            replace(group, mismatched=groups[(index + 1) % count].completions) for index, group in enumerate(groups)
        ]
    return groups


def models(dtype=torch.float64):
    """Seeds for which KTO's z0 lies above zero, so that it has a say."""
    policy = tiny_llama(seed=2).to(dtype)
    reference = tiny_llama(seed=1).to(dtype).requires_grad_(False)
    return Scorer(policy, "shared"), Frozen(Scorer(reference, "shared"))


def gradient(name_or_objective, groups, budget, dtype=torch.float64):
    objective = name_or_objective
    if isinstance(objective, str):
        objective = Objective((resolve(objective, {}),))
    policy, reference = models(dtype)
    scored = accumulate_step(policy, reference if objective.needs_reference else None, objective, groups, budget)
    flat = torch.cat([each.grad.flatten() for each in policy.model.parameters()])
    return flat.double(), scored


def relative(a, b):
    return float((a - b).norm() / b.norm())


def budget_of(groups, per_batch):
    """A token budget under which first-fit puts at most `per_batch` of these groups of one size together."""
    return max(group.tokens for group in groups) * per_batch


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["dpo", "ipo", "kto", "sft"])
def test_one_times_eight_is_two_times_four_is_eight_times_one(name, dtype):
    groups = groups_for(name, prompt=(5, 5), answer=(4, 4))
    whole, scored = gradient(name, groups, budget_of(groups, 8), dtype)
    for per_batch in (4, 2, 1):
        parts, same = gradient(name, groups, budget_of(groups, per_batch), dtype)
        assert relative(parts, whole) < (1e-6 if dtype == torch.float32 else 1e-13)
        assert same.loss == pytest.approx(scored.loss, rel=1e-6)


@pytest.mark.parametrize("name", ["dpo", "ipo", "kto", "sft"])
def test_gradient_is_that_of_the_formula_on_plain_forwards(name):
    """Written out anew: one forward per sequence, sums, the loss of all, divided by the sum of weights."""
    groups = groups_for(name)
    for index, group in enumerate(groups):  # uneven data weights
        view = group.views[0]
        labels = [replace(label, weight=0.5 + index) for label in (*view.comparisons, *view.ratings)]
        key = "comparisons" if view.comparisons else "ratings"
        groups[index] = replace(group, views=(replace(view, **{key: tuple(labels)}),))
    ours, scored = gradient(name, groups, 40)
    policy, reference = (each.model if isinstance(each, Scorer) else each.scorer.model for each in models())

    def logp(model, group, completion):
        ids = torch.tensor([*group.prompt, *completion.ids])
        table = model(input_ids=ids[None]).logits[0].log_softmax(-1)
        return sum(table[place - 1, ids[place]] for place in range(len(group.prompt), len(ids)))

    def ratio(group, completion):
        return logp(policy, group, completion) - logp(reference, group, completion).detach()

    total, weights = 0.0, 0.0
    z0 = torch.stack([ratio(g, c) for g in groups for c in g.mismatched]).mean() if name == "kto" else None
    for group in groups:
        view = group.views[0]
        for comparison in view.comparisons:
            h = ratio(group, group.completions[0]) - ratio(group, group.completions[1])
            value = -torch.nn.functional.logsigmoid(0.1 * h) if name == "dpo" else (h - 5.0) ** 2
            total, weights = total + comparison.weight * value, weights + comparison.weight
        for rating in view.ratings:
            completion = group.completions[rating.completion]
            if name == "sft":
                value = -logp(policy, group, completion) / len(completion.ids)
            else:
                distance = ratio(group, completion) - z0.clamp(min=0).detach()
                value = 1 - torch.sigmoid(0.1 * (distance if rating.value else -distance))
            total, weights = total + rating.weight * value, weights + rating.weight
    (total / weights).backward()
    expected = torch.cat([each.grad.flatten() for each in policy.parameters()])
    # Llama's norms round to float32 also in a float64 model.
    assert relative(ours, expected) < 1e-6
    assert scored.loss == pytest.approx((total / weights).item(), rel=1e-6)


def test_two_passes_give_a_separable_loss_the_gradient_of_one():
    groups, dpo = groups_for("dpo"), LOSSES["dpo"]
    across = Entry(**{name: getattr(dpo, name) for name in dpo.__slots__} | {"across_step": True})
    one, _ = gradient("dpo", groups, 40)
    two, _ = gradient(Objective((Term(across, dpo.defaults),)), groups, 40)
    assert relative(two, one) < 1e-12


def test_every_term_of_a_mixture_has_its_own_denominator():
    """dpo over 8 comparisons plus half of kto over 16 ratings is the sum of the two trained apart."""
    groups = groups_for("kto")
    both = [replace(g, views=(*pairs.views, *g.views)) for g, pairs in zip(groups, groups_for("dpo"), strict=True)]
    objective = Objective((resolve("dpo", {}), resolve("kto", {}, weight=0.5)))
    mixed, scored = gradient(objective, both, 40)
    dpo, dpo_scored = gradient("dpo", groups_for("dpo"), WHOLE)
    kto, kto_scored = gradient("kto", groups, WHOLE)
    assert relative(mixed, dpo + 0.5 * kto) < 1e-6
    assert scored.loss == pytest.approx(dpo_scored.loss + 0.5 * kto_scored.loss)


def test_kto_reads_the_whole_step_not_the_micro_batch():
    groups = groups_for("kto")
    _, scored = gradient("kto", groups, WHOLE)
    ratio = scored.scores.log_ratio()
    assert ratio[scored.labels[0].mismatched].mean() > 0
    alone = [gradient("kto", groups[index : index + 1], WHOLE)[1].loss for index in range(len(groups))]
    assert sum(alone) / len(alone) != pytest.approx(scored.loss, rel=1e-4)


@pytest.mark.parametrize("name", ["dpo", "ld_dpo", "wpo", "kto", "tdpo1"])
@pytest.mark.parametrize("kept", [2**26, 1], ids=["kept", "made again"])
def test_a_vocabulary_that_is_swept_in_parts_changes_nothing(monkeypatch, name, kept):
    """The head sees some groups at a time; what was seen is put together in the order of the batch."""
    groups = groups_for(name)
    whole, scored = gradient(name, groups, WHOLE)
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", 40 * 30)
    monkeypatch.setattr(sweep, "KEPT_ELEMENTS", kept)
    parts, same = gradient(name, groups, WHOLE)
    assert len(sweep.parts_of(pack(groups), 40)) > 2
    assert relative(parts, whole) < 1e-12 and same.loss == pytest.approx(scored.loss, rel=1e-12)
    torch.testing.assert_close(same.scores.policy, scored.scores.policy, rtol=1e-12, atol=1e-12)
    for one, two in zip(same.labels, scored.labels, strict=True):
        assert torch.equal(one.weight, two.weight)


def test_scoring_without_gradient_gives_the_loss_of_the_step():
    policy, reference = models()
    for name in ("dpo", "kto"):
        objective, groups = Objective((resolve(name, {}),)), groups_for(name)
        looked = score_step(Frozen(policy), reference, objective, groups, 40)
        assert looked.loss == pytest.approx(gradient(name, groups, WHOLE)[1].loss, rel=1e-12)
        assert all(each.grad is None for each in policy.model.parameters())


def test_a_completion_is_as_sure_as_its_tokens_on_the_mean():
    policy, reference = models()
    groups = encoded_groups(4)
    seen = accumulate_step(policy, reference, Objective((resolve("wpo", {}),)), groups, WHOLE).scores
    tokens = policy.token_scores(pack(groups), Asked(confidence=True)).confidence
    means = [part.mean() for part in tokens.split(seen.tokens.tolist())]
    assert len(set(seen.tokens.tolist())) > 1
    torch.testing.assert_close(seen.confidence, torch.stack(means))


def test_labels_of_weight_zero_pull_nowhere():
    groups = groups_for("dpo")
    view = groups[0].views[0]
    silent = [
        replace(g, views=(replace(view, comparisons=(replace(view.comparisons[0], weight=0.0),)),)) for g in groups
    ]
    policy, reference = models()
    scored = accumulate_step(policy, reference, Objective((resolve("dpo", {}),)), silent, WHOLE)
    assert scored.loss == 0.0
    assert all(not each.grad.count_nonzero() for each in policy.model.parameters())


def test_scores_that_are_not_finite_name_their_rows():
    groups = groups_for("dpo", vocabulary=30)
    marked = [replace(groups[5], prompt=(39, *groups[5].prompt)) if i == 5 else g for i, g in enumerate(groups)]
    policy, reference = models()
    poisoned = copy.deepcopy(policy.model)
    with torch.no_grad():
        poisoned.model.embed_tokens.weight[39] = math.nan  # read by row 6 alone
        poisoned.lm_head.weight = torch.nn.Parameter(poisoned.lm_head.weight[:39])
    scorer = Scorer(poisoned, "shared")
    with pytest.raises(TrainingError, match=r"policy's log-probability is not finite") as caught:
        accumulate_step(scorer, reference, Objective((resolve("dpo", {}),)), marked, WHOLE)
    assert caught.value.where == "rows:6"
