"""Whether the controlled experiment came out as theory says it must: V1 to V3 on every point, A1 to A5 on the mean.

Two numbers are called equal where they are less than three standard errors and 0.10 nats apart. What the experiment
was not asked to train is not tested, and the check says so.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from prefsmith.evaluate.frontier import Best
from prefsmith.evaluate.points import Arm, Average, Point, averages, endpoints, over_seeds
from prefsmith.stats import Z95, Mean

ERRORS, MARGIN = 3.0, 0.10
EFFICIENT = {("dpo", 1.0): 0.88, ("dpo", 0.3): 0.80, ("ipo", 0.1): 0.80, ("kto", 1.0): 0.82}
"""By method and beta (tau for ipo): the least share of what its KL can buy that its reward is."""
CLOSE_BETAS = (1.0, 3.0)
"""Of DPO: where the data suffice to come close to the closed form."""
KL_SHARE, KL_MARGIN, KL_DISTANCE = 0.20, 0.03, 0.25
"""Of the closed form's KL: for reinforcement learning a share and nats, for DPO nats."""
LARGEST_N = 16
TIMES = 3.0
LENGTH, ENDED = 0.25, 0.95


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known of a seed's reference before anything is trained.

    Args:
        reward: of its samples, those that the frontier is computed from.
        curve: the frontier, from KL 0 on.
        at: the tilted reference by beta.
    """

    reward: Mean
    curve: Sequence[Best]
    at: Mapping[float, Best]


@dataclass(frozen=True, slots=True)
class Check:
    """A criterion and what became of it.

    Args:
        name: V1 to A5.
        claim: what has to hold.
        passed: whether it does; None where nothing tests it.
        found: the numbers.
    """

    name: str
    claim: str
    passed: bool | None
    found: str

    @property
    def word(self) -> str:
        """In a word or two."""
        return {True: "holds", False: "FAILS", None: "not tested"}[self.passed]


@dataclass(frozen=True, slots=True)
class _Part:
    """One comparison of a criterion: its numbers, whether it holds, and how near it is to failing."""

    found: str
    holds: bool
    near: float = 0.0


def checks(points: Sequence[Point], grounds: Mapping[int, Ground]) -> list[Check]:
    """Every criterion.

    Args:
        points: of all arms, steps and seeds. The reference's own, before any training, has step 0.
        grounds: by seed.
    """
    table = Table(points, grounds)
    return [
        _check(name, claim, list(parts(table)), every=every)
        for name, claim, parts, every in (
            ("V1", "no point lies above the frontier", _none_above, False),
            ("V2", "both estimates of the KL agree, and a policy has none to itself", _estimates_agree, False),
            ("V3", "training starts at KL 0 and the reference's reward", _start, False),
            ("A1", "on-policy learning on the true reward ends where the closed form says", _on_policy, True),
            ("A2", "DPO: less beta goes further; close to the frontier, and to the closed form", _dpo, True),
            ("A3", "IPO, KTO and best-of-n are close to the frontier", _others, True),
            ("A4", "DPO outdoes fine-tuning on chosen, and unlikelihood at its KL", _baselines, True),
            ("A5", "answers end, and DPO and IPO keep their length", _stable, False),
        )
    ]


class Table:
    """The points as criteria and findings ask for them.

    Args:
        points: of all arms, steps and seeds.
        grounds: by seed.
    """

    def __init__(self, points: Sequence[Point], grounds: Mapping[int, Ground]) -> None:
        self.points, self.grounds = points, grounds
        self.averages = averages(points)
        self.ends = endpoints(self.averages)

    def of(self, method: str, **settings: float | str) -> list[Average]:
        """The last points of the method's arms that have these settings, largest beta first."""
        found = [
            each
            for each in self.ends
            if each.arm.method == method and all(each.arm.setting(key) == value for key, value in settings.items())
        ]
        return sorted(found, key=lambda each: -strength(each.arm))

    def closed(self, beta: float) -> Best:
        """The closed form at a beta, the mean over seeds."""
        found = [ground.at[beta] for ground in self.grounds.values()]
        return Best(beta, fmean(each.reward for each in found), fmean(each.kl for each in found))

    def start(self) -> Mean:
        """The reference's reward, the mean over seeds."""
        return over_seeds([ground.reward for ground in self.grounds.values()])

    def between(self, method: str, kl: float) -> Mean | None:
        """Reward of a method at a KL, by lines between the reference and its last points; None beyond them.

        The lines are straight in the root of KL, in which frontiers nearly are.
        """
        start = self.start()
        ends = sorted(((each.kl.value, each.reward) for each in self.of(method)), key=lambda each: each[0])
        for (left, low), (right, high) in pairwise([(0.0, start), *ends]):
            if left <= kl <= right and right > left:
                share = (math.sqrt(kl) - math.sqrt(left)) / (math.sqrt(right) - math.sqrt(left))
                value = low.value + share * (high.value - low.value)
                error = math.hypot((1 - share) * low.error, share * high.error)
                return Mean(value, value - Z95 * error, value + Z95 * error, min(low.n, high.n))
        return None


