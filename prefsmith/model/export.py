"""The result of a run, as a folder that transformers and peft load."""

import shutil
import uuid
from pathlib import Path

from torch import nn
from transformers import PreTrainedTokenizerBase

from prefsmith.errors import TrainingError
from prefsmith.files import sync_files, sync_folder
from prefsmith.model import adapters


def export(model: nn.Module, tokenizer: PreTrainedTokenizerBase, folder: Path, *, template: str | None) -> Path:
    """Write `model/`: the model or the adapter, with tokenizer and chat template, whole or not at all.

    Raises:
        TrainingError: the disk is full or fails; the checkpoints have the weights.
    """
    place, beside = folder / "model", folder / f".model-{uuid.uuid4().hex}"
    try:
        beside.mkdir()
        if adapters.has_adapter(model):
            adapters.save(model, beside)
        else:
            adapters.unwrapped(model).save_pretrained(beside)
        if template is not None:
            tokenizer.chat_template = template
        tokenizer.save_pretrained(beside)
        sync_files(beside)
        if place.exists():
            shutil.rmtree(place)
        beside.rename(place)
        sync_folder(folder)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(beside, ignore_errors=True)
        what = f"the model could not be written: {getattr(error, 'strerror', None) or error}"
        fix = "make room and go on with --resume: the last checkpoint has the weights"
        raise TrainingError("run.export", what, where=str(place), fix=fix) from error
    return place
