"""A loss, its gradient and its metrics do not depend on how a step is computed: every loss, on small models."""

from dataclasses import replace

import pytest
import torch
from tiny import encoded_groups, stirred, tiny_llama

from prefsmith.losses import LOSSES, resolve
from prefsmith.model.load import load_model
from prefsmith.model.score import PATHS, Frozen, Scorer
from prefsmith.records import Rating
from prefsmith.train.monitor import as_row
from prefsmith.train.objective import Objective
from prefsmith.train.reduction import Draw
from prefsmith.train.step import accumulate_step

GROUPS = 6
DRAW = Draw(seed=3, step=7)
BINDING = {"length": {"most": 1}, "constraint": {"least": 5}}  # bounds that are crossed


@pytest.fixture(scope="module", params=["tiny llama", "stories260K"])
def models(request):
    """Policy and reference, some way apart."""
    if request.param == "tiny llama":
        return tiny_llama(seed=2).double(), tiny_llama(seed=1).double().requires_grad_(False)
    folder = str(request.getfixturevalue("shared_data") / "weights" / "stories260K")
    policy, reference = (load_model(folder, device="cpu", trust_remote_code=False).double() for _ in range(2))
    return stirred(policy, std=0.02), reference.requires_grad_(False)


def groups_for(entry):
    """Groups of different sizes and data weights, with the labels and the foreign answers that the loss reads."""
    scored = entry.kind == "unpaired" and "scores" in entry.needs
    groups = encoded_groups(GROUPS, completions=2 if entry.kind == "pairwise" else 3, kind=entry.kind)
    for index, group in enumerate(groups):
        view = group.views[0]
        if scored:
            view = replace(view, ratings=tuple(Rating(n, value) for n, value in enumerate((1.0, 2 / 3, 1 / 3))))
        elif entry.desirable_only:
            view = replace(view, ratings=(Rating(0, 1.0), Rating(1, 1.0)))
        weighted = {
            name: tuple(replace(label, weight=0.5 + index % 3) for label in getattr(view, name))
            for name in ("comparisons", "ratings", "rankings")
        }
        foreign = groups[(index + 1) % GROUPS].completions if entry.mismatched else ()
        groups[index] = replace(group, views=(replace(view, **weighted),), mismatched=foreign)
    return groups


def step(entry, models, groups, *, budget, path="shared"):
    """Loss, metrics and gradient of one step in the middle of a run."""
    policy, reference = Scorer(models[0], path), Frozen(Scorer(models[1], path))
    objective = Objective((resolve(entry.name, BINDING.get(entry.name, {})),))
    for weight in models[0].parameters():
        weight.grad = None
    given = reference if objective.needs_reference else None
    states = objective.first_states()
    if entry.memory is not None:  # what an earlier step left
        before = accumulate_step(policy, given, objective, groups[:3], 10_000)
        states = objective.next_states(states, before.scores, before.labels)
        for weight in models[0].parameters():
            weight.grad = None
    scored = accumulate_step(policy, given, objective, groups, budget, states=states, draw=DRAW)
    flat = torch.cat([each.grad.flatten() for each in models[0].parameters()])
    after = objective.next_states(states, scored.scores, scored.labels)
    row = {name: value for name, value in as_row(scored, objective).items() if value is not None}
    return row, flat, after


@pytest.mark.parametrize("entry", LOSSES.values(), ids=LOSSES)
def test_micro_batches_packing_padding_and_sharing_change_nothing(entry, models):
    groups = groups_for(entry)
    row, gradient, after = step(entry, models, groups, budget=10_000)
    assert gradient.norm() > 0
    ways = [{"budget": 1}, {"budget": 2 * max(group.tokens for group in groups)}]
    ways += [{"budget": 60, "path": path} for path in PATHS if path != "shared"]
    for way in ways:
        other_row, other, other_after = step(entry, models, groups, **way)
        assert other_row == pytest.approx(row, rel=1e-5, abs=1e-7), way
        assert (other - gradient).norm() < 2e-6 * gradient.norm(), way
        for mine, theirs in zip(after, other_after, strict=True):
            assert theirs == pytest.approx(mine, rel=1e-5, abs=1e-9), way


def test_noise_belongs_to_the_step_and_the_label_alone():
    assert torch.equal(Draw(1, 5).noise(0, 9), Draw(1, 5).noise(0, 9))
    others = (Draw(1, 6).noise(0, 9), Draw(2, 5).noise(0, 9), Draw(1, 5).noise(1, 9))
    assert not any(torch.equal(Draw(1, 5).noise(0, 9), other) for other in others)
    assert all(0 < each < 1 for each in Draw(0, 1).noise(0, 10_000).tolist())
