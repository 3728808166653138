"""Small trainable weights beside frozen ones, through peft."""

import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.utils import (
    TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
    TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
)
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from prefsmith.config import AdapterConfig, ModelConfig
from prefsmith.errors import ConfigError
from prefsmith.model import quantize
from prefsmith.model.load import Loaded, check_origin, describe_loaded, load_model, load_tokenizer, quiet

KEEP_THE_BASE = (True, False, None, "gaussian", "orthogonal", "eva", "mica")
"""Values of peft's init_lora_weights under which the base's weights stay as they are."""
_BEGAN = "prefsmith_began"
"""Attribute of an adapted model whose base was rewritten: the adapter as it began, which with the base is the model."""


def attach(model: PreTrainedModel, config: AdapterConfig, *, seed: int) -> nn.Module:
    """The model with an adapter that changes nothing yet. The model object itself is adapted in place.

    Args:
        model: its weights are frozen.
        config: of any kind but `none`.
        seed: of the adapter's initial weights.

    Raises:
        ConfigError: no module of the model has one of the names in `target_modules`, or peft does not know which
            modules of such a model are meant where none are named.
    """
    settings = _factors_config(model, config) if config.kind == "ia3" else _updates_config(model, config)
    with torch.random.fork_rng(), _quiet_peft():
        torch.manual_seed(seed)
        try:
            adapted = get_peft_model(model, settings)
        except ValueError as error:
            what, fix = f"peft cannot attach the adapter: {error}", f"this model has {_names(model)}; or all-linear"
            raise ConfigError("adapter.target_modules", what, where="adapter.target_modules", fix=fix) from error
    _require_true_rows(adapted)
    if config.init == "pissa":
        began = {name: each.detach().clone() for name, each in get_peft_model_state_dict(adapted).items()}
        setattr(adapted, _BEGAN, began)
    return adapted


def _updates_config(model: PreTrainedModel, config: AdapterConfig) -> PeftConfig:
    return LoraConfig(
        r=config.rank,
        lora_alpha=cast(int, config.alpha),
        lora_dropout=config.dropout,
        target_modules=config.target_modules or _default_targets(model),
        use_dora=config.kind == "dora",
        init_lora_weights=True if config.init == "default" else config.init,
        bias="none",
        task_type="CAUSAL_LM",
    )


def _factors_config(model: PreTrainedModel, config: AdapterConfig) -> PeftConfig:
    """Targets and feed-forward modules as they are named; where none are, peft must know the kind of model."""
    kind = str(model.config.model_type)
    if config.target_modules is None and kind not in TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING:
        what = f"peft does not know which modules ia3 scales in a model of the kind {kind}"
        fix = f"name them: keys, values and the last of the feed-forward; this model has {_names(model)}"
        raise ConfigError("adapter.target_modules", what, where="adapter.target_modules", fix=fix)
    if config.feedforward_modules is None and kind not in TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING:
        what = f"peft does not know which modules are feed-forward in a model of the kind {kind}"
        fix = "name those of adapter.target_modules that are, or adapter.feedforward_modules=[] where none is"
        raise ConfigError("adapter.feedforward_modules", what, where="adapter.feedforward_modules", fix=fix)
    return IA3Config(
        target_modules=config.target_modules, feedforward_modules=config.feedforward_modules, task_type="CAUSAL_LM"
    )


def load_adapted(config: ModelConfig) -> tuple[Loaded, nn.Module]:
    """An adapter from its folder, on the base that it names.

    Returns:
        The base, whose layers are adapted in place, and the module that knows of the adapter.

    Raises:
        ConfigError: base or adapter cannot be loaded, or they do not belong together.
    """
    base = load_base(config, named_base(config.path))
    return base, put_on(base, config.path)


def load_base(config: ModelConfig, base: str, *, plain: bool = False) -> Loaded:
    """The model that an adapter is for, with the tokenizer of the adapter's folder.

    Args:
        config: its path is the adapter's folder.
        base: folder or hub id.
        plain: in float32 also where the adapter was trained on quantised weights.

    Raises:
        ConfigError: it cannot be loaded, or the tokenizer is not its own.
    """
    quiet()
    folder = Path(config.path)
    origin = check_origin(base, f"the base of the adapter {folder}")
    kind = "none" if plain else quantize.read_note(folder)
    model = load_model(origin, device=config.device, trust_remote_code=config.trust_remote_code, quantize=kind)
    own = any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json"))
    tokenizer = load_tokenizer(str(folder) if own else origin, trust_remote_code=config.trust_remote_code)
    return describe_loaded(model, tokenizer, str(folder))


def put_on(base: Loaded, folder: str) -> nn.Module:
    """The adapter of a folder on its base, whose layers are adapted in place.

    Raises:
        ConfigError: it cannot be loaded, does not fit, or belongs on a base that its initialisation rewrote.
    """
    _refuse_rewritten_base(folder)
    try:
        with _quiet_peft():
            adapted = PeftModel.from_pretrained(base.model, folder, torch_device=str(base.model.device))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        origin = base.model.name_or_path
        what = f"the adapter does not fit on {origin}: {str(error).strip().splitlines()[0]}"
        raise ConfigError("model.adapter", what, where=folder, fix="name the base it was trained on") from error
    _require_true_rows(adapted)
    return adapted.eval()


