"""Bradley and Terry's model for a crowd: strengths of answers and reliability of annotators, found together."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from prefsmith.feedback.aggregate.aggregate import Aggregate
from prefsmith.feedback.aggregate.bradley_terry import prob_of
from prefsmith.feedback.aggregate.components import Items, components
from prefsmith.feedback.aggregate.information import slack_of
from prefsmith.feedback.aggregate.panel import SECOND, TIE, OfVotes, Panel, PerAnnotator, PerVote
from prefsmith.feedback.aggregate.reliability import likeliest

ROUNDS = 2000
_STILL = 1e-6
_LEAST = 1e-9
_NEWTON = 4
FOLLOWS = "probability of saying what the strengths say, and not the reverse"
Strengths = Float64[np.ndarray, " item"]


@dataclass(frozen=True, slots=True)
class _Said:
    """Votes as wins: a tie is half a win each way."""

    better: OfVotes
    worse: OfVotes
    annotator: OfVotes
    weight: PerVote


def crowd_bradley_terry(panel: Panel, *, pseudo: float = 2.0, ridge: float = 0.1) -> Aggregate:
    """Annotator k says what Bradley and Terry's model says with probability eta_k, and else the reverse.

        P(k says i > j) = eta_k s(s_i - s_j) + (1 - eta_k) s(s_j - s_i),   p = s(s_first - s_second)

    eta_k is in [0, 1]: 1 follows the strengths, 1/2 says nothing, and below 1/2 is an adversary, whose votes count in
    reverse. A tie counts as half a vote each way. The likelihood is the same with all strengths and all eta turned
    round; the solution is the one near most votes. Found by expectation and maximisation in turn: each vote is straight
    or reversed, and eta_k is the share of straight ones, drawn to the mean of all by `pseudo` votes.

    Args:
        panel: the votes, of two annotators at least.
        pseudo: votes that draw each eta to the mean of all, at least 0.
        ridge: pull of each strength to the mean of those it is connected with, per nat squared, above 0.

    Source:
        Chen et al. 2013, WSDM, section 4; it holds the strengths by games against a virtual item, here by `ridge`.
    """
    said = _wins(panel)
    blocks = _blocks(panel, said)
    total = np.bincount(said.annotator, weights=said.weight, minlength=len(panel.names))
    strengths = np.zeros(int(panel.items.max(initial=-1)) + 1)
    straight, rounds, moved = np.ones(len(said.better)), 0, 1.0
    eta = np.ones(len(panel.names))
    while moved >= _STILL and rounds < ROUNDS:
        rounds += 1
        before = strengths.copy()
        for each in blocks:
            strengths[each.items] = _fit(strengths, each, said, straight, ridge)
        eta = _eta(panel, said, strengths, eta if rounds > 1 else None, total, pseudo)
        straight = _straight(said, strengths, eta)
        moved = float(np.abs(strengths - before).max(initial=0.0))
    follows = _follows(said, strengths)
    slack = slack_of(said.better, said.worse, said.annotator, said.weight, strengths, eta, ridge)
    return Aggregate(
        prob=prob_of(panel, strengths),
        reliability=likeliest(said.annotator, follows, 1 - follows, said.weight, panel, FOLLOWS, 0.5, slack),
        strengths=strengths,
        rounds=rounds,
        converged=moved < _STILL,
    )


def _wins(panel: Panel) -> _Said:
    first, second = panel.items[panel.pair].T
    tie = panel.said == TIE
    better, worse = np.where(panel.said == SECOND, second, first), np.where(panel.said == SECOND, first, second)
    weight = np.where(tie, 0.5, 1.0)
    return _Said(
        np.concatenate([better, worse[tie]]),
        np.concatenate([worse, better[tie]]),
        np.concatenate([panel.annotator, panel.annotator[tie]]),
        np.concatenate([weight, weight[tie]]),
    )


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Groups of connected answers that are as many each, so that their equations are solved together.

    Args:
        items: of each block.
        better: of each win among them, the answer's place in its block.
        worse: likewise.
        block: of each win.
        wins: their numbers among all.
    """

    items: Int[np.ndarray, "block place"]
    better: OfVotes
    worse: OfVotes
    block: OfVotes
    wins: OfVotes


def _blocks(panel: Panel, said: _Said) -> list[_Blocks]:
    total = int(panel.items.max(initial=-1)) + 1
    by_size: dict[int, list[Items]] = {}
    for items, _ in components(panel):
        by_size.setdefault(len(items), []).append(items)
    made = list[_Blocks]()
    for found in by_size.values():
        items = np.stack(found)
        block, place = np.full(total, -1), np.zeros(total, dtype=np.int64)
        block[items], place[items] = np.arange(len(items))[:, None], np.arange(items.shape[1])
        wins = np.flatnonzero(block[said.better] >= 0)
        better, worse = said.better[wins], said.worse[wins]
        made.append(_Blocks(items, place[better], place[worse], block[better], wins))
    return made


def _fit(
    strengths: Strengths, of: _Blocks, said: _Said, straight: PerVote, ridge: float
) -> Float64[np.ndarray, "block place"]:
    """Newton's steps on the log-likelihood of wins, each straight or reversed in part; it is concave.

    Returns:
        Strengths of the blocks' answers, in the shape of `of.items`.
    """
    blocks, size = of.items.shape
    better, worse = of.block * size + of.better, of.block * size + of.worse
    weight, share = said.weight[of.wins], straight[of.wins]
    now = strengths[of.items].ravel()
    diagonal = np.arange(size)
    for _ in range(_NEWTON):
        chance = np.exp(-np.logaddexp(0, now[worse] - now[better]))
        pull, bend = weight * (share - chance), weight * chance * (1 - chance)
        gradient = np.bincount(better, pull, len(now)) - np.bincount(worse, pull, len(now)) - ridge * now
        between = np.bincount(better * size + of.worse, bend, blocks * size * size).reshape(blocks, size, size)
        curvature = -between - between.transpose(0, 2, 1)
        own = np.bincount(better, bend, len(now)) + np.bincount(worse, bend, len(now)) + ridge
        curvature[:, diagonal, diagonal] = own.reshape(blocks, size)
        step = np.linalg.solve(curvature, gradient.reshape(blocks, size, 1))[..., 0]
        largest = np.abs(step).max(axis=1, keepdims=True)
        now = now + (step * np.minimum(1.0, 2.0 / np.maximum(largest, 1e-12))).ravel()
    return now.reshape(blocks, size)


def _follows(said: _Said, strengths: Strengths) -> PerVote:
    """The chance of each win by the strengths."""
    return np.exp(-np.logaddexp(0, strengths[said.worse] - strengths[said.better]))


def _straight(said: _Said, strengths: Strengths, eta: PerAnnotator) -> PerVote:
    """The chance that each vote was meant as it was said."""
    follows, own = _follows(said, strengths), eta[said.annotator]
    return own * follows / (own * follows + (1 - own) * (1 - follows))


def _eta(
    panel: Panel, said: _Said, strengths: Strengths, eta: PerAnnotator | None, total: PerAnnotator, pseudo: float
) -> PerAnnotator:
    """The share of straight votes; at first, of votes that follow the strengths."""
    straight = _follows(said, strengths) if eta is None else _straight(said, strengths, eta)
    sums = np.bincount(said.annotator, weights=said.weight * straight, minlength=len(panel.names))
    return np.clip((sums + pseudo * sums.sum() / total.sum()) / (total + pseudo), _LEAST, 1 - _LEAST)
