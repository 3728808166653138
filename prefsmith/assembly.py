"""The parts of a run, put together from its settings: the same parts for the run and for its preflight."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

import numpy as np
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prefsmith.config import DataConfig, LossConfig, RunConfig
from prefsmith.data.encode import Encoder
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.encoded_rows import longest_of, prompt_key_of
from prefsmith.data.pack import pack
from prefsmith.data.prepare import encoded_digest
from prefsmith.data.render import Renderer
from prefsmith.data.sides import EncodedSides
from prefsmith.data.stream import Stream, WithMismatched
from prefsmith.data.views import Wanted
from prefsmith.errors import ConfigError
from prefsmith.losses import resolve
from prefsmith.model import adapters
from prefsmith.model.ladder import Choice, choose_path
from prefsmith.model.load import (
    Loaded,
    check_origin,
    describe_loaded,
    digest,
    find_device,
    load,
    require_full_precision,
)
from prefsmith.model.quantize import count_numbers, refuse_in_memory, require_bitsandbytes
from prefsmith.model.reference import make_reference
from prefsmith.model.score import Frozen, Path, Scorer
from prefsmith.train.objective import Objective
from prefsmith.train.optim import count
from prefsmith.train.parallel import ALONE, Ranks
from prefsmith.types import Batch
from prefsmith.wording import counted

Say = Callable[[str], None]
KEPT = 4096
"""Held-out rows with mismatched answers that are kept in memory; more of them are encoded at every evaluation."""


def objective_of(config: RunConfig) -> Objective:
    """The loss terms, their settings checked before anything is read or loaded.

    Raises:
        ConfigError: a loss or one of its settings is wrong, or the reference does not fit the losses.
    """
    terms = []
    for index, each in enumerate(config.losses):
        where = "loss" if len(config.losses) == 1 else f"loss.{index}"
        terms.append(resolve(each.name, each.settings, weight=each.weight, where=where))
    for term in terms:
        if config.reference.kind == "none" and term.entry.needs_reference:
            what = f"{term.entry.name} compares the policy with a reference, and reference.kind is none"
            raise ConfigError("reference.none", what, where="reference.kind", fix="leave it at auto")
    if config.reference.path is not None and not any(term.entry.needs_reference for term in terms):
        what = "a reference is named, and no loss compares the policy with one"
        raise ConfigError("reference.none", what, where="reference.path", fix="leave it out, or train another loss")
    if config.evaluate.kl_budget is not None and not any(term.entry.needs_reference for term in terms):
        what = "a budget of KL is set, and no loss compares the policy with a reference"
        raise ConfigError("reference.none", what, where="evaluate.kl_budget", fix="leave it out, or train another loss")
    if config.reference.kind == "ema" and not any(term.entry.needs_reference for term in terms):
        what = "the reference is to follow the policy, and no loss compares the policy with one"
        raise ConfigError("reference.none", what, where="reference.kind", fix="leave it out, or train another loss")
    objective = Objective(tuple(terms))
    if config.reference.kind == "cached":
        _refuse_cached(objective)
    return objective


def _refuse_cached(objective: Objective) -> None:
    """Log-probabilities of the rows' own completions have to be all that is asked of a reference."""
    if not objective.needs_reference:
        what, fix = "no loss compares the policy with a reference", "leave it out, or train another loss"
        raise ConfigError("reference.cached", what, where="reference.kind", fix=fix)
    for entry in (term.entry for term in objective.terms):
        if "kl" in entry.needs:
            what = f"{entry.name} reads the reference's whole distribution at every token, not only log-probabilities"
        elif entry.mismatched:
            what = f"{entry.name} looks at answers to other prompts, in other pairs in every epoch"
        else:
            continue
        raise ConfigError("reference.cached", what, where="reference.kind", fix="leave it at auto")


def resolved(config: RunConfig, objective: Objective) -> RunConfig:
    """The settings with every value that is in force, so that run.yaml repeats the run whatever defaults become."""
    losses = [
        LossConfig.model_validate({"name": term.entry.name, "weight": term.weight, **term.settings})
        for term in objective.terms
    ]
    optim = config.optim.model_copy(update={"learning_rate": config.learning_rate})
    return config.model_copy(update={"loss": losses if isinstance(config.loss, list) else losses[0], "optim": optim})


