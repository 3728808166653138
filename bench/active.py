"""Which choice of pairs learns fastest from real votes: UKPConvArg, people's votes on arguments, by debate.

    .venv/bin/python bench/active.py [--seeds 20] [--budget 120] [--batch 10] [--pairs 3000] [--model FOLDER]
    .venv/bin/python bench/active.py --planted --budget 60 --batch 5 --svg planted.svg

Each seed holds out a quarter of the debates: pairs of the others are the pool, and of the held-out ones those with a
strict gold label are what is measured. The annotator answers with one of the pair's own votes, drawn. The planted pool
has 600 pairs, of which 85 in 100 differ in two of ten directions alone.

The votes and arguments lie beside the repository. A curve is drawn with --svg; its numbers are printed as a table.
"""

import argparse
import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from prefsmith.evaluate.learning import Curve, World, against, curves
from prefsmith.feedback.choice.acquire import METHODS, Method
from prefsmith.feedback.choice.estimate import sigmoid
from prefsmith.feedback.choice.words import of_words
from prefsmith.records import Completion, Group
from prefsmith.stats import Mean

DATA = Path(__file__).parents[2] / "shared" / "data"
POINTS = {"a": 1.0, "b": 0.0, "tie": 0.5}
HELD_OUT = 4
"""One in so many debates."""


