"""On what it was measured."""

import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from .record import Where


def where(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Where:
    """This machine today, with the versions that the two processes said."""
    return Where(date.today().isoformat(), machine(), {**theirs, **ours})


def machine() -> str:
    """Processor, cores and memory in words."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"^model name\s*:\s*(.+)$", lines, re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"), re.M)
    gib = int(memory[1]) / 2**20 if memory else 0
    return f"{found[1].strip() if found else 'unknown processor'}, {os.cpu_count()} cores, {gib:.0f} GiB"
