"""Which settings are searched, and over which ranges."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from prefsmith.assembly import objective_of
from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError
from prefsmith.losses import LOSSES

BETA = (0.1, 0.5)
RATE = (1e-6, 1e-5)
"""Of all weights, as the DPO paper and its successors take it."""
RATE_OF = {"none": 1.0, "lora": 10.0, "dora": 10.0, "ia3": 100.0}
"""Times by which an adapter takes larger steps: for LoRA as Schulman et al. 2025 ("LoRA Without Regret") measured it,
for IA3 the ratio of our default learning rates."""
PAIRS = (32, 128, 32)


@dataclass(frozen=True, slots=True)
class Range:
    """Values of one setting.

    Args:
        key: its dotted name.
        low: smallest value.
        high: largest value.
        log: whether they are spread evenly in the logarithm.
        step: for whole numbers, the distance between two of them; None for any number between.
    """

    key: str
    low: float
    high: float
    log: bool = False
    step: int | None = None

    def as_dict(self) -> dict[str, object]:
        """As sweep.json has it."""
        return asdict(self)


def default_ranges(config: RunConfig, given: Collection[str]) -> list[Range]:
    """beta (or tau), learning rate and pairs a step, as far as they are not given.

    Args:
        config: the run to vary.
        given: dotted names of settings that the command line fixes or gives a range of.
    """
    factor = RATE_OF[config.adapter.kind]
    ranges = [
        Range("optim.learning_rate", RATE[0] * factor, RATE[1] * factor, log=True),
        Range("train.pairs_per_step", PAIRS[0], PAIRS[1], step=PAIRS[2]),
    ]
    settings = objective_of(config).terms[0].settings
    name = next((each for each in ("beta", "tau") if each in settings), None)
    if name is not None:
        prefix = "loss.0" if isinstance(config.loss, list) else "loss"
        ranges.insert(0, _of_beta(f"{prefix}.{name}", float(LOSSES[config.losses[0].name].defaults[name])))
    return [each for each in ranges if each.key not in given]


def _of_beta(key: str, usual: float) -> Range:
    """What is customary, or around the loss's own default where that is on another scale (per token, say)."""
    low, high = BETA
    return Range(key, low, high) if low <= usual <= high else Range(key, usual / 3, usual * 3, log=True)


def parse_ranges(texts: Sequence[str]) -> list[Range]:
    """Ranges as they are typed: KEY=LOW:HIGH, KEY=LOW:HIGH:log, KEY=LOW:HIGH:STEP.

    Raises:
        ConfigError: one of them is no range, or a setting has two.
    """
    ranges = [_parsed(text) for text in texts]
    keys = [each.key for each in ranges]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ConfigError("sweep.range", f"{twice} has two ranges", where="--range", fix="leave one of them out")
    return ranges


def _parsed(text: str) -> Range:
    key, _, values = text.partition("=")
    parts = values.split(":")
    try:
        low, high = float(parts[0]), float(parts[1])
        log = parts[2:] == ["log"]
        step = int(parts[2]) if len(parts) == 3 and not log else None
    except (ValueError, IndexError):
        raise _no_range(text, "is no range") from None
    whole = step is not None and step >= 1 and low.is_integer() and high.is_integer()
    if not key or len(parts) > 3 or not low < high < float("inf") or (log and low <= 0):
        raise _no_range(text, "is no range of values that rise")
    if step is not None and (not whole or (high - low) % step):
        raise _no_range(text, "has ends that its step does not reach")
    return Range(key, low, high, log, step)


def _no_range(text: str, what: str) -> ConfigError:
    fix = "for example loss.beta=0.05:1, optim.learning_rate=1e-6:1e-4:log, train.pairs_per_step=16:64:16"
    return ConfigError("sweep.range", f"{text!r} {what}", where="--range", fix=fix)


def put(values: Any, key: str, value: object) -> None:  # noqa: ANN401
    """Set a setting by its dotted name.

    Raises:
        ConfigError: there is no such place.
    """
    *parents, last = key.split(".")
    for part in parents:
        try:
            values = values[int(part)] if isinstance(values, list) else values.setdefault(part, {})
        except (ValueError, IndexError):
            values = None
        if not isinstance(values, dict | list):
            raise ConfigError("sweep.range", f"there is no setting {key}", where="--range", fix=f"{part} is a value")
    if isinstance(values, list):
        raise ConfigError(
            "sweep.range", f"there is no setting {key}", where="--range", fix="name one of an entry's keys"
        )
    values[last] = value
