"""What labels of several votes are worth in training: majority, shares, Dawid-Skene and robust_dpo on held-out debates.

    .venv/bin/python bench/uncertain_labels.py [--votes 2 5] [--ridge 0.01] [--seed 0] [--json FILE]

Votes and arguments are those of ukpconvarg, which lie beside the repository. Every debate is held out once. On the
others labels are made of the votes, and a linear Bradley-Terry model over words and surface features is trained on them
with the loss that prefsmith has for such labels: the margin of a pair is w (x_chosen - x_rejected). So what differs
between two lines is the labels and the loss. The held-out debate is judged by its strict gold, which is a majority of
weighed votes on pairs that are clear, and by its votes. Intervals are from draws of whole debates.
"""

import argparse
import gzip
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from prefsmith.data.votes.judgements import JudgedPair
from prefsmith.data.votes.read import read_judgements
from prefsmith.data.votes.texts import read_texts
from prefsmith.evaluate.bootstrap import Interval, clustered, ratio, ratio_difference
from prefsmith.evaluate.calibration import EDGES, expected_error
from prefsmith.feedback.aggregate.methods import METHODS
from prefsmith.feedback.aggregate.panel import Panel, panel
from prefsmith.methods.labels.facts import flip_rate

DATA = Path(__file__).parents[2] / "shared" / "data"
VOTES, TEXTS = "ukpconvarg_votes.jsonl.gz", "ukpconvarg_arguments.jsonl.gz"
FIRST_LINE = "majority"
WORDS = 2000
EVEN = 1e-9
FEWEST = 15
"""Votes of an annotator whose reliability is compared."""


@dataclass(frozen=True)
class Way:
    """Labels of one method, and how they are trained on."""

    name: str
    method: str
    hard: bool = False
    robust: bool = False


WAYS = (
    Way("majority", "majority", hard=True),
    Way("majority, robust_dpo", "majority", hard=True, robust=True),
    Way("share", "share"),
    Way("smoothed-share", "smoothed-share"),
    Way("dawid-skene", "dawid-skene"),
    Way("smoothed-dawid-skene", "smoothed-dawid-skene"),
    Way("smoothed-dawid-skene, hard", "smoothed-dawid-skene", hard=True),
    Way("glad", "glad"),
    Way("bradley-terry", "bradley-terry"),
    Way("crowd-bradley-terry", "crowd-bradley-terry"),
)


@dataclass(frozen=True)
class Debates:
    """All pairs with their texts; `gold` is 1, 0 or NaN, `share` the share of votes for the first."""

    pairs: list[JudgedPair]
    debate: np.ndarray
    gold: np.ndarray
    features: Callable[[np.ndarray], csr_matrix]
    share: np.ndarray


