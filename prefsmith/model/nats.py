"""Log-probabilities of completions by what they are: a table in memory, and the file that holds it."""

import hashlib
import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from prefsmith.files import write_durably
from prefsmith.types import Batch, TokenNats

FORMAT = 1
KEY_BYTES = 16


def key_of(prompt: Sequence[int], completion: Sequence[int], unscored: int) -> bytes:
    """What a completion's log-probabilities depend on beside the model, as a digest.

    Args:
        prompt: ids in front.
        completion: ids behind them; the border counts, since tokens in front of it are not scored.
        unscored: how many of the completion's first ids are not scored either.
    """
    return _key(array("q", prompt).tobytes(), array("q", completion).tobytes(), unscored)


def keys_of(batch: Batch) -> list[bytes]:
    """The key of every completion of a batch."""
    ids, ends = batch.ids.cpu().numpy(), batch.prompts.tolist()
    lengths = batch.scored_per_seq().tolist()
    keys = []
    for (group, start, end), scored in zip(batch.completions.tolist(), lengths, strict=True):
        trunk_start, trunk_end = ends[group]
        keys.append(_key(ids[trunk_start:trunk_end].tobytes(), ids[start:end].tobytes(), end - start - scored))
    return keys


def _key(prompt: bytes, completion: bytes, unscored: int) -> bytes:
    digest = hashlib.blake2b(f"{len(prompt)}:{len(completion)}:{unscored}:".encode(), digest_size=KEY_BYTES)
    digest.update(prompt)
    digest.update(completion)
    return digest.digest()


class NatsTable:
    """Log-probabilities of the scored tokens of many completions, in nats, by key.

    Numbers are held in float32 where that loses nothing, as for every model that computes in float32 or below.
    """

    def __init__(self) -> None:
        self._runs: list[Float[Tensor, " scored"]] = []
        self._places: dict[bytes, tuple[int, int, int]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def put(self, keys: Sequence[bytes], lengths: Sequence[int], nats: Float[Tensor, " scored"]) -> None:
        """Add completions, one behind the other; what is known already stays as it is."""
        run, start = len(self._runs), 0
        self._runs.append(_narrowest(nats.detach().cpu()))
        for key, length in zip(keys, lengths, strict=True):
            self._places.setdefault(key, (run, start, start + length))
            start += length

    def get(self, keys: Sequence[bytes]) -> TokenNats:
        """The numbers of these completions, one behind the other, in float64.

        Raises:
            KeyError: one is not known.
        """
        spans = [self._places[key] for key in keys]
        return torch.cat([self._runs[run][start:end].double() for run, start, end in spans])

    def lengths(self, keys: Sequence[bytes]) -> list[int]:
        """Scored tokens of these completions."""
        return [end - start for _, start, end in map(self._places.__getitem__, keys)]

    def only(self, keys: Iterable[bytes]) -> "NatsTable":
        """A table of these completions alone, in the order of their keys: the same completions give the same bytes."""
        kept = sorted(set(keys))
        table = NatsTable()
        if kept:
            table.put(kept, self.lengths(kept), self.get(kept))
        return table

    def join(self, other: "NatsTable") -> None:
        """Add what another table knows and this one does not."""
        keys = [key for key in other._places if key not in self]
        if keys:
            self.put(keys, other.lengths(keys), other.get(keys))

    def columns(self) -> dict[str, Tensor]:
        """Keys, lengths and numbers, as a file holds them."""
        keys = list(self._places)
        raw = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8) if keys else torch.zeros(0).to(torch.uint8)
        nats = self.get(keys) if keys else torch.zeros(0, dtype=torch.float64)
        return {
            "keys": raw.reshape(-1, KEY_BYTES),
            "lengths": torch.tensor(self.lengths(keys), dtype=torch.int32),
            "nats": _narrowest(nats),
        }

    def digest(self) -> str:
        """sha256 of its columns."""
        return _digest(self.columns())


def write_table(path: Path, table: NatsTable, facts: Mapping[str, object]) -> None:
    """A file that is there whole or not at all; it says whose numbers they are.

    Raises:
        OSError: the disk is full or fails.
    """
    columns = table.columns()
    metadata = {"format": str(FORMAT), "facts": _in_words(facts), "sha256": _digest(columns)}
    write_durably(path, save(columns, metadata=metadata))


def read_table(path: Path, facts: Mapping[str, object]) -> NatsTable:
    """What `write_table` wrote, verified.

    Raises:
        ValueError: the file is damaged, of another version, of another model, or not finite; the message says which.
        FileNotFoundError: there is none.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            columns = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except SafetensorError as error:
        raise ValueError(f"it is damaged ({error})") from error
    if metadata.get("format") != str(FORMAT):
        raise ValueError(f"it is of format {metadata.get('format')}, and this version reads {FORMAT}")
    if metadata.get("facts") != _in_words(facts):
        raise ValueError("its numbers are those of another model")
    if columns.keys() != {"keys", "lengths", "nats"} or _digest(columns) != metadata.get("sha256"):
        raise ValueError("its digest is not that of its content")
    if not bool(columns["nats"].isfinite().all()):
        raise ValueError("it holds numbers that are not finite")
    table = NatsTable()
    table.put([bytes(row.tolist()) for row in columns["keys"]], columns["lengths"].tolist(), columns["nats"])
    return table


def _in_words(facts: Mapping[str, object]) -> str:
    return json.dumps(dict(facts), sort_keys=True, default=str)


def digest_of_facts(facts: Mapping[str, object]) -> str:
    """A name for what a model is and how it is run."""
    return hashlib.sha256(_in_words(facts).encode()).hexdigest()


def _narrowest(nats: Float[Tensor, " scored"]) -> Float[Tensor, " scored"]:
    narrow = nats.float()
    return narrow if torch.equal(narrow.double(), nats.double()) else nats.double()


def _digest(columns: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name in sorted(columns):
        column = columns[name].contiguous()
        total.update(f"{name} {column.dtype} {tuple(column.shape)}".encode())
        total.update(column.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
