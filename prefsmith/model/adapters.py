"""Small trainable weights beside frozen ones, through peft."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel

from prefsmith.config import AdapterConfig, ModelConfig
from prefsmith.errors import ConfigError
from prefsmith.model.load import Loaded, check_origin, describe_loaded, load_model, load_tokenizer, quiet


def attach(model: PreTrainedModel, config: AdapterConfig, *, seed: int) -> nn.Module:
    """The model with an adapter that changes nothing yet. The model object itself is adapted in place.

    Args:
        model: its weights are frozen.
        config: kind `lora`.
        seed: of the adapter's initial weights.

    Raises:
        ConfigError: no module of the model has one of the names in `target_modules`.
    """
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=cast(int, config.alpha),
        lora_dropout=config.dropout,
        target_modules=config.target_modules or _default_targets(model),
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft asks transformers by a name that is on its way out, and sees to GPT-2's transposed weights itself.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        torch.manual_seed(seed)
        try:
            return get_peft_model(model, lora)
        except ValueError as error:
            names = sorted({name.rpartition(".")[2] for name, each in model.named_modules() if _adaptable(each)})
            raise ConfigError(
                "adapter.target_modules",
                f"peft cannot attach the adapter: {error}",
                where="adapter.target_modules",
                fix=f"this model has {', '.join(names)}; or all-linear",
            ) from error


def load_adapted(config: ModelConfig) -> tuple[Loaded, nn.Module]:
    """An adapter from its folder, on the base that it names; the tokenizer is that of the adapter's folder.

    Returns:
        The base, whose layers are adapted in place, and the module that knows of the adapter.

    Raises:
        ConfigError: base or adapter cannot be loaded, or they do not belong together.
    """
    quiet()
    folder = Path(config.path)
    try:
        settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        base = str(settings["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        what, fix = (
            "adapter_config.json does not say which model the adapter is for",
            "save the adapter with peft again",
        )
        raise ConfigError("model.adapter", what, where=str(folder), fix=fix) from error
    origin = check_origin(base, f"the base of the adapter {folder}")
    model = load_model(origin, device=config.device, trust_remote_code=config.trust_remote_code)
    own = any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json"))
    tokenizer = load_tokenizer(str(folder) if own else origin, trust_remote_code=config.trust_remote_code)
    described = describe_loaded(model, tokenizer, str(folder))
    try:
        adapted = PeftModel.from_pretrained(model, str(folder), torch_device=str(model.device))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        what = f"the adapter does not fit on {origin}: {str(error).strip().splitlines()[0]}"
        raise ConfigError("model.adapter", what, where=str(folder), fix="name the base it was trained on") from error
    return described, adapted.eval()


def unwrapped(model: nn.Module) -> PreTrainedModel:
    """The causal language model itself, adapted layers in place, without peft's wrapper."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    return cast(PreTrainedModel, inner)


def has_adapter(model: nn.Module) -> bool:
    """Whether an adapter is attached."""
    return isinstance(model, PeftModel)


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
        what = f"the adapter's {odd[0] if odd else 'updates'} cannot be averaged as an update of a base weight"
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


def dropout_modules(model: nn.Module) -> list[nn.Module]:
    """The adapter's dropouts that do something; the base model's own are never active."""
    return [
        module
        for name, module in model.named_modules()
        if "lora_dropout" in name and isinstance(module, nn.Dropout) and module.p > 0
    ]


def save(model: nn.Module, folder: Path) -> None:
    """The adapter in peft's format."""
    cast(PeftModel, model).save_pretrained(str(folder), safe_serialization=True)


def _default_targets(model: PreTrainedModel) -> list[str] | None:
    """Query and value projections where they have their usual names; None leaves the choice to peft."""
    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    return ["q_proj", "v_proj"] if {"q_proj", "v_proj"} <= names else None


def _adaptable(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _layers(model: nn.Module) -> dict[str, LoraLayer]:
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}


def _base_weight(layer: LoraLayer) -> Tensor:
    return cast(Tensor, layer.get_base_layer().weight)


def _factors(layer: LoraLayer) -> Iterator[nn.Parameter]:
    for name in layer.adapter_layer_names:
        yield from cast(nn.Module, getattr(layer, name)).parameters()
