"""How many operations a step needs at least, and how many the machine does a second."""

import time
from collections.abc import Iterable, Sequence

from .lengths import Lengths
from .model import HEADS, HIDDEN, KEY_HEADS, LAYERS, WIDE

KEY_WIDTH = HIDDEN // HEADS * KEY_HEADS
SHAPES = [(HIDDEN, HIDDEN), (HIDDEN, KEY_WIDTH), (HIDDEN, KEY_WIDTH), (HIDDEN, HIDDEN), (HIDDEN, WIDE), (HIDDEN, WIDE)]
SHAPES += [(WIDE, HIDDEN)]
BODY = LAYERS * sum(one * other for one, other in SHAPES)
SECONDS = 0.15  # for which a rate is measured


def least_operations(pairs: Sequence[Lengths], vocabulary: int, *, adapter: bool = False, reference: bool) -> float:
    """Of a step on the pairs: every prompt once, exact causal attention, the head on the completions' rows only.

    Forward counts 2 operations a weight, backward twice as many, once as many where the weights are frozen (the
    adapter's own are left out); attention's backward 2.5 times its forward. With the reference, its forward too.
    """
    tokens = sum(each.unique for each in pairs)
    rows = sum(each.chosen + each.rejected for each in pairs)
    products = 2.0 * (tokens * BODY + rows * vocabulary * HIDDEN)
    attention = 4.0 * LAYERS * HIDDEN * sum(_seen(each) for each in pairs)
    there_and_back = products * (2 if adapter else 3) + attention * 3.5
    return there_and_back + (products + attention if reference else 0.0)


def _seen(pair: Lengths) -> float:
    """Pairs of tokens of which the later sees the earlier."""
    prompt, sides = pair.prompt, (pair.chosen, pair.rejected)
    return prompt * (prompt + 1) / 2 + sum(side * prompt + side * (side + 1) / 2 for side in sides)


def product_rate(tokens: int, rows: int, vocabulary: int) -> float:
    """Operations a CPU second of the model's forward products: a layer's on the tokens, the head's on the rows."""
    import torch

    products = [(torch.randn(tokens, one), torch.randn(one, other)) for one, other in SHAPES]
    products.append((torch.randn(rows, HIDDEN), torch.randn(HIDDEN, vocabulary)))
    weighted = [(left, right, LAYERS if index < len(SHAPES) else 1) for index, (left, right) in enumerate(products)]
    operations = sum(2.0 * count * left.shape[0] * right.numel() for left, right, count in weighted)
    _multiply(weighted)
    started, rounds = time.process_time(), 0
    while time.process_time() - started < SECONDS:
        _multiply(weighted)
        rounds += 1
    return rounds * operations / (time.process_time() - started)


def _multiply(products: Iterable[tuple]) -> None:
    for left, right, count in products:
        for _ in range(count):
            left.matmul(right)
