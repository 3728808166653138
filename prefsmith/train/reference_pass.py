"""The reference's log-probabilities of all rows, before the first step: looked up where they are known, else computed.

They are kept twice. A folder that runs share has a file for every pass that computed something; the run's own file has
exactly what the run uses, so that it resumes to the bit whatever happens to the folder.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefsmith.config import RunConfig
from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.encoded_rows import Selection
from prefsmith.data.pack import pack
from prefsmith.errors import TrainingError
from prefsmith.files import cache_root
from prefsmith.model.cached import CachedReference
from prefsmith.model.nats import NatsTable, digest_of_facts, key_of, read_table, write_table
from prefsmith.model.score import Frozen
from prefsmith.train.parallel import ALONE, Ranks

FILE_TOKENS = 4_000_000
"""Tokens after which what was computed is written, so that a pass that is stopped goes on from there."""
SILENCE = 20.0
"""Seconds between two lines about a long pass."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """Log-probabilities that runs share: one folder per model and way to run it, in it a file per pass.

    Args:
        root: of the cache.
        facts: what the numbers are of.
    """

    root: Path
    facts: Mapping[str, object]

    @property
    def folder(self) -> Path:
        """Where the files of this model are."""
        return self.root / "reference" / digest_of_facts(self.facts)[:32]

    def read(self, say: Say) -> NatsTable:
        """All that is known. A file that cannot be trusted is told of, put aside, and not used."""
        known = NatsTable()
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                known.join(read_table(path, self.facts))
            except (ValueError, OSError) as error:
                say(f"warning: {path} is not used: {error}")
                _put_aside(path)
        return known

    def add(self, table: NatsTable, say: Say) -> None:
        """Keep numbers for later runs; a disk that is full costs them, not the run."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_table(self.folder / f"{table.digest()[:32]}.safetensors", table, self.facts)
        except OSError as error:
            say(f"warning: the reference's log-probabilities are not kept for other runs: {error}")


def _put_aside(path: Path) -> None:
    try:
        path.rename(path.with_suffix(".damaged"))
    except OSError:
        return  # it stays, and will be told of again


def ask(
    reference: Frozen | None,
    groups: Sequence[EncodedGroup],
    config: RunConfig,
    identity: dict[str, Any],
    *,
    folder: Path,
    say: Say,
    ranks: Ranks,
) -> None:
    """Ask a cached reference all that it will be asked, before anything moves; others are asked as they are needed.

    Args:
        reference: of any kind.
        groups: all rows of the run, trained on and held out.
        config: of the run, with a settled token budget.
        identity: digests that say what the run is of; that of the numbers joins them.
        folder: of the run.
        say: is given a line at a time.
        ranks: the processes of the run.
    """
    if not isinstance(reference, CachedReference):
        return
    sha256 = str(identity.get("reference", identity["model"]))
    root = Path(config.reference.cache).expanduser() if config.reference.cache else cache_root()
    identity["reference's log-probabilities"] = settle(
        reference,
        groups,
        token_budget=config.train.budget,
        own=folder / "reference.safetensors",
        shared=SharedFolder(root, reference.facts(sha256)),
        say=say,
        ranks=ranks,
    )


def settle(
    reference: CachedReference,
    groups: Sequence[EncodedGroup],
    *,
    token_budget: int,
    own: Path,
    shared: SharedFolder,
    say: Say,
    ranks: Ranks = ALONE,
) -> str:
    """Let the reference know every completion of the groups, and close it.

    Args:
        reference: as it stands before the first step.
        groups: all rows of the run, trained on and held out.
        token_budget: most tokens of a forward.
        own: the run's file.
        shared: where other runs may have left numbers, and this one leaves its own.
        say: is given a line at a time.
        ranks: the processes of the run. Each scores its share, and all know everything.

    Returns:
        A digest of the numbers.

    Raises:
        TrainingError: a log-probability is not finite, or the run's file cannot be written.
    """
    started = time.perf_counter()
    wanted = {key for group in groups for key in _keys(group)}
    reference.table.join(ranks.from_first(lambda: _own(own, shared.facts, say)))
    before = _missing(groups, reference.table)
    if before:
        reference.table.join(ranks.from_first(lambda: shared.read(say)))
    missing = _missing(groups, reference.table)
    _compute(reference, missing, token_budget, shared, say, ranks)
    reference.table = reference.table.only(wanted)
    if before:
        ranks.from_first(lambda: _write_own(own, reference.table, shared.facts))
    reference.close()
    computed = len({key for group in missing for key in _keys(group)})
    seconds = f", {computed:,} of them computed now in {time.perf_counter() - started:.1f} s" if computed else ""
    say(f"  reference: log-probabilities of {len(wanted):,} completions are known{seconds}")
    return reference.table.digest()


def _write_own(path: Path, table: NatsTable, facts: Mapping[str, object]) -> None:
    try:
        write_table(path, table, facts)
    except OSError as error:
        what, fix = f"the run's folder cannot be written: {error.strerror}", "make room, or choose another --out"
        raise TrainingError("run.write", what, where=str(path), fix=fix) from error


def _keys(group: EncodedGroup) -> list[bytes]:
    return [key_of(group.prompt, each.ids, each.unscored) for each in group.completions]


def _missing(groups: Sequence[EncodedGroup], known: NatsTable) -> Selection:
    places = [place for place, group in enumerate(groups) if any(key not in known for key in _keys(group))]
    return Selection([groups], places)


def _own(path: Path, facts: Mapping[str, object], say: Say) -> NatsTable:
    try:
        return read_table(path, facts)
    except FileNotFoundError:
        return NatsTable()
    except (ValueError, OSError) as error:
        say(f"warning: {path} is not used: {error}")
        return NatsTable()


def _require_finite(table: NatsTable, groups: Sequence[EncodedGroup]) -> None:
    """Before anything is kept: other runs would read it long after whatever was wrong is mended."""
    wrong = [group.group.source for group in groups if not bool(table.get(_keys(group)).isfinite().all())]
    if wrong:
        what = "the reference's log-probability is not finite before the first step; it is not kept for other runs"
        where = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        fix = "the reference's weights, these rows or the device are damaged; where they are sound, run it again"
        raise TrainingError("train.nonfinite", what, where=where, fix=fix)


def _compute(
    reference: CachedReference,
    missing: Sequence[EncodedGroup],
    token_budget: int,
    shared: SharedFolder,
    say: Say,
    ranks: Ranks,
) -> None:
    """The largest micro-batches first, as `plan` sorts them: what does not fit fails at once.

    Raises:
        TrainingError: a log-probability is not finite.
    """
    fresh: list[bytes] = []
    own: list[bytes] = []
    tokens, told = 0, time.perf_counter()
    for number, turn in enumerate(turns := ranks.turns(missing, token_budget)):
        groups = [missing[index] for index in turn.members]
        batch = pack(groups, mismatched=False)
        reference.remember(batch)
        _require_finite(reference.table, groups)
        fresh += [key for group in groups for key in _keys(group)]
        tokens += len(batch.ids)
        if tokens >= FILE_TOKENS or number == len(turns) - 1:
            shared.add(reference.table.only(fresh), say)
            own += fresh
            fresh, tokens = [], 0
        if time.perf_counter() - told > SILENCE:
            say(f"  reference: {number + 1:,} of {len(turns):,} micro-batches are scored")
            told = time.perf_counter()
    for theirs in ranks.gather(None if ranks.alone else reference.table.only(own)):
        if theirs is not None:
            reference.table.join(theirs)
