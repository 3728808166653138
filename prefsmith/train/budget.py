"""Most tokens of a micro-batch: the number that the settings name, the most that memory holds, or a device's usual."""

import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from prefsmith.config import GPU_TOKENS, RunConfig
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.encoded_rows import EncodedRows
from prefsmith.data.pack import plan
from prefsmith.data.stream import Stream
from prefsmith.errors import ConfigError
from prefsmith.model.moving import MovingReference
from prefsmith.model.score import Frozen, Scorer
from prefsmith.model.score import Path as Route
from prefsmith.train.objective import Objective
from prefsmith.train.parallel import on_this_machine
from prefsmith.train.peak import computed_tokens, measured
from prefsmith.train.room import OutOfRoom, let_go, room_for

SHARE = 0.85
"""Of the memory that is left, so much is planned with: allocators lose some, and masks grow faster than rows."""
STEP = 64
"""An automatic budget is a multiple of it, where rows allow."""
KEY = "train.token_budget"
CPU_TOKENS = 1024
"""Where no budget is named. What a layer makes of more leaves the processor's caches: more time, more memory."""


def settle(
    config: RunConfig,
    objective: Objective,
    policy: Scorer,
    reference: Frozen | None,
    stream: Stream,
    held: Sequence[EncodedGroup],
    say: Callable[[str], None],
    *,
    known: int | None = None,
    device: torch.device | None = None,
) -> RunConfig:
    """The settings with a token budget that is a number, and holds every row.

    Args:
        config: the settings.
        objective: the loss terms.
        policy: the model to train.
        reference: what it is compared with.
        stream: the steps.
        held: the held-out rows.
        say: is told what was found.
        known: the number that was found when the run began.
        device: where the policy is going to be; None for where it is.

    Raises:
        ConfigError: a row is longer than the budget or takes more memory than there is, or nobody knows how much there
            is.
    """
    budget = config.train.token_budget
    longest = max((_longest(side) for side in (stream.groups, held) if len(side)), key=_own_tokens)
    tokens = _own_tokens(longest)
    if budget == "auto":
        budget = known or _found(config, objective, policy, reference, stream, held, say)
    elif budget is None:
        on = (device or policy.device).type
        budget = known or max(CPU_TOKENS if on == "cpu" else GPU_TOKENS, tokens)
    if tokens > budget:
        what = f"a row has {tokens} tokens, which is more than a micro-batch may have ({budget})"
        fix = f"train.token_budget={tokens}, or a lower data.max_length"
        raise ConfigError("train.token_budget", what, where=longest.group.source, fix=fix)
    return config.model_copy(
        update={"train": config.train.model_copy(update={"token_budget": budget, "memory_limit": None})}
    )


def _found(
    config: RunConfig,
    objective: Objective,
    policy: Scorer,
    reference: Frozen | None,
    stream: Stream,
    held: Sequence[EncodedGroup],
    say: Callable[[str], None],
) -> int:
    limit = None if config.train.memory_limit is None else round(config.train.memory_limit * 2**30)
    try:
        with room_for([stream.groups[0]]):
            line = measured(policy, reference, objective.asked, stream.groups)
    except OutOfRoom:
        line = None
    let_go()
    path, longest = policy.path, max(_own_tokens(_longest(side)) for side in (stream.groups, held) if len(side))
    room = SHARE * (_room(policy.device, limit) - _to_come(policy, reference))
    most = 0 if line is None else line.tokens_in(room)
    budget, needed = largest_budget(stream, path, most, longest)
    needed = max(needed, max(computed_tokens([group], path) for group in chain(stream.groups, held)))
    if line is None or needed > most:
        takes = "" if line is None else f": about {_size(line.at(needed))} where {_size(max(room, 0))} may be used"
        what = f"the rows need micro-batches of {needed} tokens, which do not fit into memory{takes}"
        fix = "train.activation_checkpointing=true, a lower data.max_length, or adapter.kind=lora"
        raise ConfigError("train.token_budget", what, where=KEY, fix=fix)
    say(
        f"  train.token_budget=auto: {budget:,} tokens; a micro-batch takes at most about {_size(line.at(needed))} "
        f"of {_size(room)} that may be used"
    )
    return budget