def strength(arm: Arm) -> float:
    """What turns nats into reward: beta, or IPO's tau; 0 where there is neither."""
    value = arm.setting("beta") or arm.setting("tau")
    return value if isinstance(value, float) else 0.0


def _check(name: str, claim: str, parts: Sequence[_Part], *, every: bool) -> Check:
    """A criterion of its comparisons; of many that hold, the nearest to failing is told."""
    if not parts:
        return Check(name, claim, None, "the recipe trains nothing that tests it")
    failed = [part for part in parts if not part.holds]
    shown = failed or (parts if every else [max(parts, key=lambda part: part.near)])
    more = f" (the nearest of {len(parts):,})" if not failed and not every and len(parts) > 1 else ""
    if failed:
        more = f" ({len(failed)} of {len(parts):,})"
    return Check(name, claim, not failed, "; ".join(part.found for part in shown[:12]) + more)


def _none_above(table: Table) -> Iterator[_Part]:
    for point in table.points:
        room = ERRORS * point.error + MARGIN
        above = -point.below
        yield _Part(f"{_where(point)}: {above:+.3f}, allowed {room:.3f}", above <= room, above - room)


def _estimates_agree(table: Table) -> Iterator[_Part]:
    for point in table.points:
        kl = point.sequence_kl
        if kl is None:
            continue
        if point.step == 0:
            exact = kl.averaged.value == 0 == kl.sampled.value
            yield _Part(f"{_where(point)}: {kl.averaged.value:g} and {kl.sampled.value:g}", exact, -math.inf)
            continue
        gap, room = abs(kl.gap.value), ERRORS * kl.gap.error + MARGIN
        found = f"{_where(point)}: {kl.averaged.value:.3f} and {kl.sampled.value:.3f}, allowed {room:.3f} apart"
        yield _Part(found, gap <= room, gap - room)


def _start(table: Table) -> Iterator[_Part]:
    for point in table.points:
        if point.step == 0 and point.sequence_kl is not None:
            ground = table.grounds[point.seed].reward
            room = ERRORS * math.hypot(point.reward.error, ground.error) + MARGIN
            gap = abs(point.reward.value - ground.value)
            found = f"seed {point.seed}: KL {point.kl.value:g}, reward {point.reward.value:.3f} and {ground.value:.3f}"
            yield _Part(found, point.kl.value == 0 and gap <= room, gap - room)


def _on_policy(table: Table) -> Iterator[_Part]:
    for end in table.of("rloo", reward="task"):
        closed = table.closed(strength(end.arm))
        near = abs(end.reward.value - closed.reward) <= ERRORS * end.reward.error + MARGIN
        room = KL_SHARE * closed.kl + KL_MARGIN + ERRORS * end.kl.error
        yield _Part(_beside(end, closed), near and abs(end.kl.value - closed.kl) <= room)


