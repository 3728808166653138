"""Texts that are nearly the same: signatures of their word triples, banded, and compared truly where a band agrees.

The signatures are MinHash of datasketch. Bands are found by sorting numpy arrays, for its index takes 2 GB per million
texts; of each signature 16 numbers of bands and a byte of each of its 64 values are kept, 128 bytes a text.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from prefsmith.audit.extra import absent

NEAR = 0.8
"""Share of two texts' word triples that both have, from which they are nearly the same."""
PERMUTATIONS, BANDS = 64, 16
"""Two texts at `NEAR` share a band with probability 0.9998."""
_EACH = PERMUTATIONS // BANDS
_LIKELY = 0.6  # estimated share below which a pair is not looked at: four standard deviations under `NEAR`
MOST_COMPARED = 200_000
"""Pairs that are compared truly: texts made from one template have many neighbours, and most are none."""
_NEIGHBOURS = 4  # in a band's order with which a text is compared, beside the first of the band

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_MIX = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], dtype=np.uint32)

Same = Callable[[int, int], bool]


def shingles(text: str) -> np.ndarray:
    """Hashes of the triples of words of a text, each once; of a shorter text one for all its words."""
    words = _WORD.findall(text.lower())
    hashes = np.array([zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], dtype=np.uint32)
    if not words:
        return hashes
    if len(words) < 3:
        return np.bitwise_xor.reduce(hashes * _MIX[: len(words)], keepdims=True)
    return np.unique((hashes[:-2] * _MIX[0]) ^ (hashes[1:-1] * _MIX[1]) ^ (hashes[2:] * _MIX[2]))


def shared(first: np.ndarray, second: np.ndarray) -> float:
    """The Jaccard index of two sets of shingles; 1 of two empty ones."""
    if not len(first) or not len(second):
        return float(len(first) == len(second))
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both / (len(first) + len(second) - both)


class Signer:
    """Makes signatures.

    Raises:
        ConfigError: datasketch is not installed.
    """

    def __init__(self) -> None:
        self._minhash = _minhash()

    def sign(self, of: np.ndarray) -> np.ndarray:
        """`PERMUTATIONS` numbers of a set of shingles, the largest there are where it is empty.

        The signature of two sets together is the smaller one, number by number.
        """
        self._minhash.clear()
        if len(of):
            self._minhash.update_batch(of.tolist())
        return self._minhash.hashvalues.astype(np.uint32)


def banded(signatures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What is kept of signatures.

    Returns:
        Numbers of bands, uint32 (text, band), and a byte of each value, uint8 (text, permutation).
    """
    table = np.stack(signatures) if signatures else np.empty((0, PERMUTATIONS), dtype=np.uint32)
    parts = table.reshape(-1, BANDS, _EACH)
    bands = np.bitwise_xor.reduce(parts * _MIX[:_EACH], axis=2)
    bands = bands ^ (bands >> np.uint32(15))
    return bands * _MIX[0], (table & 0xFF).astype(np.uint8)


class Clusters:
    """Texts joined to sets by a union of pairs.

    Args:
        size: how many texts.
    """

    def __init__(self, size: int) -> None:
        self._parents = np.arange(size)

    def roots(self) -> np.ndarray:
        """Of each text one that stands for its set."""
        parents = self._parents
        while not np.array_equal(parents, above := parents[parents]):
            parents = above
        self._parents = parents
        return parents

    def root(self, text: int) -> int:
        """The text that stands for the set of one."""
        while self._parents[text] != text:
            text = int(self._parents[text])
        return text

    def join(self, first: int, second: int) -> None:
        """Make one set of two."""
        low, high = sorted((self.root(first), self.root(second)))
        self._parents[high] = low


class Near(NamedTuple):
    """What is nearly the same.

    Args:
        roots: of each text, one that stands for its set; itself where it is alone.
        estimated: pairs that were joined by their signatures alone, when `MOST_COMPARED` were compared truly.
    """

    roots: np.ndarray
    estimated: int


def near_clusters(band: Callable[[int], np.ndarray], sketches: np.ndarray, same: Same) -> Near:
    """Find texts that are nearly the same.

    Args:
        band: the numbers of a band, of every text.
        sketches: a byte of each value of every signature.
        same: whether two texts are truly nearly the same.
    """
    clusters = Clusters(len(sketches))
    different = set[tuple[int, int]]()
    compared = estimated = 0
    for number in range(BANDS if len(sketches) > 1 else 0):
        pairs = _candidates(band(number), band((number + 1) % BANDS))
        roots = clusters.roots()
        pairs = pairs[roots[pairs[:, 0]] != roots[pairs[:, 1]]]
        shares = _estimates(sketches, pairs)
        likely = shares >= _LIKELY
        for (first, second), share in zip(pairs[likely].tolist(), shares[likely].tolist(), strict=True):
            if (first, second) in different or clusters.root(first) == clusters.root(second):
                continue
            truly = compared < MOST_COMPARED
            compared += 1
            if same(first, second) if truly else share >= NEAR:
                clusters.join(first, second)
                estimated += not truly
            elif truly:
                different.add((first, second))
    return Near(clusters.roots(), estimated)


def _candidates(band: np.ndarray, next_band: np.ndarray) -> np.ndarray:
    """Texts that agree in a band: each with the first of those that do, and with some that stand near it."""
    order = np.lexsort((next_band, band))
    values = band[order]
    starts = np.maximum.accumulate(np.where(np.r_[True, values[1:] != values[:-1]], np.arange(len(values)), 0))
    found = [(order[starts], order)]
    for step in range(1, _NEIGHBOURS + 1):
        agree = values[:-step] == values[step:]
        found.append((order[:-step][agree], order[step:][agree]))
    first, second = (np.concatenate(sides) for sides in zip(*found, strict=True))
    names = np.unique(np.minimum(first, second) * len(band) + np.maximum(first, second))
    pairs = np.stack(np.divmod(names, len(band)), axis=1)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def _estimates(sketches: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The share of triples that both texts of each pair have, estimated from the bytes of their signatures."""
    parts = np.array_split(pairs, max(1, len(pairs) // 100_000))
    return np.concatenate([(sketches[part[:, 0]] == sketches[part[:, 1]]).mean(axis=1) for part in parts])


@cache
def _minhash() -> Any:  # noqa: ANN401  datasketch has no types that say more
    try:
        from datasketch import MinHash
    except ImportError as error:
        raise absent("datasketch") from error
    return MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=_as_it_is, scheme="affine32")


def _as_it_is(value: int) -> int:
    return value