def check_places(config: RunConfig, *, in_memory: bool = False) -> None:
    """Device, model and reference are where the settings say, as far as a look tells.

    Args:
        config: the settings.
        in_memory: whether the model is given, so that `model.path` names none.

    Raises:
        ConfigError: one of them is not.
    """
    find_device(config.model.device)
    require_bitsandbytes(config.model.quantize)
    if not in_memory:
        check_origin(config.model.path)
    if config.reference.path is not None:
        check_origin(config.reference.path, "reference.path")


def labels_wanted(objective: Objective) -> list[Wanted]:
    """The labels that each loss term takes."""
    return [
        Wanted(
            each.name,
            each.kind,
            soft_labels=each.soft_labels is not None,
            desirable_only=each.desirable_only,
            undesirable_only=each.kind == "unpaired" and each.first_move == (0, -1),
            scores="scores" in each.needs or "score_order" in each.needs,
            score_order="score_order" in each.needs,
            mismatched=each.mismatched,
        )
        for each in (term.entry for term in objective.terms)
    ]


def load_or_take(
    config: RunConfig, model: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None, ranks: Ranks = ALONE
) -> Loaded:
    """The model that the settings name, or the one in memory.

    Where processes are going to have parts of the weights, only the first one reads them.
    """
    if model is None:
        loaded = load(config.model, numbers=ranks.is_first or not ranks.in_step)
        return replace(loaded, end_ids=ranks.from_first(lambda: loaded.end_ids))
    refuse_in_memory(config.model.quantize)
    return describe_loaded(*model, config.model.path or "in memory")


def make_encoder(data: DataConfig, loaded: Loaded, today: date, say: Say) -> Encoder:
    """What turns rows into ids for this model.

    Raises:
        ConfigError: the wanted length is more than the model takes, or the template cannot be read.
    """
    longest = loaded.longest
    if data.max_length is not None and longest is not None and data.max_length > longest:
        what = f"data.max_length={data.max_length}, and the model takes at most {longest} tokens"
        raise ConfigError("data.max_length", what, where="data.max_length", fix=f"at most {longest}")
    renderer = Renderer(loaded.tokenizer, data.template, today=today)
    say(f"  written as {renderer.describe()}")
    return Encoder(
        loaded.tokenizer,
        renderer,
        max_length=data.max_length or longest,
        truncation=data.truncation,
        end_ids=loaded.end_ids,
    )


@dataclass(frozen=True, slots=True)
class Models:
    """Policy and reference, ready to be run.

    Args:
        policy: the model to train, on the path that is exact for it.
        reference: what it is compared with; None where no loss asks.
        choice: the path, and why.
        identity: digests that say what the run is of.
        facts: what model.json says.
    """

    policy: Scorer
    reference: Frozen | None
    choice: Choice
    identity: dict[str, Any]
    facts: dict[str, object]


def make_models(
    config: RunConfig,
    objective: Objective,
    loaded: Loaded,
    rows: EncodedSides,
    say: Say,
    *,
    max_length: int | None,
    attention: Literal["auto"] | Path = "auto",
    ranks: Ranks = ALONE,
) -> Models:
    """Policy and reference, and the path on which they are run.

    Args:
        config: the settings.
        objective: the loss terms.
        loaded: the model; an adapter changes it in place.
        rows: the longest and the shortest group decide the path.
        say: is given a line at a time.
        max_length: longest sequence of the run.
        attention: the path to take, or `auto`.
        ranks: the processes of the run; where only the first one has weights, it finds out for all.

    Raises:
        ConfigError: the adapter, the path, the reference or its precision does not fit the model.
    """
    probes = _probes(rows)
    whose = ranks if ranks.in_step else ALONE
    identity = {"model": whose.from_first(lambda: digest(loaded.model)), "data": encoded_digest(rows.train)}
    model = _trainable(config, loaded)

    def choose() -> tuple[Scorer, Choice]:
        return choose_path(
            model,
            probes,
            wanted=attention,
            max_length=max_length,
            recompute=config.train.activation_checkpointing,
            precision=config.train.precision,
        )

    policy, choice = _chosen(model, choose, whose)
    trained, weights = count(each for each in model.parameters() if each.requires_grad), count_numbers(model)
    bits = "" if config.model.quantize == "none" else f", frozen weights in {config.model.quantize}"
    say(f"{loaded.origin}, sha256 {identity['model'][:12]}{bits}")
    say(f"  {trained:,} of {weights:,} weights are trained, on {policy.device}")
    again = "; layers are run again in backward" if policy.recomputed else ""
    say(f"  path: {choice.describe()}; {policy.head.describe()}{again}")
    reference, words = None, None
    if objective.needs_reference:
        reference, words = make_reference(
            policy,
            config.reference,
            config.model,
            probes,
            loaded.tokenizer,
            max_length=max_length,
            sha256=identity["model"],
        )
        say(f"  reference: {words}")
        if config.reference.path is not None:
            identity["reference"] = digest(reference.scorer.model)
    _activate_dropout(model, objective)
    facts: dict[str, object] = {
        "origin": loaded.origin,
        "sha256": identity["model"],
        "weights": weights,
        "trained": trained,
        "device": str(policy.device),
        "path": choice.describe(),
        "reference": words,
        "reference_sha256": identity.get("reference", identity["model"]) if reference is not None else None,
    }
    return Models(policy, reference, choice, identity, facts)