def _require_true_rows(model: nn.Module) -> None:
    if any(layer.lora_variant for layer in _layers(model).values()):
        quantize.require_true_rows(model)


def _refuse_rewritten_base(folder: str) -> None:
    """PiSSA, OLoRA, CorDA, LoftQ and their like take a part out of the base and give it to the adapter.

    peft takes it out anew when it loads the adapter, by a method that may draw random numbers. With the adapter off,
    the model is then not its base, and with it on perhaps not the one that was saved.
    """
    settings = _saved_settings(folder)
    init = "kasa" if settings.get("kasa_config") else settings.get("init_lora_weights")
    if not any(init is known or (isinstance(init, str) and init == known) for known in KEEP_THE_BASE):
        what = (
            f"the adapter was initialised by {init}, which rewrites the base: it belongs on weights that nobody saved"
        )
        fix = "save it with peft's path_initial_model_for_weight_conversion, which makes a plain adapter of it"
        raise ConfigError("adapter.init", what, where=folder, fix=fix)


def named_base(path: str) -> str:
    """The model that an adapter's folder says it is for.

    Raises:
        ConfigError: it says none.
    """
    named = _saved_settings(path).get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        what = "adapter_config.json does not say which model the adapter is for"
        raise ConfigError("model.adapter", what, where=path, fix="save the adapter with peft again")
    return named


