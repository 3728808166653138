"""Frozen weights in 4 or 8 bits under an adapter (QLoRA, arXiv 2305.14314), through bitsandbytes.

Weights are stored quantised and every product is one with the numbers that they stand for, in forward and in backward.
bitsandbytes' own layers do not do that everywhere: its 8 bit product rounds activations too, so that a token's result
would hang on a rounding that another order of sums tips, and on a CPU its 4 bit product without gradients is another
one than with them, so that policy and reference would differ before the first step.
"""

import copy
import importlib.util
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, PreTrainedConfig

from prefsmith.errors import ConfigError

Quantization = Literal["none", "nf4", "int8"]

_STORED = {"Params4bit": "nf4", "Int8Params": "int8"}
"""Classes of bitsandbytes' weights, by name: a model is looked at whether or not bitsandbytes is there."""
_NOTE = "quantized_base.json"
"""Beside an adapter's files: the kind of the weights that it was trained on."""
_INSTALL = "pip install 'prefsmith[quantize]'; or model.quantize=none"


def require_bitsandbytes(kind: Quantization) -> None:
    """What quantises is installed, where something is to be quantised.

    Raises:
        ConfigError: it is not.
    """
    if kind != "none" and importlib.util.find_spec("bitsandbytes") is None:
        what = f"model.quantize is {kind}, and bitsandbytes is not installed"
        raise ConfigError("model.quantize", what, where="model.quantize", fix=_INSTALL)


def refuse_in_memory(kind: Quantization) -> None:
    """Weights are quantised while they are read from files.

    Raises:
        ConfigError: a model in memory is to be quantised.
    """
    if kind != "none":
        what = f"model.quantize is {kind}, and the model is given in memory: weights are quantised as they are read"
        raise ConfigError("model.quantize", what, where="model.quantize", fix="name the model's folder as model.path")


def refuse_quantized_files(config: PreTrainedConfig, origin: str) -> None:
    """A model is quantised here, as the settings say, or not at all.

    Raises:
        ConfigError: bitsandbytes has quantised its files.
    """
    stored: Any = getattr(config, "quantization_config", None)
    method = stored.get("quant_method") if isinstance(stored, Mapping) else getattr(stored, "quant_method", None)
    if str(method or "").rpartition(".")[2].lower() in ("bitsandbytes", "bits_and_bytes"):
        what = "the files hold weights that bitsandbytes has quantised, and nobody says of which model"
        fix = "name the model that they were made from, with model.quantize=nf4 or int8"
        raise ConfigError("model.quantize", what, where=origin, fix=fix)


def loading(kind: Quantization, device: torch.device) -> dict[str, Any]:
    """Arguments with which transformers quantises linear layers as it reads them, each on the device at once.

    The head and what it shares its weight with stay as they are, as do embeddings and norms.
    """
    if kind == "none":
        return {}
    if kind == "int8":
        # No column of outliers is held back: products are not in 8 bits here.
        settings = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)
    else:
        settings = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )
    if device.type == "cuda" and device.index is None:  # a process of many has one of its own
        device = torch.device("cuda", torch.cuda.current_device())
    return {"quantization_config": settings, "device_map": {"": device}}


def with_exact_products(model: nn.Module) -> None:
    """Let every quantised layer multiply with the numbers that its weights stand for."""
    for layer in quantized_layers(model).values():
        cast(Any, layer).forward = _Product(layer)


def let_files_go(model: nn.Module) -> None:
    """Copy what was not quantised: on a CPU it may lie in the mapped file, which is kept whole as long as a part is."""
    for weight in model.parameters():
        if type(weight).__name__ not in _STORED and weight.device.type == "cpu":
            weight.data = weight.data.clone()


def quantized_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """Linear layers whose weights are quantised, by name."""
    return {name: cast(nn.Linear, each) for name, each in model.named_modules() if is_quantized(each)}


def is_quantized(layer: nn.Module) -> bool:
    """Whether the layer's own weight is stored in 4 or 8 bits."""
    return isinstance(layer, nn.Linear) and type(layer.weight).__name__ in _STORED


def dequantized(layer: nn.Module) -> Tensor:
    """The numbers that a quantised layer's weight stands for, float32, `(out, in)`."""
    import bitsandbytes.functional as stored  # optional, and there where a layer is quantised

    weight = cast(Any, layer.weight)
    if type(weight).__name__ == "Int8Params":
        return stored.int8_vectorwise_dequant(weight.data, _scales(layer))
    flat = copy.copy(weight.quant_state)
    flat.shape = torch.Size([math.prod(weight.quant_state.shape)])  # see `require_true_rows`
    return stored.dequantize_4bit(weight.data, flat).view(weight.quant_state.shape)


