"""A process that owns one side's arms and does what lines of JSON on its standard input say, one answer a line.

../.venv/bin/python -m speed.worker ours        ../.venv-agreement/bin/python -m speed.worker theirs
"""

import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

from .meter import DeviceMeter, Meter, ProcessMeter
from .model import HERE, Place, Shape

T = TypeVar("T")
PACKAGES = ("trl", "prefsmith", "torch", "transformers", "peft", "accelerate")


class SomeArms(Protocol):
    """What `theirs.Arms` and `ours.Arms` have in common."""

    def gradient(self, arm: str, batch: list[int]) -> float:
        """The loss; the gradient stays."""
        ...

    def weights(self) -> Sequence["Tensor"]:
        """Those that are trained."""
        ...

    def update(self) -> None:
        """Move the weights."""
        ...

    def drop(self) -> None:
        """Drop the gradients."""
        ...


class Worker:
    """What is answered to each command.

    Args:
        side: `ours` or `theirs`.
    """

    def __init__(self, side: str) -> None:
        self.side = side
        self.arms: SomeArms | None = None
        self.place: Place = HERE
        self.meter: Meter = ProcessMeter()

    def load(
        self, vocabulary: int, adapter: bool, pairs: list[dict[str, list[int]]], place: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Make model, reference and optimiser; tells the versions."""
        import torch

        torch.set_num_threads(1)
        if place is not None:
            self.place = replace(Place(**place), shape=Shape(**place["shape"]))
        if self.place.device == "cuda":
            self.meter = DeviceMeter()
        if self.side == "theirs":
            from .theirs import Arms
        else:
            from .ours import Arms
        self.arms = Arms(vocabulary, adapter, pairs, self.place)
        gpu = {"gpu": torch.cuda.get_device_name()} if self.place.device == "cuda" else {}
        return versions() | gpu

    def step(self, arm: str, batch: list[int]) -> dict[str, Any]:
        """One optimiser step, in CPU seconds of this process or in a GPU's; none where its memory runs out."""
        arms = self._arms()

        def step() -> None:
            arms.gradient(arm, batch)
            arms.update()

        return {"seconds": self._as_far_as_memory_goes(lambda: self.meter.seconds(step))}

    def compare(self, arm: str, batch: list[int]) -> dict[str, Any]:
        """Loss and gradient norm, none where memory runs out; the weights stay as they are."""
        from .exact import norm

        arms = self._arms()
        found = self._as_far_as_memory_goes(lambda: (arms.gradient(arm, batch), norm(arms.weights())))
        arms.drop()
        return dict(zip(("loss", "norm"), found or (None, None), strict=True))

    def exact(self, batch: list[int]) -> dict[str, Any]:
        """The same in float64; only prefsmith's side knows how."""
        from .ours import Arms

        arms = self._arms()
        assert isinstance(arms, Arms)
        loss, norm = arms.exact(batch)
        return {"loss": loss, "norm": norm}

    def peak(self, arm: str, batch: list[int]) -> dict[str, Any]:
        """The most memory that a gradient takes above what lies there between steps, in bytes; none as in `step`."""
        arms = self._arms()
        most = self._as_far_as_memory_goes(lambda: self.meter.peak(lambda: arms.gradient(arm, batch)))
        arms.drop()
        return {"peak": most}

    def rate(self, tokens: int, rows: int, vocabulary: int) -> dict[str, Any]:
        """Operations a second of the model's matrix products, one after another."""
        from .work import product_rate

        return {"rate": product_rate(tokens, rows, vocabulary, self.place, self.meter)}

    def _as_far_as_memory_goes(self, measured: Callable[[], T]) -> T | None:
        import torch

        try:
            return measured()
        except torch.OutOfMemoryError:
            pass  # what the error holds is given back first
        self._arms().drop()
        torch.cuda.empty_cache()
        return None

    def _arms(self) -> SomeArms:
        if self.arms is None:
            raise RuntimeError("nothing is loaded")
        return self.arms


def versions() -> dict[str, str]:
    """Of Python and of the packages that are there."""
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Answer until the input ends. Whatever libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.filterwarnings("ignore")
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(worker, command.pop("do"))(**command)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
