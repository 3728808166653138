"""A trained model that is there to be asked: it writes answers and scores them, and is not trained."""

import copy
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from torch import nn

from prefsmith.config import ModelConfig
from prefsmith.data.encode import Encoder
from prefsmith.data.render import Renderer
from prefsmith.errors import ConfigError
from prefsmith.model import adapters
from prefsmith.model.load import Loaded, load
from prefsmith.model.score import Frozen, Scorer


@dataclass(frozen=True, slots=True)
class Reader:
    """A model with what turns rows into its ids.

    Args:
        model: never trained; on the padded path, which every model can take.
        encoder: of the model.
        origin: folder or hub id.
        base: the same model without its adapter; None where it has none, or one that changes the base's own biases.
    """

    model: Frozen
    encoder: Encoder
    origin: str
    base: Frozen | None = None


def open_reader(
    path: str | Path, *, device: str = "auto", template: str = "auto", trust_remote_code: bool = False
) -> Reader:
    """Load a model, an adapter on its base, or the result of a run.

    Args:
        path: a model's folder or hub id, an adapter's folder, or a run's folder.
        device: `auto` takes a GPU where there is one.
        template: `auto`, `plain`, or a Jinja file.
        trust_remote_code: run code that comes with the model.

    Raises:
        ConfigError: nothing is there, the run has no model yet, or it cannot be loaded.
    """
    place = result_of(path)
    config = ModelConfig(path=place, device=device, trust_remote_code=trust_remote_code)
    if not (Path(place) / "adapter_config.json").is_file():
        loaded = load(config)
        return Reader(Frozen(Scorer(loaded.model, "padded")), _encoder(loaded, template), loaded.origin)
    loaded, adapted = adapters.load_adapted(config)
    scorer = Scorer(adapted, "padded")
    base = Frozen(scorer, partial(adapters.adapter_off, adapted)) if adapters.is_separate(adapted) else None
    return Reader(Frozen(scorer), _encoder(loaded, template), loaded.origin, base)


def snapshot(model: nn.Module) -> Frozen:
    """A copy of a model as it is now, so that looking cannot touch what is trained; on the padded path."""
    own = copy.deepcopy(model).requires_grad_(False).eval()
    adapters.unwrapped(own).set_attn_implementation("sdpa")  # training may have set one that takes packed rows alone
    return Frozen(Scorer(own, "padded"))


def result_of(path: str | Path) -> str:
    """The model of a run where `path` is a run's folder, else `path`.

    Raises:
        ConfigError: the run has no model yet.
    """
    folder = Path(path).expanduser()
    if not (folder / "run.yaml").is_file():
        return str(path)
    if not (folder / "model").is_dir():
        what, fix = "this run has written no model yet", f"go on with `prefsmith train --out {folder} --resume`"
        raise ConfigError("model.unfinished", what, where=str(folder), fix=fix)
    return str(folder / "model")


def _encoder(loaded: Loaded, template: str) -> Encoder:
    renderer = Renderer(loaded.tokenizer, template, today=date.today())
    return Encoder(loaded.tokenizer, renderer, max_length=loaded.longest, end_ids=loaded.end_ids)
