"""Models and tokenizers from a folder or from the hub."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from prefsmith.config import ModelConfig
from prefsmith.errors import ConfigError, PrefsmithError
from prefsmith.model.exhausted import in_a_line, is_exhausted
from prefsmith.model.quantize import (
    Quantization,
    let_files_go,
    loading,
    refuse_quantized_files,
    require_bitsandbytes,
    with_exact_products,
)

_NOT_COMPUTED = {"transformers_version", "_name_or_path", "dtype", "torch_dtype", "architectures"}
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with what belongs to it.

    Args:
        model: float32, or frozen weights in fewer bits; in evaluation mode.
        tokenizer: of the model.
        origin: the folder or hub id.
        end_ids: ids that end an answer, as the model's generation settings say.
        longest: most tokens of a sequence; None where the model sets no limit.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    origin: str
    end_ids: frozenset[int]
    longest: int | None


def load(config: ModelConfig, *, numbers: bool = True) -> Loaded:
    """The model and tokenizer that the settings name.

    Args:
        config: which, and where.
        numbers: whether the weights are read; without them the model is its shape (on the device `meta`).

    Raises:
        ConfigError: the folder does not exist or lacks weights, configuration or tokenizer; the weights are pickles, or
            not all there; it is no causal language model; the tokenizer has more tokens than the model.
    """
    quiet()
    origin = check_origin(config.path)
    if numbers:
        model = load_model(
            origin, device=config.device, trust_remote_code=config.trust_remote_code, quantize=config.quantize
        )
    else:
        model = _shape_of(origin, trust_remote_code=config.trust_remote_code)
    tokenizer = load_tokenizer(origin, trust_remote_code=config.trust_remote_code)
    return describe_loaded(model, tokenizer, origin)


def _shape_of(origin: str, *, trust_remote_code: bool) -> PreTrainedModel:
    """A model as another process has loaded it, without its weights."""
    with _loading(origin), torch.device("meta"):
        config = AutoConfig.from_pretrained(origin, trust_remote_code=trust_remote_code)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=trust_remote_code)
    return model.eval()


def describe_loaded(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, origin: str) -> Loaded:
    """What a run needs to know of a model that is already in memory.

    Raises:
        ConfigError: the tokenizer has more tokens than the model.
    """
    rows, tokens = embedded_tokens(model), len(tokenizer)
    if tokens > rows:
        what = f"the tokenizer has {tokens} tokens and the model embeds {rows}: they do not belong together"
        raise ConfigError(
            "model.tokenizer", what, where=origin, fix="use the tokenizer that the model was trained with"
        )
    settings = getattr(model, "generation_config", None)
    ends = getattr(settings, "eos_token_id", None)
    ends = {ends} if isinstance(ends, int) else set(ends or ())
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return Loaded(model, tokenizer, origin, frozenset(ends), longest)


def check_origin(path: str, key: str = "model.path", *, whole: bool = True) -> str:
    """The path or hub id, if it can be one. A local path that does not exist is never looked up on the hub.

    Args:
        path: a folder or a hub id.
        key: the setting that names it, for messages.
        whole: whether weights and tokenizer are needed beside the configuration.

    Raises:
        ConfigError: nothing is there, or what is there is no model.
    """
    if not path:
        fix = "name a folder or a hub id with --model"
        raise ConfigError("model.path", "no model is named", where=key, fix=fix)
    folder = Path(path).expanduser()
    if folder.exists():
        _check_folder(folder, whole=whole)
        return str(folder)
    first = Path(path).parts[0]
    local = path.startswith(".") or not _HUB_ID.fullmatch(path)
    if local or (len(Path(path).parts) > 1 and Path(first).exists()):
        raise ConfigError("model.path", "there is no such folder", where=path, fix=f"check {key}")
    return path


def _check_folder(folder: Path, *, whole: bool) -> None:
    where = str(folder)
    if not folder.is_dir():
        raise ConfigError("model.path", "this is a file, not a model's folder", where=where, fix="name its folder")
    if (folder / "adapter_config.json").is_file():
        what = "this is an adapter, not a whole model"
        fix = "name its base, or merge the two first: prefsmith merge ADAPTER --out FOLDER"
        raise ConfigError("model.path", what, where=where, fix=fix)
    if not (folder / "config.json").is_file():
        fix = "a model's folder has config.json, *.safetensors and tokenizer files"
        raise ConfigError("model.path", "the folder has no config.json", where=where, fix=fix)
    if not whole:
        return
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(each.name for each in (*folder.glob("*.bin"), *folder.glob("*.pt")))
        what = f"the weights are pickles ({', '.join(pickles)})" if pickles else "the folder has no weights"
        fix = "only safetensors are loaded, since a pickle can run any code; save_pretrained writes them"
        raise ConfigError("model.weights", what, where=where, fix=fix)
    names = {each.name for each in folder.iterdir()}
    if not names & {"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tokenizer_config.json"}:
        what, fix = "the folder has no tokenizer", "save the model's tokenizer beside it"
        raise ConfigError("model.tokenizer", what, where=where, fix=fix)


def load_model(
    origin: str, *, device: str, trust_remote_code: bool, quantize: Quantization = "none"
) -> PreTrainedModel:
    """A causal language model in float32, in evaluation mode, on its device.

    Args:
        origin: folder or hub id.
        device: as the settings name it.
        trust_remote_code: run code that comes with the model.
        quantize: how linear layers but the head are stored instead.

    Raises:
        ConfigError: it cannot be loaded, is not causal, lacks weights, was quantised before, the device is not there,
            or bitsandbytes is not.
    """
    require_bitsandbytes(quantize)
    place = find_device(device)
    with _loading(origin):
        config = AutoConfig.from_pretrained(origin, trust_remote_code=trust_remote_code)
        refuse_quantized_files(config, origin)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            origin,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **loading(quantize, place),
        )
    model, info = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
    if getattr(config, "is_encoder_decoder", False):
        raise ConfigError("model.kind", "this is an encoder-decoder, not a causal language model", where=origin)
    missing = sorted({*info["missing_keys"], *info["mismatched_keys"]})
    if missing:
        shown = ", ".join(map(str, missing[:3]))
        what = f"{len(missing)} weights are not in the files and would be random: {shown}"
        raise ConfigError(
            "model.weights", what, where=origin, fix="the folder holds another model's weights, or not all"
        )
    if quantize == "none":
        cast("nn.Module", model).to(place)
    else:
        with_exact_products(model)
        let_files_go(model)
    return model.eval()


@contextmanager
def _loading(origin: str) -> Iterator[None]:
    """What is read and built while the context is open is the model in this folder or of this hub id.

    Raises:
        ConfigError: it cannot be.
    """
    try:
        yield
    except PrefsmithError:
        raise
    except Exception as error:  # transformers, its validation, a constructor and the hub have errors of many kinds
        if is_exhausted(error):
            raise
        what, fix = f"the model cannot be loaded: {in_a_line(error)}", "check the folder, or the hub id and the network"
        raise ConfigError("model.load", what, where=origin, fix=fix) from error


def stored_dtype(origin: str, *, trust_remote_code: bool) -> torch.dtype:
    """The precision that a model's configuration says its files have; float32 where it says none.

    Raises:
        ConfigError: the configuration cannot be read.
    """
    with _loading(origin):
        named = AutoConfig.from_pretrained(origin, trust_remote_code=trust_remote_code).get_text_config().dtype
    dtype = getattr(torch, named, None) if isinstance(named, str) else named
    return dtype if isinstance(dtype, torch.dtype) else torch.float32


def embedded_tokens(model: PreTrainedModel) -> int:
    """How many different ids the model can read."""
    return cast("nn.Embedding", model.get_input_embeddings()).weight.shape[0]


def load_tokenizer(origin: str, *, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """The tokenizer that belongs to a model.

    Raises:
        ConfigError: it cannot be loaded.
    """
    try:
        return AutoTokenizer.from_pretrained(origin, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as error:
        what = f"the tokenizer cannot be loaded: {str(error).strip().splitlines()[0]}"
        raise ConfigError("model.tokenizer", what, where=origin, fix="save the model's tokenizer beside it") from error


def find_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one.

    Raises:
        ConfigError: the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
        if device.type == "meta":
            raise RuntimeError("it holds no numbers")
    except (RuntimeError, AssertionError) as error:
        what = f"there is no device {name!r} on this machine that computes"
        raise ConfigError(
            "model.device", what, where="model.device", fix="auto, cpu, or a GPU that is there"
        ) from error
    return device


def digest(model: nn.Module) -> str:
    """sha256 of configuration, weights and buffers: two models with one digest compute the same."""
    total = hashlib.sha256()
    config = getattr(model, "config", None)
    if isinstance(config, PreTrainedConfig):
        settings = {key: value for key, value in config.to_dict().items() if key not in _NOT_COMPUTED}
        total.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, weight in sorted({**model.state_dict(), **dict(model.named_parameters())}.items()):
        total.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        flat = weight.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8)
        total.update(memoryview(cast("Any", flat.numpy())))
    return total.hexdigest()


def require_full_precision(model: nn.Module) -> None:
    """At the learning rates of preference training, updates of weights below float32 round to nothing.

    Raises:
        ConfigError: a trainable weight is in lower precision.
    """
    low = next((each.dtype for each in model.parameters() if each.requires_grad and each.dtype.itemsize < 4), None)
    if low is not None:
        what = f"the model's weights are {str(low).removeprefix('torch.')}, in which small updates round to nothing"
        raise ConfigError("model.precision", what, where="the model in memory", fix="train model.float()")


def quiet() -> None:
    """No progress bars and no advice from transformers; errors still come through."""
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
