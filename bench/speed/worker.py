"""A process that owns one side's arms and does what lines of JSON on its standard input say, one answer a line.

../.venv/bin/python -m speed.worker ours        ../.venv-agreement/bin/python -m speed.worker theirs
"""

import ctypes
import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

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

    def load(self, vocabulary: int, adapter: bool, pairs: list[dict[str, list[int]]]) -> dict[str, Any]:
        """Make model, reference and optimiser; tells the versions."""
        import torch

        torch.set_num_threads(1)
        if self.side == "theirs":
            from .theirs import Arms
        else:
            from .ours import Arms
        self.arms = Arms(vocabulary, adapter, pairs)
        return versions()

    def step(self, arm: str, batch: list[int]) -> dict[str, Any]:
        """One optimiser step, in CPU seconds of this process."""
        arms = self._arms()
        started = time.process_time()
        arms.gradient(arm, batch)
        arms.update()
        return {"seconds": time.process_time() - started}

    def compare(self, arm: str, batch: list[int]) -> dict[str, Any]:
        """Loss and gradient norm; the weights stay as they are."""
        from .exact import norm

        arms = self._arms()
        found = {"loss": arms.gradient(arm, batch), "norm": norm(arms.weights())}
        arms.drop()
        return found

    def exact(self, batch: list[int]) -> dict[str, Any]:
        """The same in float64; only prefsmith's side knows how."""
        from .ours import Arms

        arms = self._arms()
        assert isinstance(arms, Arms)
        loss, norm = arms.exact(batch)
        return {"loss": loss, "norm": norm}

    def peak(self, arm: str, batch: list[int]) -> dict[str, Any]:
        """The most memory that a gradient takes above what lies there between steps, in bytes."""
        arms = self._arms()
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak is forgotten
        before = _status("VmRSS")
        arms.gradient(arm, batch)
        most = _status("VmHWM")
        arms.drop()
        return {"before": before, "peak": most - before}

    def rate(self, tokens: int, rows: int, vocabulary: int) -> dict[str, Any]:
        """Operations a second of the model's matrix products, one after another."""
        from .work import product_rate

        return {"rate": product_rate(tokens, rows, vocabulary)}

    def _arms(self) -> SomeArms:
        if self.arms is None:
            raise RuntimeError("nothing is loaded")
        return self.arms


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


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
