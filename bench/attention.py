"""CPU seconds of a layer's attention, forward and back: in blocks of rows, or one call for each tree's branch.

    .venv/bin/python bench/attention.py [--regimes chat hh turns] [--rounds 5]

On the batches of `make bench` (hh needs its data), with that model's heads, float32, one thread. The two ways alternate
in one process; the medians over the rounds are printed, and their ratio.
"""

import argparse
import statistics
import time
from unittest import mock

import torch
from speed.lengths import Lengths
from speed.model import SMALL
from speed.regimes import REGIMES
from speed.sample import draw
from torch import Tensor

from prefsmith.model import attention
from prefsmith.model.thicket import Thicket, Tree, with_thickets

Layout = tuple[Tree | Thicket, ...]


def layout(pairs: list[Lengths]) -> tuple[Layout, int]:
    """Of pairs one behind the other, and their tokens."""
    trees, start = [], 0
    for pair in pairs:
        trunk = start + pair.prompt
        middle, end = trunk + pair.chosen, start + pair.unique
        trees.append(Tree(start, trunk, ((trunk, middle), (middle, end))))
        start = end
    return with_thickets(trees, torch.zeros(start, dtype=torch.int64)), start


def heads(count: int, tokens: int) -> Tensor:
    """As a model's projections leave them."""
    return torch.randn(1, tokens, count, SMALL.hidden // SMALL.heads).transpose(1, 2).requires_grad_()


def seconds(trees: Layout, tokens: int) -> float:
    """There and back."""
    query, key, value = heads(SMALL.heads, tokens), heads(SMALL.key_heads, tokens), heads(SMALL.key_heads, tokens)
    slopes = torch.randn(1, tokens, SMALL.heads, SMALL.hidden // SMALL.heads)
    started = time.process_time()
    out, _ = attention.forest_attention(torch.nn.Identity(), query, key, value, None, trees=trees)
    out.backward(slopes)
    return time.process_time() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regimes", nargs="+", default=["chat", "hh", "turns"], choices=list(REGIMES))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':8} {'blocks, ms':>10} {'trees, ms':>10} {'x faster':>9}")
    for key in options.regimes:
        regime = REGIMES[key]
        sample = draw(regime.population(), regime.pairs, regime.batch)
        layouts = [layout([sample.pairs[index] for index in batch]) for batch in sample.shuffled]
        taken: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(options.rounds + 1):
            for in_blocks, rounds in taken.items():
                with mock.patch.object(attention, "takes", attention.takes if in_blocks else lambda *_: False):
                    total = sum(seconds(*each) for each in layouts)
                if turn:  # the first warms up
                    rounds.append(total)
        ratio = statistics.median(one / other for one, other in zip(taken[False], taken[True], strict=True))
        blocks, trees = (1000 * statistics.median(taken[way]) for way in (True, False))
        print(f"{key:8} {blocks:10.1f} {trees:10.1f} {ratio:9.2f}")


if __name__ == "__main__":
    main()
