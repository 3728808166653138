"""A causal language model without its head: the part that makes hidden rows of ids."""

from torch import nn

from prefsmith.errors import ConfigError


def body_name(causal: nn.Module) -> str:
    """Under which name the model has it.

    Raises:
        ConfigError: under none that is known.
    """
    prefix = str(getattr(causal, "base_model_prefix", ""))
    for name in (prefix, "model"):  # the prefix of a text model that is cut out of a larger one may name nothing
        if isinstance(causal._modules.get(name), nn.Module):
            return name
    what = f"{type(causal).__name__} does not say which of its parts makes the hidden states"
    raise ConfigError("model.kind", what, where="model.path", fix="this architecture is not supported")


def body_of(causal: nn.Module) -> nn.Module:
    """The part itself.

    Raises:
        ConfigError: it has no name that is known.
    """
    return causal.get_submodule(body_name(causal))
