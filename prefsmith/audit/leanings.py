"""How far labels lean to what is seen on the surface of an answer: each feature alone, and all of them together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float32, Int

from prefsmith.audit.audited import Audited
from prefsmith.audit.effects import Estimate, in_order, share, standardised
from prefsmith.audit.finding import EXAMPLES, Finding
from prefsmith.audit.probe import Probe, probe
from prefsmith.audit.severity import Severity
from prefsmith.audit.surface import LENGTHS, NAMES, REFUSAL

ROOM = 0.1
"""How far from one half a whole interval has to be, for a leaning that costs quality."""
OFTEN = 0.1
"""Share of the pairs that have to differ in a feature for it to matter."""
LEARNT = 0.7
"""Accuracy of the probe from which a model will learn the surface instead."""
PROBED = 20_000
"""Most pairs that the probe is fitted to."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
Z = NormalDist().inv_cdf(1 - 0.025 / len(NAMES))
"""Of intervals that hold for all features at once, by which a leaning is told from none."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The surface of both sides of decided pairs.

    Args:
        better: of the chosen side.
        worse: of the rejected side.
        prompt: number of the prompt.
        row: number of the row.
    """

    better: Float32[np.ndarray, "pair feature"]
    worse: Float32[np.ndarray, "pair feature"]
    prompt: Int[np.ndarray, " pair"]
    row: Int[np.ndarray, " pair"]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class Leaning:
    """One feature against the label.

    Args:
        name: of the feature.
        more: pairs of which the chosen side has more of it.
        less: pairs of which it has less.
        equal: pairs whose sides do not differ in it.
        share: `more` among pairs that differ.
        d: the standardised mean difference.
        told: the share again, with an interval that holds for all features at once.
    """

    name: str
    more: int
    less: int
    equal: int
    share: Estimate
    d: Estimate
    told: Estimate

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.more + self.less + self.equal

    @property
    def leans(self) -> bool:
        """Whether it is told from no leaning at all."""
        return self.told.beyond(0.5)

    @property
    def up(self) -> bool:
        """Whether chosen sides have more of it."""
        return self.more >= self.less

    @property
    def severity(self) -> Severity:
        """A warning where it is strong and frequent."""
        often = self.more + self.less >= OFTEN * self.pairs
        return "warning" if often and self.told.beyond(0.5, ROOM) else "note"

    def to_json(self) -> dict[str, object]:
        """As findings have it."""
        return {
            "feature": self.name,
            "chosen_more": self.more,
            "chosen_less": self.less,
            "equal": self.equal,
            "share": self.share.to_json(),
            "standardised_difference": self.d.to_json(),
            "told_from_none": self.leans,
        }


def leanings(compared: Compared, data: Audited, seed: int) -> Iterator[Finding]:
    """Length, formatting, refusals, and the probe of all."""
    found = {name: _leaning(compared, place) for place, name in enumerate(NAMES)}
    yield _length(compared, found, data)
    formatting = [each for name, each in found.items() if name not in (*LENGTHS, REFUSAL)]
    if any(each.more + each.less for each in formatting):
        yield _formatting(compared, formatting, data)
    if found[REFUSAL].more + found[REFUSAL].less:
        yield _refusals(compared, found[REFUSAL], data)
    yield from _surface(compared, seed)


def _leaning(compared: Compared, place: int) -> Leaning:
    chosen, rejected = compared.better[:, place], compared.worse[:, place]
    differs = chosen != rejected
    more = int((chosen > rejected).sum())
    hits, prompts = (chosen > rejected)[differs], in_order(compared.prompt[differs])
    return Leaning(
        name=NAMES[place],
        more=more,
        less=int(differs.sum()) - more,
        equal=int((~differs).sum()),
        share=share(hits, prompts),
        d=standardised(chosen, rejected, compared.prompt),
        told=share(hits, prompts, Z),
    )


def _finding(
    code: str, title: str, leaning: Leaning, *, severity: Severity, compared: Compared, data: Audited,
    effect: str, cure: str, numbers: dict[str, object],
) -> Finding:  # fmt: skip
    """A finding about the side that a leaning is to, with the pairs that differ most in it."""
    return Finding(
        kind="biased",
        code=f"biased.{code}",
        severity=severity,
        title=title,
        count=leaning.more if leaning.up else leaning.less,
        of=leaning.more + leaning.less,
        unit=f"pairs that differ in {_amount(leaning.name)}",
        effect=effect,
        cure=cure,
        examples=tuple(
            data.example(int(compared.row[pair]), _shown(compared, pair, leaning.name))
            for pair in _farthest(compared, leaning)
        ),
        numbers=numbers,
    )


def _length(compared: Compared, found: dict[str, Leaning], data: Audited) -> Finding:
    words = found["words"]
    longer = "longer" if words.up else "shorter"
    title = f"Chosen sides are {longer}" if words.leans else "Length hardly tells chosen from rejected"
    effect = f"log-probabilities are sums over tokens, so that a policy trained on these pairs writes {longer} answers"
    cure = (
        "train with a loss that takes length out (r_dpo, ld_dpo, simpo), and compare at equal length (eval winrate)"
        if words.leans
        else "nothing has to be done"
    )
    return _finding(
        "length", title, words, severity=words.severity, compared=compared, data=data,
        effect=effect if words.leans else "none that can be seen", cure=cure,
        numbers={
            "features": [found[name].to_json() for name in LENGTHS],
            "words": {side: _spread(values[:, 0]) for side, values in _sides(compared)},
            "histogram": _histogram(compared),
        },
    )  # fmt: skip