def largest_budget(stream: Stream, path: Route, most: int, least: int) -> tuple[int, int]:
    """The largest budget whose micro-batches compute no more than so many tokens, and the most that one then does.

    Args:
        stream: the steps, which are planned as training plans them.
        path: prompts count as often as it runs them.
        most: tokens that a micro-batch may compute.
        least: tokens of the longest row, which the budget holds in any case.
    """
    budget = _rounded(min(most, _largest_step(stream)), least)
    while (computed := largest_computed(stream, path, budget)) > most and budget > least:
        budget = _rounded(min(budget - 1, int(budget * max(0.5, most / computed))), least)
    return budget, computed


def largest_computed(stream: Stream, path: Route, budget: int) -> int:
    """Tokens that the largest micro-batch of the run computes."""
    return max(
        computed_tokens([groups[index] for index in members], path)
        for groups in _steps(stream)
        for members in plan(groups, budget)
    )


def _longest(groups: Sequence[EncodedGroup]) -> EncodedGroup:
    """The first of the rows with the most tokens."""
    sizes = groups.tokens if isinstance(groups, EncodedRows) else [_own_tokens(group) for group in groups]
    return groups[int(np.argmax(sizes))]


def _own_tokens(group: EncodedGroup) -> int:
    """Without mismatched answers, which carry no gradient."""
    return computed_tokens([group], "shared")


def _largest_step(stream: Stream) -> int:
    return max(sum(group.tokens for group in groups) for groups in _steps(stream))


def _steps(stream: Stream) -> Iterator[list[EncodedGroup]]:
    """The groups of each step without mismatched answers."""
    return ([stream.groups[member] for member in members] for _, members in stream.plan)


def _rounded(budget: int, least: int) -> int:
    return max(least, budget // STEP * STEP)


def _to_come(policy: Scorer, reference: Frozen | None) -> int:
    """Bytes that are not there yet and stay: gradients, AdamW's two averages, what a moving reference puts aside."""
    trained = sum(each.numel() * each.element_size() for each in policy.model.parameters() if each.requires_grad)
    moving = 0
    if isinstance(reference, MovingReference):
        moving = sum(4 * shape.numel() for shape in reference.average.shapes().values())
    return 3 * trained + moving


def _room(device: torch.device, limit: int | None) -> int:
    """Bytes that this process may still take. The processes of one computer share its memory; each has a GPU alone.

    Args:
        device: whose memory it is.
        limit: bytes that the run may take in all, on every GPU or on the computer; None for what is free.

    Raises:
        ConfigError: nobody knows how much is free.
    """
    if device.type == "cuda":
        taken = torch.cuda.memory_allocated(device)
        kept = torch.cuda.memory_reserved(device) - taken
        return torch.cuda.mem_get_info(device)[0] + kept if limit is None else limit - taken
    if limit is not None:
        return limit // on_this_machine() - resident_bytes()
    free = Machine().free_bytes() if device.type == "cpu" else None
    if free is None:
        what = f"it cannot be told how much memory is free on {device} of this machine"
        raise ConfigError("train.token_budget", what, where=KEY, fix="train.memory_limit says how many GiB there are")
    return free // on_this_machine()


def resident_bytes() -> int:
    """Memory that this process has now; the most that it had where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """Where Linux tells what is free: of the machine, and of the container that the process is in."""

    memory: Path = Path("/proc/meminfo")
    container: Path = Path("/sys/fs/cgroup")

    def free_bytes(self) -> int | None:
        """What a process may take without another one's giving way; None where it is not told."""
        told = [each for each in (self._machine(), self._container()) if each is not None]
        return min(told) if told else None

    def _machine(self) -> int | None:
        for key, value in self._pairs(self.memory):
            if key == "MemAvailable:":
                return int(value) * 1024
        return None

    def _container(self) -> int | None:
        """Files that were read are in its count, and go when room is needed."""
        try:
            most = (self.container / "memory.max").read_text().strip()
            taken = int((self.container / "memory.current").read_text())
        except OSError:
            return None
        files = {key: int(value) for key, value in self._pairs(self.container / "memory.stat")}
        return None if most == "max" else int(most) - taken + files.get("inactive_file", 0)

    @staticmethod
    def _pairs(path: Path) -> list[tuple[str, str]]:
        try:
            lines = [line.split() for line in path.read_text().splitlines()]
        except OSError:
            return []
        return [(line[0], line[1]) for line in lines if len(line) > 1]


def _size(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"
