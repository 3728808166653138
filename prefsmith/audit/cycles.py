"""Which comparisons lie on a cycle, among very many."""

from typing import NamedTuple

import numpy as np

MOST_NODES = 2000
"""Completions of a prompt up to which its triples are counted, and what lies between two cycles is told from them."""


class Cycles(NamedTuple):
    """What goes round.

    Args:
        edges: which edges lie on a cycle, a mask.
        cyclic: triples of completions that beat each other round and round, of the prompts that have cycles.
        transitive: triples of theirs that were all compared and are in order.
    """

    edges: np.ndarray
    cyclic: int
    transitive: int


def find_cycles(better: np.ndarray, worse: np.ndarray, prompts: np.ndarray) -> Cycles:
    """Look for cycles among completions of the same prompt.

    Args:
        better: of each edge, the node that wins.
        worse: of each edge, the node that loses; every two nodes have one edge at most.
        prompts: of each edge, its prompt.
    """
    core = _core(better, worse)
    found = np.zeros(len(better), dtype=bool)
    wanted = np.unique(prompts[core])
    order = np.argsort(prompts, kind="stable")
    starts, ends = (np.searchsorted(prompts[order], wanted, side) for side in ("left", "right"))
    cyclic = whole = 0
    for start, end in zip(starts, ends, strict=True):
        edges = order[start:end]
        names, places = np.unique(np.r_[better[edges], worse[edges]], return_inverse=True)
        sources, targets = places[: len(edges)], places[len(edges) :]
        if len(names) > MOST_NODES:
            found[np.intersect1d(edges, core)] = True
            continue
        beats = np.zeros((len(names), len(names)), dtype=np.float32)
        beats[sources, targets] = 1
        found[edges] = _reached(beats)[targets, sources]
        either = beats + beats.T
        cyclic += round(float(np.einsum("ij,ji->", beats @ beats, beats, dtype=np.float64)) / 3)
        whole += round(float(np.einsum("ij,ji->", either @ either, either, dtype=np.float64)) / 6)
    return Cycles(found, cyclic, whole - cyclic)


def _core(better: np.ndarray, worse: np.ndarray) -> np.ndarray:
    """Edges that are left when whoever never loses or never wins is taken out again and again."""
    left = np.arange(len(better))
    while len(left):
        through = np.intersect1d(better[left], worse[left])
        kept = left[np.isin(better[left], through) & np.isin(worse[left], through)]
        if len(kept) == len(left):
            break
        left = kept
    return left


def _reached(beats: np.ndarray) -> np.ndarray:
    """Which node is reached from which over any number of edges."""
    reached = beats > 0
    for _ in range(int(np.ceil(np.log2(max(len(beats), 2))))):
        steps = reached.astype(np.float32)
        reached |= steps @ steps > 0
    return reached
