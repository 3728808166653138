"""What differs around the losses: TRL's numbers of `facts_theirs.py` beside ours, and what is declared of both."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prefsmith.config import ModelConfig, ReferenceConfig
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.views import View, Wanted, view
from prefsmith.evaluate.implicit import held_out
from prefsmith.losses import resolve
from prefsmith.model.moving import MovingReference
from prefsmith.model.reference import make_reference
from prefsmith.model.score import Frozen, Scorer
from prefsmith.records import Comparison
from prefsmith.train.objective import Objective
from prefsmith.train.step import accumulate_step, score_step

from . import problem
from .fact import Fact
from .facts_options import half_noise, loss_types, smoothing
from .ours import ROOM, encoded, gradient_of, scorer

LOG2 = math.log(2)
UNEVEN = 7
DPO = "`trl/trainer/dpo_trainer.py`"


def facts(
    theirs: Mapping[str, Any], gradients: Mapping[str, Tensor], pairs: Sequence[EncodedGroup], folder: Path
) -> list[Fact]:
    """Every fact, computed anew on our side."""
    found = theirs["facts"]
    return [
        _ids(theirs["ids"], pairs),
        _begin(found["first_ids"], encoded(folder / "random.jsonl", writes_begin=False)),
        _start_accuracy(found["start_accuracy"], pairs),
        _metrics(found["metrics"], pairs[:UNEVEN]),
        _uneven_step(found["uneven_step"], gradients["facts/uneven_step"], pairs[:UNEVEN]),
        _reference(found["reference_from_disk"], found["reference_precomputed"], pairs[: problem.BATCH]),
        _moving_reference(found["moving_reference"], pairs[: problem.BATCH]),
        _labels(found["labels"], pairs),
        loss_types(found["loss_types"]),
        smoothing(found["smoothed"]),
        half_noise(found["robust_at_one_half"]),
        _far_away(found["far_away"], pairs),
    ]


def _ids(ids: Mapping[str, Sequence[Mapping[str, list[int]]]], pairs: Sequence[EncodedGroup]) -> Fact:
    wrong = [
        trainer
        for trainer, rows in ids.items()
        if any(
            not _same_ids(trainer, place, row, pair) for place, (row, pair) in enumerate(zip(rows, pairs, strict=True))
        )
    ]
    return Fact(
        "token ids, begin token written by the tokenizer",
        f"{len(ids) - len(wrong)} of {len(ids)} trainers equal ours" + "".join(f", not {name}" for name in wrong),
        "the same for every loss",
        "Equal; all comparisons of this page stand on the same ids.",
        not wrong,
    )


def _same_ids(trainer: str, place: int, row: Mapping[str, list[int]], pair: EncodedGroup) -> bool:
    sides = [list(pair.prompt), *(list(each.ids) for each in pair.completions)]
    if trainer == "KTO":
        return [row["prompt_ids"], row["completion_ids"]] == [sides[0], sides[1 + place % 2]]
    if trainer == "SFT":
        return row["input_ids"] == sides[0] + sides[1]
    if trainer in ("CPO", "ORPO"):
        return [row["chosen_input_ids"], row["rejected_input_ids"]] == [sides[0] + sides[1], sides[0] + sides[2]]
    return [row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]] == sides


def _begin(first: Mapping[str, list[int]], pairs: Sequence[EncodedGroup]) -> Fact:
    forced = [trainer for trainer, ids in first.items() if set(ids) == {1}]
    plain = [pair.prompt[0] for pair in pairs]
    return Fact(
        "begin token that the tokenizer knows and does not write",
        f"put in front by {' and '.join(forced)}; not by {', '.join(each for each in first if each not in forced)}",
        "never put in front",
        "TRL adds it in `add_bos_token_if_needed` (`trl/experimental/utils.py`). Ours: a model whose tokenizer does "
        "not write it never saw it there; and the same text should be the same ids under every loss.",
        forced == ["CPO", "ORPO"]
        and 1 not in plain
        and all(first[each] == plain for each in first if each not in forced),
    )


def _objective(name: str = "dpo", **settings: Any) -> Objective:
    return Objective((resolve(name, settings),))


def _models(dtype: torch.dtype = torch.float32) -> tuple[Scorer, Frozen]:
    return scorer(problem.policy(dtype)), Frozen(scorer(problem.reference(dtype).requires_grad_(False)))


def _start_accuracy(theirs: float, pairs: Sequence[EncodedGroup]) -> Fact:
    policy, _ = _models()
    row = held_out(policy, Frozen(policy), _objective(beta=0.1), pairs, token_budget=ROOM).row
    return Fact(
        "accuracy before the first step, policy and reference the same weights",
        f"{theirs:g}",
        f"{row['accuracy']:g}",
        f"TRL counts a tie as wrong (`>`, {DPO}, `_compute_loss`). Ours counts it one half: who knows nothing is right "
        "half the time, and a curve that starts at 0 shows an improvement that is none.",
        theirs == 0.0 and row["accuracy"] == 0.5,
    )


def _metrics(theirs: Mapping[str, Mapping[str, float]], pairs: Sequence[EncodedGroup]) -> Fact:
    policy, reference = _models()
    ours = [held_out(policy, reference, _objective(beta=0.1), pairs, token_budget=room).row for room in (10_000, 60)]
    whole, divided = theirs[str(UNEVEN)], theirs["3"]
    repeated = held_out(policy, reference, _objective(beta=0.1), [*pairs, pairs[-1], pairs[-1]], token_budget=ROOM)
    thrice: Any = repeated.row["reward_margin"]

    def words(rows: Sequence[Mapping[str, Any]]) -> str:
        return "; ".join(f"margin {row['reward_margin']:.4f}, accuracy {row['accuracy']:.4f}" for row in rows)

    def near(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        return all(abs(row[name] - whole[name]) < 1e-5 for row in rows)

    return Fact(
        "rewards of an evaluation on 7 pairs, in one batch; in batches of 3, 3 and 1",
        words([whole, divided]),
        words(ours),
        f"TRL averages the means of the batches ({DPO}, `log`), so the one pair of the last counts three times: given "
        f"thrice, it makes ours a margin of {thrice:.4f}, too. Ours: every pair counts once, as it does in TRL's own "
        "`eval_loss`, which equals ours in every batch size.",
        all(near(name, ours) and abs(divided[name] - whole[name]) > 1e-3 for name in ("reward_margin", "accuracy"))
        and abs(thrice - divided["reward_margin"]) < 1e-5
        and near("loss", [*ours, divided]),
    )


def _uneven_step(loss: float, theirs: Tensor, pairs: Sequence[EncodedGroup]) -> Fact:
    plain, plain_loss = _gradient(pairs, [1.0] * UNEVEN)
    like, like_loss = _gradient(pairs, [1.0] * (UNEVEN - 1) + [3.0])
    apart = float((theirs - plain).abs().max() / plain.abs().max())
    left = float((theirs - like).abs().max() / like.abs().max())
    return Fact(
        "a DPO step of 7 pairs, in device batches of 3, 3 and 1: loss; gradient against that of the 7 at once",
        f"{loss:.4f}; differs by {apart:.1e}",
        f"{plain_loss:.4f}; the same however it is divided",
        "transformers' `training_step` divides each batch's mean by the number of batches, so the pair in the last one "
        f"weighs three times the others: with that weight ours is TRL's to {left:.1e}. Ours: every pair counts once.",
        apart > 1e-3 and left < 1e-10 and abs(like_loss - loss) < 1e-9,
    )


def _gradient(pairs: Sequence[EncodedGroup], weights: Sequence[float]) -> tuple[Tensor, float]:
    policy, reference = _models(torch.float64)
    weighted = [
        replace(pair, views=(View(comparisons=(Comparison(0, 1, 1.0, weight),)),))
        for pair, weight in zip(pairs, weights, strict=True)
    ]
    scored = accumulate_step(policy, reference, _objective(beta=0.1), weighted, 60)
    return gradient_of(policy), scored.loss


def _reference(from_disk: float, precomputed: float, pairs: Sequence[EncodedGroup]) -> Fact:
    policy, _ = _models()
    reference, _ = make_reference(
        policy, ReferenceConfig(), ModelConfig(path="."), (), problem.tokenizer(), max_length=None
    )
    loss = score_step(policy, reference, _objective(beta=0.1), pairs, ROOM).loss
    older = score_step(policy, _models()[1], _objective(beta=0.1), pairs, ROOM).loss
    return Fact(
        "first DPO loss of a policy that was changed in memory since it was loaded, no reference given",
        f"{from_disk:.6f}; with `precompute_ref_log_probs` {precomputed:.6f}",
        f"{loss:.6f}",
        f"TRL loads the reference anew from the path in the model's configuration ({DPO}, `__init__`), which holds "
        f"the older weights: against those ours is {older:.6f}, too. TRL's documentation promises the state before "
        "training. Precomputed, it is that. Ours: a copy of the weights as they are, for which the loss is log 2.",
        abs(from_disk - LOG2) > 1e-3
        and abs(from_disk - older) < 1e-5
        and abs(precomputed - LOG2) < 1e-5
        and abs(loss - LOG2) < 1e-9,
    )


def _moving_reference(theirs: Sequence[float], pairs: Sequence[EncodedGroup]) -> Fact:
    policy = scorer(problem.reference(torch.float32))
    reference = MovingReference(policy, alpha=0.6, every=2)
    policy.model.load_state_dict(problem.policy(torch.float32).state_dict())
    ours = []
    for step in range(1, 5):
        reference.step(step)
        ours.append(score_step(policy, reference, _objective(beta=0.1), pairs, ROOM).loss)
    return Fact(
        "a reference that follows the policy, alpha 0.6 every 2 steps: DPO loss after steps 1 to 4",
        ", ".join(f"{loss:.5f}" for loss in theirs),
        ", ".join(f"{loss:.5f}" for loss in ours),
        "Equal (`SyncRefModelCallback` in `trl/trainer/callbacks.py`).",
        all(abs(a - b) < 1e-5 for a, b in zip(theirs, ours, strict=True)) and ours[0] > ours[1] == ours[2] > ours[3],
    )


def _labels(theirs: Sequence[Sequence[bool]], pairs: Sequence[EncodedGroup]) -> Fact:
    single = sum(len(set(batch)) == 1 for batch in theirs)
    both = sum(
        {rating.value for rating in view(pair.group, Wanted("kto", "unpaired")).ratings} == {0.0, 1.0} for pair in pairs
    )
    return Fact(
        "KTO on a file of pairs",
        f"{single} of {len(theirs)} device batches hold one label alone",
        f"{both} of {len(pairs)} pairs bring both labels into their step",
        "TRL puts all chosen answers in front of all rejected ones (`unpair_preference_dataset` in "
        "`trl/data_utils.py`) and reads them in order. Ours: a pair stays together, and a step sees both sides.",
        single == len(theirs) and both == len(pairs),
    )


def _far_away(theirs: Sequence[float | str], pairs: Sequence[EncodedGroup]) -> Fact:
    policy, reference = scorer(problem.far_policy(torch.float32)), _models()[1]
    objective = _objective("fdpo", beta=0.1, divergence="forward_kl")
    scored = [score_step(policy, reference, objective, [pair], ROOM) for pair in pairs]
    lost = sum(isinstance(each, str) for each in theirs)
    finite = sum(math.isfinite(each.loss) for each in scored)
    continued = sum(each.outside > 0 for each in scored)
    return Fact(
        "forward KL for a policy hundreds of nats from its reference: rows with a finite loss",
        f"{len(theirs) - lost} of {len(theirs)}",
        f"{finite} of {len(pairs)}, {continued} of them continued linearly and counted",
        f"TRL's exponential overflows under `forward_kl` ({DPO}, `_compute_loss`), while its alpha divergence is "
        "clamped. Ours computes losses in float64, and goes on as a straight line outside the loss's domain.",
        lost > 0 and finite == len(pairs) and continued > 0,
    )
