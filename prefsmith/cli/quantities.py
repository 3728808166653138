"""Memory, rates and lengths as they are typed on a command line."""

import re

from prefsmith.errors import ConfigError

_BYTES = {"gb": 1e9, "gib": 2.0**30, "tb": 1e12, "tib": 2.0**40, "mb": 1e6, "mib": 2.0**20}
_RATES = {"tflops": 1e12, "gflops": 1e9, "pflops": 1e15}
_NUMBER = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([A-Za-z]+)", re.ASCII)
HERE = "here"


def memory_of(text: str) -> int:
    """Bytes of `80GB`, `79.1GiB`.

    Raises:
        ConfigError: it is no amount of memory.
    """
    found = _quantity(text, _BYTES)
    if found is None:
        what = f"{text!r} is no amount of memory: a number and one of {', '.join(_BYTES)}"
        raise ConfigError("plan.memory", what, where="--memory", fix="for example --memory 80GB, or 79.1GiB")
    return round(found)


def rate_of(text: str) -> float | str:
    """Operations a second of `400TFLOPS`, or that they are to be measured `here`.

    Raises:
        ConfigError: it is no rate.
    """
    if text == HERE:
        return HERE
    found = _quantity(text, _RATES)
    if found is None:
        what = f"{text!r} is no rate: a number and one of {', '.join(_RATES)}, or here"
        raise ConfigError("plan.rate", what, where="--rate", fix="for example --rate 400TFLOPS")
    return found


def lengths_of(text: str) -> tuple[int, int]:
    """Tokens of a prompt and of an answer, of `512,256`.

    Raises:
        ConfigError: these are not two lengths.
    """
    found = re.fullmatch(r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*", text, re.ASCII)
    if found is None or not int(found[1]) or not int(found[2]):
        what = f"{text!r} is not the tokens of a prompt and of an answer"
        raise ConfigError("plan.lengths", what, where="--tokens", fix="for example --tokens 512,256")
    return int(found[1]), int(found[2])


def _quantity(text: str, units: dict[str, float]) -> float | None:
    """None for what is no number with a unit, and for nothing at all."""
    found = _NUMBER.fullmatch(text.strip())
    unit = units.get(found[2].lower()) if found is not None else None
    return None if found is None or unit is None else float(found[1]) * unit or None