def _formatting(compared: Compared, found: Sequence[Leaning], data: Audited) -> Finding:
    strongest = max(found, key=lambda each: (each.severity == "warning", each.leans, _distance(each)))
    leans = strongest.leans
    title = (
        f"Chosen sides have {'more' if strongest.up else 'fewer'} {_amount(strongest.name)}"
        if leans
        else "Formatting hardly tells chosen from rejected"
    )
    effect = "a policy learns the marks before it learns what they are for, and a judge that likes them rewards that"
    cure = "compare answers of one format, or take the marks out of both sides; see the table for the other features"
    return _finding(
        "formatting", title, strongest, severity=strongest.severity, compared=compared, data=data,
        effect=effect if leans else "none that can be seen", cure=cure if leans else "nothing has to be done",
        numbers={"features": [each.to_json() for each in found]},
    )  # fmt: skip


def _refusals(compared: Compared, found: Leaning, data: Audited) -> Finding:
    title = f"Chosen sides {'refuse' if found.up else 'comply'} more often" if found.leans else (
        "Refusals hardly tell chosen from rejected"
    )  # fmt: skip
    effect = f"a policy trained on these pairs refuses {'more' if found.up else 'less'}, also where nobody wants it to"
    place = NAMES.index(REFUSAL)
    cure = "look at the examples: where both sides are harmless, a refusal should not win; add such pairs"
    return _finding(
        "refusals", title, found, severity=found.severity, compared=compared, data=data,
        effect=effect if found.leans else "none that can be seen",
        cure=cure if found.leans else "nothing has to be done",
        numbers={
            "features": [found.to_json()],
            **{side: int(values[:, place].sum()) for side, values in _sides(compared)},
        },
    )  # fmt: skip


def _surface(compared: Compared, seed: int) -> Iterator[Finding]:
    """How well all features together tell the label."""
    chosen = np.arange(len(compared))
    if len(compared) > PROBED:
        chosen = np.sort(np.random.default_rng(seed).choice(len(compared), PROBED, replace=False))
    differences = np.log1p(compared.better[chosen]) - np.log1p(compared.worse[chosen])
    found = probe(differences, in_order(compared.prompt[chosen]), seed)
    if found is None or found.accuracy.value is None:
        return
    learnt = found.accuracy.value >= LEARNT and found.accuracy.beyond(0.5)
    title = "Surface features alone predict the label"
    yield Finding(
        kind="biased",
        code="biased.surface",
        severity="warning" if learnt else "note",
        title=title if learnt else f"How well {title[0].lower()}{title[1:]}",
        count=round(found.accuracy.value * found.pairs),
        of=found.pairs,
        effect="a model will learn them instead" if learnt else "what else tells the sides apart has to be learnt",
        cure="mend the strongest leanings above, then audit again" if learnt else "nothing has to be done",
        numbers=_probed(found, len(compared), seed),
    )


def _probed(found: Probe, pairs: int, seed: int) -> dict[str, object]:
    return {
        "accuracy": found.accuracy.to_json(),
        "weights": dict(zip(NAMES, found.weights, strict=True)),
        "pairs": found.pairs,
        "sampled_from": pairs,
        "prompts": found.prompts,
        "seed": seed,
        "learnt_from": LEARNT,
    }


def _distance(leaning: Leaning) -> float:
    """How far the nearer end of the interval is from one half; negative where one half is in it."""
    low, high = leaning.told.low, leaning.told.high
    return -1.0 if low is None or high is None else max(low - 0.5, 0.5 - high)


def _farthest(compared: Compared, leaning: Leaning) -> list[int]:
    """The pairs that differ most, in the direction of the leaning; the first of equals."""
    place = NAMES.index(leaning.name)
    apart = compared.better[:, place] - compared.worse[:, place]
    apart = apart if leaning.up else -apart
    order = np.argsort(-apart, kind="stable")[:EXAMPLES]
    return [int(pair) for pair in order if apart[pair] > 0]


def _shown(compared: Compared, pair: int, name: str) -> str:
    place = NAMES.index(name)
    if name == REFUSAL:
        return "chosen refuses" if compared.better[pair, place] else "rejected refuses"
    chosen, rejected = (f"{values[pair, place]:,.0f}" for values in (compared.better, compared.worse))
    return f"{_amount(name)}: chosen {chosen}, rejected {rejected}"


def _amount(name: str) -> str:
    return {"bold": "bold phrases", "code": "code marks", "refusal": "refusing"}.get(name, name)


def _sides(compared: Compared) -> list[tuple[str, np.ndarray]]:
    return [("chosen", compared.better), ("rejected", compared.worse)]


def _spread(values: np.ndarray) -> dict[str, float]:
    points = np.quantile(values, QUANTILES)
    named = {f"p{100 * level:02.0f}": float(point) for level, point in zip(QUANTILES, points, strict=True)}
    return {"mean": float(values.mean(dtype=np.float64)), **named, "most": float(values.max())}


def _histogram(compared: Compared) -> dict[str, object]:
    """Pairs by words of a side; a bin is half as wide again as the one before it."""
    most = float(max(compared.better[:, 0].max(), compared.worse[:, 0].max()))
    edges = [0, 1]
    while edges[-1] <= most:
        edges.append(max(edges[-1] + 1, round(edges[-1] * 1.5)))
    counts = {side: np.histogram(values[:, 0], edges)[0].tolist() for side, values in _sides(compared)}
    return {"edges": edges, **counts}
