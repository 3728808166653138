"""An adapter and its base as one plain model: how far it is from the two apart, and its folder.

Everything is loaded, merged and compared in float32. What is compared is what will be written: weights that are to be
stored in less than float32 are rounded first.
"""

import math
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prefsmith.errors import ConfigError, TrainingError
from prefsmith.files import sync_files, sync_folder
from prefsmith.model import adapters
from prefsmith.model.export import save_tokenizer
from prefsmith.model.score import forget_lengths

Text = Sequence[int]

KEPT_LOGITS = 2**27
"""Logits of the model before merging that are kept to compare with: half a gigabyte of float32."""
TOLERANCE = {torch.float32: 1e-3}
"""Largest drift, in nats: sums in another order move a logit by some 1e-5."""
ROUNDED_TOLERANCE = 0.1
"""The same where weights are rounded to fewer than 24 bits."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the merged model is from base and adapter.

    Args:
        logits: largest change of a logit.
        nats: largest change of a log-probability, over the whole vocabulary.
        tokens: positions that were compared.
        texts: that they are of.
        other_likeliest: positions at which another token is the likeliest.
    """

    logits: float
    nats: float
    tokens: int
    texts: int
    other_likeliest: int

    @property
    def largest(self) -> float:
        """What is held against the tolerance; infinite where a number is none."""
        finite = math.isfinite(self.logits) and math.isfinite(self.nats)
        return max(self.logits, self.nats) if finite else math.inf


def merge(
    model: nn.Module, texts: Sequence[Text], dtype: torch.dtype, *, plain: nn.Module | None = None
) -> tuple[PreTrainedModel, Drift]:
    """The merged model, its weights those that files of the precision hold, and how far it drifted.

    Args:
        model: with an adapter, in float32, or on quantised weights; used up where it is what is merged.
        texts: ids on which the two are compared, as far as `KEPT_LOGITS` has room.
        dtype: of the files.
        plain: the same in float32 where the model's weights are quantised, to be merged in its place.

    Raises:
        ConfigError: the adapter cannot be merged.
    """
    before = _logits_within(model, texts, KEPT_LOGITS)
    merged = adapters.merge_into_base(plain or model).eval()
    for weight in merged.state_dict().values():
        if weight.is_floating_point():
            weight.copy_(weight.to(dtype))
    logits, nats, other = [], [], 0
    for text, old in before:
        new = _logits(merged, text)
        logits.append((new - old).abs().max())
        nats.append((new.double().log_softmax(-1) - old.double().log_softmax(-1)).abs().max())
        other += int((new.argmax(-1) != old.argmax(-1)).sum())
    # Tensors keep a NaN through max, where Python's max may lose it.
    return merged, Drift(
        logits=float(torch.stack(logits).max()),
        nats=float(torch.stack(nats).max()),
        tokens=sum(len(text) for text, _ in before),
        texts=len(before),
        other_likeliest=other,
    )


def refuse_drift(drift: Drift, tolerance: float, *, where: str) -> None:
    """Stop where the merged model is another one than base and adapter.

    Raises:
        TrainingError: it drifted further than the tolerance, or is not finite.
    """
    if drift.largest <= tolerance:
        return
    what = (
        f"the merged model is not what base and adapter are: logits move by up to {drift.logits:.2g}, "
        f"log-probabilities by {drift.nats:.2g} nats, and {tolerance:g} are allowed; nothing was written"
    )
    fix = "--dtype float32 rounds no weights; a larger --tolerance takes the model as it is"
    raise TrainingError("merge.drift", what, where=where, fix=fix)


def write_merged(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, out: Path, *, dtype: torch.dtype, card: str
) -> None:
    """Write the model with its tokenizer and card, whole or not at all.

    Raises:
        ConfigError: the disk is full or fails, or somebody else made the folder meanwhile.
    """
    beside = out.with_name(f".{out.name}-{uuid.uuid4().hex}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
        cast("nn.Module", model).to(dtype)
        model.save_pretrained(beside)
        save_tokenizer(tokenizer, beside)
        (beside / "README.md").write_text(card, encoding="utf-8")
        sync_files(beside)
        beside.rename(out)
        sync_folder(out.parent)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        what = f"the merged model cannot be written: {getattr(error, 'strerror', None) or error}"
        raise ConfigError("merge.out", what, where=str(out), fix="make room, or choose another --out") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # nothing is there once it was renamed


def _logits_within(model: nn.Module, texts: Sequence[Text], room: int) -> list[tuple[Text, Tensor]]:
    """Texts and their logits, until these are as many as there is room for; the last text is cut."""
    rows = max(1, room // adapters.unwrapped(model).config.get_text_config().vocab_size)
    found: list[tuple[Text, Tensor]] = []
    for text in texts:
        if cut := text[:rows]:
            found.append((cut, _logits(model, cut)))
            rows -= len(cut)
    return found


@torch.no_grad()
def _logits(model: nn.Module, text: Text) -> Tensor:
    """`(token, vocabulary)`, float32, on the CPU."""
    forget_lengths(model)
    ids = torch.tensor([list(text)], device=next(model.parameters()).device)
    return model(input_ids=ids, use_cache=False).logits[0].float().cpu()
