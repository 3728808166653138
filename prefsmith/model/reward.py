"""A reward model: a transformer's body, and one row that makes a number of the hidden state at an answer's last token.

In the format of transformers' models for sequence classification with one label, so that others load it and theirs are
loaded. The last token is the one that ends the answer: transformers' own forward takes the token before it where end
token and padding are one.
"""

from typing import Any, cast

import torch
from jaxtyping import Float64
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from prefsmith.errors import ConfigError
from prefsmith.model.body import body_of
from prefsmith.model.forest import pad
from prefsmith.model.load import check_origin, find_device, quiet
from prefsmith.types import Batch

Rewards = Float64[Tensor, " seq"]


class RewardModel(nn.Module):
    """One number for every completion of a batch.

    Args:
        inner: a model for sequence classification with one label, whose head is called `score`.

    Raises:
        ConfigError: the model has no such head.
    """

    def __init__(self, inner: PreTrainedModel) -> None:
        super().__init__()
        head = getattr(inner, "score", None)
        if not isinstance(head, nn.Linear) or head.out_features != 1:
            what = f"{type(inner).__name__} has no head called `score` that gives one number"
            fix = "a causal language model (its body is taken), or a reward model with one label"
            raise ConfigError("reward.model", what, where=str(inner.name_or_path), fix=fix)
        self.inner, self.head = inner, head

    def forward(self, batch: Batch) -> Rewards:
        """The reward of each completion behind its prompt, differentiable, float64 on the CPU."""
        matrix = pad(batch.to(self.head.weight.device))
        body = body_of(self.inner)
        hidden = body(input_ids=matrix.ids, attention_mask=matrix.mask, use_cache=False).last_hidden_state
        last = matrix.mask.sum(1) - 1
        rows = hidden[torch.arange(len(last), device=last.device), last]
        return self.head(rows)[:, 0].to("cpu", torch.float64)


def new_reward_model(origin: str, *, device: str = "auto") -> RewardModel:
    """The body of a causal language model under a head of zeros: every reward is 0 to begin with.

    Args:
        origin: folder or hub id of the language model.
        device: as the settings name it.

    Raises:
        ConfigError: it cannot be loaded, or transformers has no model with one number for it.
    """
    model = _load(check_origin(origin), device)
    nn.init.zeros_(model.head.weight)
    if model.head.bias is not None:
        nn.init.zeros_(model.head.bias)
    return model


def load_reward_model(origin: str, *, device: str = "auto") -> RewardModel:
    """A reward model that was trained, here or elsewhere.

    Raises:
        ConfigError: it cannot be loaded, or its head is not among the weights.
    """
    return _load(check_origin(origin, "reward"), device, whole=True)


def _load(origin: str, device: str, *, whole: bool = False) -> RewardModel:
    quiet()
    try:
        loaded: Any = AutoModelForSequenceClassification.from_pretrained(
            origin, num_labels=1, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        what = f"the reward model cannot be loaded: {str(error).strip().splitlines()[0]}"
        raise ConfigError("reward.model", what, where=origin, fix="check the folder, or the hub id") from error
    inner, info = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
    missing = sorted(map(str, {*info["missing_keys"], *info["mismatched_keys"]}))
    if whole and missing and all(each.startswith("score") for each in missing):
        what = f"this is a model without the head of a reward model ({', '.join(missing)})"
        fix = "name a folder that `fit_reward` wrote, or a sequence classification model with one label"
        raise ConfigError("reward.model", what, where=origin, fix=fix)
    if missing and (whole or any(not each.startswith("score") for each in missing)):
        what = f"{len(missing)} weights are not in the files and would be random: {', '.join(missing[:3])}"
        raise ConfigError("reward.model", what, where=origin, fix="name a folder that holds a whole reward model")
    cast("nn.Module", inner).to(find_device(device))
    return RewardModel(inner.eval())