def _dpo(table: Table) -> Iterator[_Part]:
    ends = table.of("dpo")
    for closer, farther in pairwise(ends):
        holds = closer.kl.value < farther.kl.value and closer.reward.value < farther.reward.value
        found = f"{closer.arm} to {strength(farther.arm):g}: KL {closer.kl.value:.2f} to {farther.kl.value:.2f}, "
        yield _Part(f"{found}reward {closer.reward.value:.2f} to {farther.reward.value:.2f}", holds)
    yield from _efficient(ends)
    for end in ends:
        if strength(end.arm) in CLOSE_BETAS:
            closed = table.closed(strength(end.arm))
            near = abs(end.reward.value - closed.reward) <= ERRORS * end.reward.error + MARGIN
            yield _Part(_beside(end, closed), near and abs(end.kl.value - closed.kl) <= KL_DISTANCE)


def _others(table: Table) -> Iterator[_Part]:
    yield from _efficient([*table.of("ipo"), *table.of("kto")])
    for end in table.of("best_of_n", reward="task"):
        n = end.arm.setting("n")
        if not isinstance(n, float) or n > LARGEST_N:
            continue
        most = max(point.most_kl or 0.0 for point in end.points)
        near = abs(end.below) <= ERRORS * end.error + MARGIN
        found = f"best of {n:g}: {end.below:.3f} below the frontier, KL {end.kl.value:.3f} of at most {most:.3f}"
        yield _Part(found, near and end.kl.value <= most + 1e-9)


def _efficient(ends: Sequence[Average]) -> Iterator[_Part]:
    for end in ends:
        least = EFFICIENT.get((end.arm.method, strength(end.arm)))
        share = end.efficiency
        if least is not None and share is not None:
            yield _Part(f"{end.arm}: efficiency {share:.3f}, at least {least:g}", share >= least)


def _baselines(table: Table) -> Iterator[_Part]:
    ends, tuned = table.of("dpo"), table.of("sft")
    if ends and tuned:
        best = max(end.reward.value for end in ends)
        theirs = max(each.reward.value for each in table.averages if each.arm.method == "sft")
        found = f"best reward {best:.2f}, at least {TIMES:g} times {theirs:.2f} of fine-tuning on chosen"
        yield _Part(found, best >= TIMES * theirs)
    unlike: list[Average] = [each for each in table.of("unlikelihood") if each.arm.setting("alpha") == 0.5]
    for end in (*tuned, *unlike) if ends else ():
        ours = table.between("dpo", end.kl.value)
        if ours is not None:
            room = 2 * math.hypot(ours.error, end.reward.error)
            found = f"at KL {end.kl.value:.2f} DPO {ours.value:.2f}, {end.arm} {end.reward.value:.2f}, noise {room:.2f}"
            yield _Part(found, ours.value >= end.reward.value - room)


def _stable(table: Table) -> Iterator[_Part]:
    lengths = {each.seed: each.tokens for each in table.points if each.step == 0 and each.sequence_kl is not None}
    for point in table.points:
        if point.ended is not None:
            share = point.ended.value
            yield _Part(f"{_where(point)}: {share:.1%} of the answers end", share >= ENDED, ENDED - share)
        usual = lengths.get(point.seed)
        if point.tokens is not None and usual is not None and point.arm.method in ("dpo", "ipo"):
            change = point.tokens.value / usual.value - 1
            found = f"{_where(point)}: {point.tokens.value:.1f} tokens, the reference {usual.value:.1f}"
            yield _Part(found, abs(change) <= LENGTH, abs(change) - LENGTH)


def _where(point: Point) -> str:
    step = f", step {point.step}" if point.step else ""
    return f"{point.arm}{step}, seed {point.seed}"


def _beside(end: Average, closed: Best) -> str:
    return f"{end.arm}: reward {end.reward.value:.3f} of {closed.reward:.3f}, KL {end.kl.value:.3f} of {closed.kl:.3f}"