def main() -> None:
    """Print a table of the labels themselves, and one for each number of votes that they see."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, nargs="+", default=[2, 5], help="most votes of a pair that labels see")
    parser.add_argument("--ridge", type=float, default=0.01, help="half of it times |w|^2 is added to the mean loss")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--debates", type=int, help="only so many of them")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    if not (DATA / VOTES).exists():
        sys.exit(f"{DATA / VOTES} is not on this machine")
    data, found = load(options.debates), {}
    show_labels(data)
    for most in options.votes:
        start = time.perf_counter()
        found[str(most)] = rows = judge(data, most, options.ridge, options.seed)
        show(rows, most, data, time.perf_counter() - start)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


def load(debates: int | None) -> Debates:
    """Pairs whose two texts differ, with what is known of them."""
    judgements, texts = read_judgements(DATA / VOTES), read_texts(DATA / TEXTS)
    with gzip.open(DATA / VOTES) as file:
        gold = {row["id"]: row["strict_gold"] for row in map(json.loads, file)}
    pairs = [texts.of(pair) for pair in judgements.pairs]
    pairs = [pair for pair in pairs if pair.group.completions[0] != pair.group.completions[1]]
    names = [str(pair.group.prompt).split(": ")[0] for pair in pairs]
    number = {name: place for place, name in enumerate(sorted(set(names)))}
    debate = np.array([number[name] for name in names])
    kept = np.flatnonzero(debate < (debates or len(number)))
    pairs, debate = [pairs[place] for place in kept], debate[kept]
    known = np.array([{"a": 1.0, "b": 0.0, None: np.nan}[gold[pair.group.id]] for pair in pairs])
    share = METHODS["share"].apply(votes_of(pairs)).prob
    return Debates(pairs, debate, known, Features(pairs), share)


class Features:
    """Words by TF-IDF and what is seen at a glance; what is fitted is fitted to the arguments in training."""

    def __init__(self, pairs: list[JudgedPair]) -> None:
        sides = [[pair.group.completions[side].content for pair in pairs] for side in (0, 1)]
        self.texts = sorted({text for side in sides for text in side})
        number = {text: place for place, text in enumerate(self.texts)}
        self.sides = np.array([[number[text] for text in side] for side in sides])
        self.plain = np.array([at_a_glance(text) for text in self.texts])

    def __call__(self, trained: np.ndarray) -> csr_matrix:
        """First side less second side, of all pairs."""
        seen = np.unique(self.sides[:, trained])
        words = TfidfVectorizer(max_features=WORDS, sublinear_tf=True, ngram_range=(1, 2), min_df=2)
        words.fit([self.texts[place] for place in seen])
        spread = self.plain[seen].std(axis=0)
        scaled = self.plain / np.where(spread > 0, spread, 1.0)
        of_text = csr_matrix(hstack([words.transform(self.texts), csr_matrix(scaled)]))
        return csr_matrix(of_text[self.sides[0]] - of_text[self.sides[1]])


def at_a_glance(text: str) -> list[float]:
    """Length, long words, sentences, questions, shouting, capitals, numbers, links."""
    words = text.split() or [""]
    letters = sum(each.isalpha() for each in text) or 1
    return [
        np.log1p(len(words)),
        float(np.mean([len(word) for word in words])),
        np.log1p(text.count(".")),
        float(text.count("?")),
        float(text.count("!")),
        sum(each.isupper() for each in text) / letters,
        float(any(each.isdigit() for each in text)),
        float("http" in text),
        len({word.lower() for word in words}) / len(words),
    ]


def votes_of(pairs: list[JudgedPair], most: int | None = None, seed: int = 0) -> Panel:
    """The votes of some pairs; of each at most so many, drawn at random."""
    rng = np.random.default_rng(seed)
    groups = []
    for pair in pairs:
        votes = pair.group.votes
        if most is not None and len(votes) > most:
            votes = tuple(votes[place] for place in sorted(rng.choice(len(votes), most, replace=False)))
        groups.append(replace(pair.group, votes=votes))
    items = []
    for pair in pairs:
        first, second = pair.names or ("", "")
        items.append(((pair.group.prompt, first), (pair.group.prompt, second)))
    return panel(groups, items)


def show_labels(data: Debates) -> None:
    """The labels of all pairs beside strict gold, and reliabilities beside the competence that was published."""
    with gzip.open(DATA / VOTES) as file:
        rows = [json.loads(line) for line in file]
    published = {vote["annotator"]: vote["mace"] for row in rows for vote in row["votes"]}
    votes, known = votes_of(data.pairs), ~np.isnan(data.gold)
    print("| labels | right on gold | correlation with competence | annotators |\n|---|---|---|---|")
    for name, method in METHODS.items():
        made = method.apply(votes)
        prob, reliability = made.prob[known], made.reliability
        right = np.where(np.abs(prob - 0.5) <= EVEN, 0.5, (prob > 0.5) == (data.gold[known] > 0.5)).mean()
        some = (reliability.votes >= FEWEST) & ~np.isnan(reliability.value)
        competence = np.array([published[each] for each in votes.names])[some]
        both = np.corrcoef(reliability.value[some], competence)[0, 1]
        print(f"| {name} | {100 * right:.1f} % | {both:.3f} | {some.sum():,} |")


def judge(data: Debates, most: int, ridge: float, seed: int) -> dict[str, dict[str, object]]:
    """Every way on every debate that was held out."""
    margins = {way.name: np.zeros(len(data.pairs)) for way in WAYS}
    noises: dict[str, list[float]] = {way.name: [] for way in WAYS}
    for held in np.unique(data.debate):
        trained = np.flatnonzero(data.debate != held)
        tested = np.flatnonzero(data.debate == held)
        x = data.features(trained)
        votes = votes_of([data.pairs[place] for place in trained], most, seed)
        made = {name: METHODS[name].apply(votes) for name in dict.fromkeys(way.method for way in WAYS)}
        for way in WAYS:
            prob, noise = made[way.method].prob, 0.0
            if way.robust:
                flips = flip_rate(votes, made[way.method], way.method)
                assert flips is not None
                noise = float(str(flips["value"]))
                noises[way.name].append(noise)
            weights = train(csr_matrix(x[trained]), prob, ridge, hard=way.hard, noise=noise)
            margins[way.name][tested] = x[tested] @ weights
    return {way.name: worth(data, margins[way.name], margins[FIRST_LINE], noises[way.name]) for way in WAYS}


def train(x: csr_matrix, prob: np.ndarray, ridge: float, *, hard: bool, noise: float) -> np.ndarray:
    """Smallest mean loss with a ridge: dpo's on soft or hard labels, robust_dpo's where there is noise."""
    kept = ~np.isnan(prob)
    if hard:
        kept &= np.abs(prob - 0.5) > EVEN
    x = csr_matrix(x[np.flatnonzero(kept)])
    label = (prob[kept] > 0.5).astype(float) if hard else prob[kept]
    # robust_dpo's loss is dpo's with a label beyond 0 and 1: ((1 - e) l(h) - e l(-h)) / (1 - 2 e).
    label = (label - noise) / (1 - 2 * noise)

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = x @ weights
        loss = label * np.logaddexp(0, -margin) + (1 - label) * np.logaddexp(0, margin)
        slope = 1 / (1 + np.exp(-margin)) - label
        return loss.mean() + ridge / 2 * weights @ weights, x.T @ slope / len(label) + ridge * weights

    start = np.zeros((x.T @ label).shape[0])
    return minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x


def worth(data: Debates, margin: np.ndarray, base: np.ndarray, noises: list[float]) -> dict[str, object]:
    """Against strict gold and against votes, each with an interval over debates."""
    known = ~np.isnan(data.gold)
    debate = data.debate.tolist()

    def right(of: np.ndarray) -> np.ndarray:
        return np.where(known, np.where(of == 0, 0.5, (of > 0) == (data.gold > 0.5)), 0.0)

    def loss(of: np.ndarray) -> np.ndarray:
        return data.share * np.logaddexp(0, -of) + (1 - data.share) * np.logaddexp(0, of)

    ones, counted = np.ones(len(margin)), known.astype(float)
    sure = 1 / (1 + np.exp(-np.abs(margin)))
    agrees = np.where(margin > 0, data.share, 1 - data.share)
    place = np.clip(np.searchsorted(EDGES, sure, side="right") - 1, 0, len(EDGES) - 2)
    gaps = np.stack([place, sure - agrees, ones], axis=1)
    return {
        "accuracy": plain(clustered(np.stack([right(margin), counted], 1), debate, statistic=ratio)),
        "more_than_majority": plain(
            clustered(np.stack([right(margin), counted, right(base), counted], 1), debate, statistic=ratio_difference)
        ),
        "log_loss": plain(clustered(np.stack([loss(margin), ones], 1), debate, statistic=ratio)),
        "less_than_majority": plain(
            clustered(np.stack([loss(base), ones, loss(margin), ones], 1), debate, statistic=ratio_difference)
        ),
        "ece": plain(clustered(gaps, debate, statistic=expected_error)),
        "noise": float(np.mean(noises)) if noises else None,
    }


def plain(interval: Interval) -> dict[str, float | None]:
    """As JSON has it."""
    return interval.as_dict()


def show(rows: dict[str, dict[str, object]], most: int, data: Debates, seconds: float) -> None:
    """The table, as the page has it."""
    floor = -(data.share * np.log(np.clip(data.share, 1e-12, 1)) + (1 - data.share) * np.log(
        np.clip(1 - data.share, 1e-12, 1))).mean()  # fmt: skip
    print(f"\nat most {most} votes a pair; {len(data.pairs):,} pairs, {len(np.unique(data.debate))} debates, "
          f"{int((~np.isnan(data.gold)).sum()):,} with gold; {seconds:.0f} s; a coin has log loss "
          f"{np.log(2):.3f}, the shares themselves {floor:.3f}\n")  # fmt: skip
    print("| labels | accuracy on gold | more than majority | log loss of votes | less than majority | ECE |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        label = f"{name} (noise {row['noise']:.3f})" if row["noise"] else name
        cells = [cell(row["accuracy"], 100, 1), cell(row["more_than_majority"], 100, 1, signed=True),
                 cell(row["log_loss"], 1, 3), cell(row["less_than_majority"], 1, 3, signed=True),
                 cell(row["ece"], 1, 3)]  # fmt: skip
        print(f"| {label} | {' | '.join(cells)} |")


def cell(value: object, scale: float, digits: int, *, signed: bool = False) -> str:
    """A number with its interval."""
    assert isinstance(value, dict)
    sign = "+" if signed else ""
    middle, low, high = (f"{scale * value[name]:{sign}.{digits}f}" for name in ("value", "low", "high"))
    return f"{middle} [{low}, {high}]"


if __name__ == "__main__":
    main()
