"""The result of a run, as a folder that transformers and peft load."""

import shutil
import uuid
from pathlib import Path

from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedTokenizerBase

from prefsmith.errors import TrainingError
from prefsmith.files import sync_files, sync_folder
from prefsmith.model import adapters, quantize


def export(model: nn.Module, tokenizer: PreTrainedTokenizerBase, folder: Path, *, template: str | None) -> Path:
    """Write `model/`: the model or the adapter, with tokenizer and chat template, whole or not at all.

    Raises:
        TrainingError: the disk is full or fails; the checkpoints have the weights.
    """
    name = uuid.uuid4().hex
    place, beside, old = folder / "model", folder / f".model-{name}", folder / f".old-model-{name}"
    for left in folder.glob(".model-*"):
        shutil.rmtree(left, ignore_errors=True)  # of an export that was killed
    try:
        beside.mkdir()
        if adapters.has_adapter(model):
            adapters.save(model, beside)
            quantize.write_note(model, beside)
        else:
            adapters.unwrapped(model).save_pretrained(beside)
        if template is not None and template != _default_template(tokenizer):
            tokenizer.chat_template = template
        save_tokenizer(tokenizer, beside)
        sync_files(beside)
        if place.exists():
            place.rename(old)
        beside.rename(place)
        sync_folder(folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        if old.exists() and not place.exists():
            old.rename(place)
        what = f"the model could not be written: {getattr(error, 'strerror', None) or error}"
        fix = "make room and go on with --resume: the last checkpoint has the weights"
        raise TrainingError("run.export", what, where=str(place), fix=fix) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # nothing is there once it was renamed
    for left in folder.glob(".old-model-*"):  # of an export that was killed, too
        shutil.rmtree(left, ignore_errors=True)
    return place


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a tokenizer's files.

    Raises:
        OSError: the disk is full or fails.
    """
    try:
        tokenizer.save_pretrained(folder)
    except Exception as error:
        if type(error) is Exception:  # what `tokenizers` raises where a file cannot be written
            raise OSError(str(error)) from error
        raise


def _default_template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The template that is used where none is named; a tokenizer may have several, by name."""
    return tokenizer.get_chat_template() if tokenizer.chat_template else None