def planted(seed: int) -> World:
    """A world in which most pairs say the same."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal(10)
    pool, held_out = rng.standard_normal((600, 10)), rng.standard_normal((2000, 10))
    pool[rng.random(600) < 0.85, 2:] = 0
    prob = sigmoid(pool @ weights)
    return World(pool, lambda pair, draw: float(draw.random() < prob[pair]), held_out, held_out @ weights > 0)


class Debates:
    """Pairs of arguments with votes, and features of each pair.

    Args:
        most: pairs that are drawn of all; the same for every run.
    """

    def __init__(self, most: int) -> None:
        texts = {row["id"]: row for row in _rows("ukpconvarg_arguments.jsonl.gz")}
        rows = [
            row for row in _rows("ukpconvarg_votes.jsonl.gz") if any(each["vote"] in POINTS for each in row["votes"])
        ]
        drawn = np.sort(np.random.default_rng(0).permutation(len(rows))[:most])
        self.rows = [rows[place] for place in drawn]
        self.groups = [_group(row, texts) for row in self.rows]
        self.topics = np.array([row["topic"] for row in self.rows])
        self.gold = np.array([{"a": 1, "b": 0}.get(row["strict_gold"], -1) for row in self.rows])
        self.votes = [[POINTS[each["vote"]] for each in row["votes"] if each["vote"] in POINTS] for row in self.rows]

    def by_words(self) -> np.ndarray:
        """Words and length."""
        known = {text: of_words(text) for group in self.groups for text in (each.content for each in group.completions)}
        sides = [[known[each.content] for each in group.completions] for group in self.groups]
        return np.array([first - second for first, second in sides])

    def by_model(self, model: str) -> np.ndarray:
        """The model's last layer."""
        from prefsmith.data.rejects import Rejects
        from prefsmith.evaluate.hidden import encode_pool, hidden_features
        from prefsmith.evaluate.reader import open_reader

        reader = open_reader(model)
        rejects = Rejects(skip=True)
        encoded = encode_pool(reader, self.groups, rejects)
        self._keep({group.group.id for group in encoded})
        print(f"on the way to {model}'s ids: {dict(reader.encoder.counts.kinds)}, refused {rejects.counts()}")
        return hidden_features(reader, encoded, token_budget=8192)

    def _keep(self, ids: set[str]) -> None:
        kept = [place for place, group in enumerate(self.groups) if group.id in ids]
        self.rows, self.groups = [self.rows[place] for place in kept], [self.groups[place] for place in kept]
        self.votes = [self.votes[place] for place in kept]
        self.topics, self.gold = self.topics[kept], self.gold[kept]

    def world(self, features: np.ndarray) -> Callable[[int], World]:
        """Of a seed: a quarter of the debates is held out."""
        names = np.unique(self.topics)

        def made(seed: int) -> World:
            held = np.random.default_rng([seed, 7]).permutation(names)[: max(1, len(names) // HELD_OUT)]
            out = np.isin(self.topics, held)
            pool, measured = np.flatnonzero(~out), np.flatnonzero(out & (self.gold >= 0))
            votes = [self.votes[place] for place in pool]
            return World(
                features[pool],
                lambda pair, draw: float(draw.choice(votes[pair])),
                features[measured],
                self.gold[measured] == 1,
            )

        return made


def _rows(name: str) -> Iterator[dict]:
    path = DATA / name
    if not path.is_file():
        raise SystemExit(f"{path} is not there: this measurement is of real votes")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _group(row: Mapping, texts: Mapping[str, Mapping]) -> Group:
    answers = tuple(Completion(texts[row[side]]["text"]) for side in "ab")
    return Group(row["id"], f"votes:{row['id']}", f"{texts[row['a']]['title']}\n", answers)


def table(found: Mapping[Method, Curve]) -> Iterator[str]:
    """Accuracy at a few points, and each rule beside random on the same seeds."""
    labels = next(iter(found.values())).labels
    shown = [place for place in range(len(labels)) if place in (1, len(labels) // 4, len(labels) // 2, len(labels) - 1)]
    yield "| labels | " + " | ".join(f"{labels[place]}" for place in shown) + " | last, less random | higher in |"
    yield "|---|" + "---|" * (len(shown) + 2)
    for method, curve in found.items():
        cells = [_interval(curve.at(place)) for place in shown]
        beside = against(curve, found["random"])
        wins = "" if method == "random" else f"{beside.wins.better} of {len(curve.accuracy)}"
        less = "" if method == "random" else _signed(beside.last)
        yield f"| {method} | {' | '.join(cells)} | {less} | {wins} |"


def _interval(mean: Mean) -> str:
    return f"{100 * mean.value:.1f} [{100 * mean.low:.1f}, {100 * mean.high:.1f}]"


def _signed(mean: Mean) -> str:
    return f"{100 * mean.value:+.1f} [{100 * mean.low:+.1f}, {100 * mean.high:+.1f}]"


def draw(found: Mapping[Method, Curve], path: Path, title: str) -> None:
    """The curves as an SVG, each with its interval as a band."""
    from prefsmith.report.drawing import as_svg, drawing
    from prefsmith.report.plots import run_look

    with drawing((5.4, 3.2)) as (figure, axes):
        for index, (method, curve) in enumerate(found.items()):
            look = run_look(index)
            means = [curve.at(point) for point in range(len(curve.labels))]
            axes.plot(curve.labels, [100 * each.value for each in means], label=method, **look)
            low, high = [100 * each.low for each in means], [100 * each.high for each in means]
            axes.fill_between(curve.labels, low, high, color=look["color"], alpha=0.12, linewidth=0)
        axes.set_xlabel("labels")
        axes.set_ylabel("held-out pairs right (%)")
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=3, handlelength=3)
        said = "; ".join(f"{method} {curve.at(-1)}" for method, curve in found.items())
        text = str(as_svg(figure, "active", title, f"Accuracy at the last point: {said}"))
    colours = {
        "ink": "#1f2328",
        "muted": "#59636e",
        "grid": "#d1d9e0",
        "one": "#0969da",
        "two": "#bc4c00",
        "paper": "#ffffff",
    }
    for name, colour in colours.items():
        text = text.replace(f"var(--{name})", colour)
    text = text.replace("<svg ", '<svg font-family="sans-serif" ', 1)
    style = '<rect width="100%" height="100%" fill="#ffffff"/>'
    head = text.index("</desc>") + len("</desc>")
    path.write_text(text[:head] + style + text[head:] + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("seeds", 20), ("budget", 120), ("batch", 10), ("pairs", 3000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--planted", action="store_true", help="the planted pool instead of real votes")
    parser.add_argument("--model", help="features of its last layer instead of words and length")
    parser.add_argument("--svg", type=Path)
    asked = parser.parse_args(arguments)
    if asked.planted:
        world, title = planted, "A planted pool"
    else:
        debates = Debates(asked.pairs)
        features = debates.by_words() if asked.model is None else debates.by_model(asked.model)
        world, title = debates.world(features), "Votes on arguments, by debate"
    found = curves(world, METHODS, budget=asked.budget, batch=asked.batch, seeds=asked.seeds)
    for line in table(found):
        print(line)
    if asked.svg is not None:
        draw(found, asked.svg, title)


if __name__ == "__main__":
    main()
