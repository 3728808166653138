"""Small trainable weights beside frozen ones, through peft."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import nn
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