def _chosen(model: nn.Module, choose: Callable[[], tuple[Scorer, Choice]], ranks: Ranks) -> tuple[Scorer, Choice]:
    """The path that the first process finds exact: the others may have no weights to try it with."""
    found: list[Scorer] = []

    def first() -> tuple[dict[str, Any], Choice]:
        policy, choice = choose()
        found.append(policy)
        return policy.how, choice

    how, choice = ranks.from_first(first)
    return found[0] if found else Scorer(model, **how), choice


def _trainable(config: RunConfig, loaded: Loaded) -> nn.Module:
    """The model with its adapter, or with all of its weights to be trained."""
    model: nn.Module = loaded.model.eval()
    if config.adapter.kind != "none":
        model = adapters.attach(loaded.model, config.adapter, seed=config.train.seed).eval()
    else:
        model.requires_grad_(True)
    require_full_precision(model)
    return model


def _activate_dropout(model: nn.Module, objective: Objective) -> None:
    dropouts = adapters.dropout_modules(model)
    if dropouts and objective.two_passes:
        what = "this loss takes two passes, which dropout would make differ"
        raise ConfigError("adapter.dropout", what, where="adapter.dropout", fix="adapter.dropout=0")
    for module in dropouts:
        module.train()


def make_stream(
    config: RunConfig, objective: Objective, rows: EncodedSides, encoder: Encoder, say: Say
) -> tuple[Stream, Sequence[EncodedGroup]]:
    """The steps, and the held-out rows as the losses need them."""
    add_mismatched = encoder.add_mismatched if objective.mismatched else None
    stream = Stream(
        rows.train,
        pairs_per_step=config.train.pairs_per_step,
        epochs=config.train.epochs,
        seed=config.train.seed,
        max_steps=config.train.max_steps,
        add_mismatched=add_mismatched,
    )
    held = rows.held_out
    if add_mismatched is None:
        return stream, held
    if len({prompt_key_of(held, index) for index in range(len(held))}) < 2:
        say("warning: fewer than two prompts are held out, and this loss compares across them: no evaluation")
        return stream, []
    mixed = WithMismatched(held, add_mismatched)
    if len(mixed) <= KEPT:
        return stream, list(mixed)
    for _ in mixed:  # what cannot be encoded is refused now
        pass
    return stream, mixed


def describe_stream(config: RunConfig, objective: Objective, stream: Stream, say: Say, *, done: int = 0) -> None:
    """How many steps of what, and what is odd about them; `done` of them are behind."""
    if done >= len(stream):
        say(f"step {done} was the last: nothing is left to train")
        return
    first, warmup = objective.terms[0].entry, config.optim.warmup_steps
    unpaired = "completions" if first.desirable_only else "ratings"
    labels = {"pairwise": "comparisons", "unpaired": unpaired, "listwise": "ranked lists"}[first.kind]
    steps, most = len(stream), config.train.max_steps
    ends = f"; the rows end before train.max_steps={most}" if most is not None and steps < most else ""
    say(f"{counted(steps, 'step')} of {config.train.pairs_per_step} {labels}{ends}")
    if warmup >= len(stream):
        say(f"warning: optim.warmup_steps={warmup}, so the learning rate never gets beyond its warm-up")


def _probes(rows: EncodedSides) -> list[Batch]:
    """The longest group, and the shortest beside the longest."""
    lengths = np.concatenate([longest_of(rows.train), longest_of(rows.held_out)])
    places = {int(np.argmax(lengths)), int(np.argmin(lengths))}
    first = len(rows.train)
    longest, shortest = (
        rows.train[place] if place < first else rows.held_out[place - first]
        for place in (int(np.argmax(lengths)), int(np.argmin(lengths)))
    )
    return [pack([longest]), pack([shortest, longest])] if len(places) > 1 else [pack([longest])]