def _saved_settings(path: str) -> dict[str, Any]:
    """What adapter_config.json says; nothing where it cannot be read, which is refused as a missing base."""
    try:
        settings = json.loads((Path(path) / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def merge_into_base(model: nn.Module) -> PreTrainedModel:
    """The base model with the adapter's changes in its own weights. The model object itself is merged in place.

    Raises:
        ConfigError: what the adapter does is no change of weights, or peft cannot merge it.
    """
    fix = "prefsmith generate runs it as it is; a low-rank adapter can be merged"
    kind = describe(model)
    if not hasattr(cast(PeftModel, model).base_model, "merge_and_unload"):
        what = f"an adapter of the kind {kind} changes no weights, so there is nothing to merge"
        raise ConfigError("merge.adapter", what, fix=fix)
    try:
        with _quiet_peft():
            # What comes of a head that shares its weight with the embedding is measured by who merges.
            warnings.filterwarnings("ignore", "Model with `tie_word_embeddings=True`", UserWarning)
            return cast(PreTrainedModel, cast(Any, model).merge_and_unload(safe_merge=True))
    except (ValueError, NotImplementedError, AttributeError, RuntimeError) as error:
        what = f"peft cannot merge an adapter of the kind {kind}: {str(error).strip().splitlines()[0]}"
        raise ConfigError("merge.adapter", what, fix=fix) from error


def describe(model: nn.Module) -> str:
    """What the adapter is, in a few words: `lora, rank 8, alpha 32`."""
    config = cast(PeftModel, model).active_peft_config
    if not isinstance(config, LoraConfig):
        return str(config.peft_type).rpartition(".")[2].lower()
    return f"{'dora' if config.use_dora else 'lora'}, rank {config.r}, alpha {config.lora_alpha:g}"


def unwrapped(model: nn.Module) -> PreTrainedModel:
    """The causal language model itself, adapted layers in place, without peft's wrapper."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    return cast(PreTrainedModel, inner)


def has_adapter(model: nn.Module) -> bool:
    """Whether an adapter is attached."""
    return isinstance(model, PeftModel)


def is_separate(model: nn.Module) -> bool:
    """Whether the base is itself with the adapter off: peft trains biases, where it is told to, in their places."""
    config = cast(PeftModel, model).active_peft_config
    return getattr(config, "bias", "none") == "none"


@contextmanager
def adapter_off(model: nn.Module) -> Iterator[None]:
    """The base model, bit for bit, while the context is open."""
    with cast(PeftModel, model).disable_adapter():
        yield


def require_merged_weights(model: nn.Module) -> None:
    """All that is trained are products that can be added to weights of the base, in float32.

    Raises:
        ConfigError: the adapter does more than that, or the base is in low precision.
    """
    layers = _layers(model)
    factors = {id(each) for layer in layers.values() for each in _factors(layer)}
    odd = [name for name, each in model.named_parameters() if each.requires_grad and id(each) not in factors]
    for name, layer in layers.items():
        whole = isinstance(getattr(layer.get_base_layer(), "weight", None), nn.Parameter)
        if not whole or not hasattr(layer, "get_delta_weight") or layer.lora_variant or any(layer.lora_bias.values()):
            odd.append(name)
    if odd or not layers:
        part = odd[0] if odd else "updates"
        what = f"the adapter's {part} cannot be averaged as an update of a base weight: it is {describe(model)}"
        fix = "reference.kind=auto, or train a plain low-rank adapter or all weights"
        raise ConfigError("reference.moving", what, where="reference.kind", fix=fix)
    low = next((each.dtype for each in map(_base_weight, layers.values()) if each.dtype.itemsize < 4), None)
    if low is not None:
        precision = str(low).removeprefix("torch.")
        what = f"the base weights are {precision}, in which small updates round to nothing"
        raise ConfigError("reference.moving", what, where="reference.kind", fix="train model.float()")


@torch.no_grad()
def merged_weights(model: nn.Module) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Each adapted layer's name, its base weight, and that weight with the update added, one layer after the other.

    An update of zero leaves the base weight as it is, bit for bit.
    """
    for name, layer in _layers(model).items():
        base = _base_weight(layer).detach()
        merged = base.clone()
        for adapter in layer.active_adapters:
            merged += cast(Any, layer).get_delta_weight(adapter)
        yield name, base, merged


@contextmanager
def other_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """The adapter off and these weights in adapted layers' base while the context is open; no number is copied.

    Args:
        model: with an adapter.
        weights: by the names that `merged_weights` gives; layers without one keep their base weight.
    """
    layers = _layers(model)
    kept: dict[str, nn.Parameter] = {}
    with adapter_off(model):
        try:
            for name, weight in weights.items():
                base = layers[name].get_base_layer()
                kept[name] = cast(nn.Parameter, base.weight)
                # Another Parameter in this one module: a module that shares the weight (a tied head) keeps its own.
                base.weight = nn.Parameter(weight, requires_grad=False)
            yield
        finally:
            for name, weight in kept.items():
                layers[name].get_base_layer().weight = weight


def factors(model: nn.Module) -> list[nn.Parameter]:
    """What the adapter multiplies with: trainable weights that do nothing where they are one, not zero."""
    return [each for name, each in model.named_parameters() if "ia3_l" in name and each.requires_grad]


def scratch_bytes(model: nn.Module) -> int:
    """Most memory that a forward of one adapted layer takes and gives back, whatever the tokens.

    For DoRA peft makes the update as a matrix, from an identity, in every forward: the identity, the update, the update
    scaled, and their sum with the base weight.
    """
    wide = [each for each in _layers(model).values() if each.lora_variant]
    return max(map(_scratch_bytes, wide), default=0)


def _scratch_bytes(layer: LoraLayer) -> int:
    width, weight = cast(int, layer.in_features), _base_weight(layer)
    if quantize.is_quantized(layer.get_base_layer()):  # its numbers are made too, in float32
        return (width**2 + 4 * width * cast(int, layer.out_features)) * 4
    return (width**2 + 3 * weight.numel()) * weight.element_size()


def dropout_modules(model: nn.Module) -> list[nn.Module]:
    """The adapter's dropouts that do something; the base model's own are never active."""
    return [
        module
        for name, module in model.named_modules()
        if "lora_dropout" in name and isinstance(module, nn.Dropout) and module.p > 0
    ]


def save(model: nn.Module, folder: Path) -> None:
    """The adapter in peft's format. One that rewrote its base is saved as what it adds to the base as it was.

    That is B A - B0 A0, for B0 A0 what it began with: a plain adapter of twice the rank.
    """
    began = getattr(model, _BEGAN, None)
    if began is None:
        cast(PeftModel, model).save_pretrained(str(folder), safe_serialization=True)
        return
    with tempfile.TemporaryDirectory() as place, _quiet_peft():
        # peft puts the one it began with beside it for a moment, which is what it warns of.
        warnings.filterwarnings("ignore", "PiSSA changes the base weights", UserWarning)
        initial = Path(place) / "initial"
        initial.mkdir()
        save_file(began, initial / "adapter_model.safetensors")
        cast(PeftModel, model).save_pretrained(
            str(folder), safe_serialization=True, path_initial_model_for_weight_conversion=str(initial)
        )


@contextmanager
def _quiet_peft() -> Iterator[None]:
    """peft asks transformers by a name that is on its way out, and sees to GPT-2's transposed weights itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        yield


def _default_targets(model: PreTrainedModel) -> list[str] | None:
    """Query and value projections where they have their usual names; None leaves the choice to peft."""
    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    return ["q_proj", "v_proj"] if {"q_proj", "v_proj"} <= names else None


def _names(model: nn.Module) -> str:
    """Last parts of the names of the modules that can be adapted."""
    return ", ".join(sorted({name.rpartition(".")[2] for name, each in model.named_modules() if _adaptable(each)}))


def _adaptable(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _layers(model: nn.Module) -> dict[str, LoraLayer]:
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}


def _base_weight(layer: LoraLayer) -> Tensor:
    return cast(Tensor, layer.get_base_layer().weight)


def _factors(layer: LoraLayer) -> Iterator[nn.Parameter]:
    for name in layer.adapter_layer_names:
        yield from cast(nn.Module, getattr(layer, name)).parameters()
