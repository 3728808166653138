"""What the policy is compared with: a copy of the start or an average, the base under the adapter, or another model."""

from collections.abc import Sequence
from functools import partial

from transformers import PreTrainedTokenizerBase

from prefsmith.config import ModelConfig, ReferenceConfig
from prefsmith.errors import ConfigError
from prefsmith.model import adapters, load
from prefsmith.model.cached import CachedReference
from prefsmith.model.ladder import choose_path
from prefsmith.model.moving import MovingReference
from prefsmith.model.score import Frozen, Scorer
from prefsmith.types import Batch


def make_reference(
    policy: Scorer,
    config: ReferenceConfig,
    model: ModelConfig,
    probes: Sequence[Batch],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int | None,
    sha256: str | None = None,
) -> tuple[Frozen, str]:
    """The reference and a line that says what it is.

    Args:
        policy: the model to be trained, before its first step.
        config: which reference is wanted.
        model: settings of the policy's model, for the device and whether its code is trusted.
        probes: batches to choose a path for another model on.
        tokenizer: of the policy; another model must read the same ids.
        max_length: longest sequence of the run.
        sha256: the digest of the policy's model where it is known.

    Raises:
        ConfigError: the other model cannot be loaded or reads other tokens; the adapter has no weights to average.
    """
    if config.path is not None:
        path = config.path
        other, words = _another(policy, path, model, probes, tokenizer, max_length)
        if config.kind != "cached":
            return other, words
        again = partial(_another, policy, path, model, probes, tokenizer, max_length)
        return CachedReference(other, lambda: again()[0]), f"{words}, asked before the first step"
    if config.kind == "cached":
        return _cached(policy, model, sha256)
    if config.kind == "ema":
        moving = MovingReference(policy, alpha=config.alpha, every=config.every)
        return moving, moving.describe()
    if adapters.has_adapter(policy.model) and config.kind != "frozen":
        return Frozen(policy, partial(adapters.adapter_off, policy.model)), "the base model, adapter off"
    return Frozen(policy.frozen_copy()), "a frozen copy of the starting policy"


def _cached(policy: Scorer, model: ModelConfig, sha256: str | None) -> tuple[CachedReference, str]:
    """The policy itself answers, as long as it has not moved."""
    if adapters.has_adapter(policy.model):
        base = Frozen(policy, partial(adapters.adapter_off, policy.model))
        return CachedReference(base, lambda: base, again_is_whole=False), "the base model, asked before the first step"
    words = "the starting policy, asked before the first step"
    if model.path == "":
        copy = Frozen(policy.frozen_copy())
        return CachedReference(Frozen(policy), lambda: copy), words
    sha256 = sha256 or load.digest(policy.causal)
    return CachedReference(Frozen(policy), partial(_loaded_again, policy, model, sha256)), words


def _loaded_again(policy: Scorer, model: ModelConfig, sha256: str) -> Frozen:
    found = load.load(model).model.eval().requires_grad_(False)
    if load.digest(found) != sha256:
        what = "the model is not what it was when the run began, and the reference is needed once more"
        raise ConfigError("run.changed", what, where=model.path, fix="put the model back, or reference.kind=frozen")
    return Frozen(policy.beside(found))


def _another(
    policy: Scorer,
    path: str,
    model: ModelConfig,
    probes: Sequence[Batch],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None,
) -> tuple[Frozen, str]:
    origin = load.check_origin(path, "reference.path")
    other = load.load_model(origin, device=model.device, trust_remote_code=model.trust_remote_code)
    rows, own = load.embedded_tokens(other), load.embedded_tokens(policy.causal)
    if rows < own:
        what = f"the reference embeds {rows} tokens and the policy {own}, so they do not read the same ids"
        fix = "the reference shares the policy's tokenizer"
        raise ConfigError("reference.vocabulary", what, where=origin, fix=fix)
    others = load.load_tokenizer(origin, trust_remote_code=model.trust_remote_code).get_vocab()
    different = sum(others.get(token) != number for token, number in tokenizer.get_vocab().items())
    if different:
        what = f"the reference's tokenizer gives {different} of the policy's tokens another id"
        fix = "take a reference that shares the policy's tokenizer"
        raise ConfigError("reference.vocabulary", what, where=origin, fix=fix)
    scorer, choice = choose_path(other, probes, max_length=max_length, precision=policy.precision)
    other.requires_grad_(False)
    return Frozen(scorer), f"{origin}, {choice.path} path, sha256 {load.digest(other)[:12]}"