def require_true_rows(model: nn.Module) -> None:
    """What reads the matrices of adapted layers by bitsandbytes' own function is given the right numbers.

    On a CPU bitsandbytes 0.50 mistakes the scales of rows that are no whole number of blocks. A matrix as one long row
    has its own, which is how products read it here; DoRA in peft asks for the matrix as it stands.

    Raises:
        ConfigError: an adapted layer has such rows.
    """
    for name, layer in quantized_layers(model).items():
        state = getattr(layer.weight, "quant_state", None)
        if state is None or layer.weight.device.type != "cpu" or not name.endswith(".base_layer"):
            continue
        if layer.in_features % state.blocksize:
            matrix = name.removesuffix(".base_layer")
            what = (
                f"dora reads {matrix} from 4 bits, of which bitsandbytes gives wrong "
                f"numbers on a CPU: its {layer.in_features} inputs are no multiple of {state.blocksize}"
            )
            fix = "adapter.kind=lora, model.quantize=int8, or a GPU"
            raise ConfigError("model.quantize", what, where="adapter.kind", fix=fix)


def put_numbers_into(plain: nn.Module, quantized: nn.Module) -> None:
    """Give a model in float32 the numbers that the same model's quantised weights stand for.

    Args:
        plain: of the same architecture.
        quantized: without an adapter.
    """
    with torch.no_grad():
        for name, layer in quantized_layers(quantized).items():
            target = cast(nn.Linear, plain.get_submodule(name)).weight
            numbers = dequantized(layer)
            # GPT-2's layers keep their matrices the other way round.
            target.copy_(numbers if isinstance(plain.get_submodule(name), nn.Linear) else numbers.T)


def count_numbers(model: nn.Module) -> int:
    """Weights of a model, each counted as one however few bits it has."""
    packed = quantized_layers(model).values()
    extra = sum(each.in_features * each.out_features - each.weight.numel() for each in packed)
    return sum(each.numel() for each in model.parameters()) + extra


def scale_bytes(model: nn.Module) -> int:
    """What quantised weights are scaled by, which no parameter holds."""
    return sum(_scale_bytes(layer) for layer in quantized_layers(model).values())


def scratch_bytes(model: nn.Module, *, rounded: bool) -> int:
    """Most memory that one product takes for its weight and gives back: float32, and a rounded copy beside it."""
    numbers = [each.in_features * each.out_features for each in quantized_layers(model).values()]
    return max(numbers, default=0) * (6 if rounded else 4)


def write_note(model: nn.Module, folder: Path) -> None:
    """Say beside an adapter's files on what weights it was trained; nothing where they are not quantised."""
    layers = quantized_layers(model)
    if layers:
        kind = _STORED[type(next(iter(layers.values())).weight).__name__]
        (folder / _NOTE).write_text(json.dumps({"quantize": kind}) + "\n", encoding="utf-8")


def read_note(folder: Path) -> Quantization:
    """The weights that an adapter was trained on.

    Raises:
        ConfigError: the note cannot be read.
    """
    place = folder / _NOTE
    if not place.is_file():
        return "none"
    try:
        kind = json.loads(place.read_text(encoding="utf-8"))["quantize"]
        if kind not in _STORED.values():
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = "it does not say on what weights the adapter was trained"
        fix = 'it holds {"quantize": "nf4"} or {"quantize": "int8"}; without it the base is loaded in float32'
        raise ConfigError("model.quantize", what, where=str(place), fix=fix) from error
    return kind


class _Product:
    """Stands where a quantised layer's forward stood.

    Args:
        layer: asked for its weight anew in every product, so that the numbers are there for one product only.
    """

    def __init__(self, layer: nn.Linear) -> None:
        self.layer = layer

    def __call__(self, x: Tensor) -> Tensor:
        return _Dequantized.apply(x, self.layer)


class _Dequantized(torch.autograd.Function):
    """x W.T + b for a frozen W, which autograd does not keep: backward makes it once more."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Linear) -> Tensor:  # noqa: ANN401
        ctx.layer = layer
        bias = None if layer.bias is None else layer.bias.to(x.dtype)
        return F.linear(x, dequantized(layer).to(x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        by_out = gradients[0]
        return by_out @ dequantized(ctx.layer).to(by_out.dtype), None


def _scales(layer: nn.Module) -> Tensor:
    """One scale a row; peft moves it from the weight to the layer's state."""
    own = cast(Any, layer.weight).SCB
    return own if own is not None else cast(Any, layer).state.SCB


def _scale_bytes(layer: nn.Module) -> int:
    weight = cast(Any, layer.weight)
    if type(weight).__name__ == "Int8Params":
        tensors = [_scales(layer)]
    else:
        state = weight.quant_state
        tensors = [state.absmax] + ([state.state2.absmax] if state.nested else [])
    return sum(each.numel() * each.element_size() for each in tensors)
