"""How long something takes, and how much memory: of a process on a CPU, or of a GPU."""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Meter(Protocol):
    """What both have in common."""

    def seconds(self, work: Callable[[], object]) -> float:
        """That the work took."""
        ...

    def peak(self, work: Callable[[], object]) -> int:
        """The most bytes that the work took above what was there before."""
        ...


class ProcessMeter:
    """CPU seconds and resident memory of this process."""

    def seconds(self, work: Callable[[], object]) -> float:
        """That the work took."""
        started = time.process_time()
        work()
        return time.process_time() - started

    def peak(self, work: Callable[[], object]) -> int:
        """The most bytes that the work took above what was there before."""
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak is forgotten
        before = _status("VmRSS")
        work()
        return _status("VmHWM") - before


class DeviceMeter:
    """Seconds between two events on the GPU, and what PyTorch's allocator has given away."""

    def seconds(self, work: Callable[[], object]) -> float:
        """That the work took, what it waits for on the CPU with it."""
        import torch

        torch.cuda.synchronize()
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        work()
        last.record()
        torch.cuda.synchronize()
        return first.elapsed_time(last) / 1000

    def peak(self, work: Callable[[], object]) -> int:
        """The most bytes that the work took above what was there before."""
        import torch

        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
