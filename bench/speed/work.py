"""How many operations a step needs at least, and how many the machine does a second."""

from collections.abc import Iterable, Sequence

from .lengths import Lengths
from .meter import Meter
from .model import SMALL, Place, Shape

SECONDS = 0.15  # for which a rate is measured
CPU_ROWS = 1024


def matrices(shape: Shape) -> list[tuple[int, int]]:
    """Inputs and outputs of a layer's products."""
    hidden, keys = shape.hidden, shape.hidden // shape.heads * shape.key_heads
    attention = [(hidden, hidden), (hidden, keys), (hidden, keys), (hidden, hidden)]
    return [*attention, (hidden, shape.wide), (hidden, shape.wide), (shape.wide, hidden)]


def body(shape: Shape) -> int:
    """Weights of all layers' matrices."""
    return shape.layers * sum(one * other for one, other in matrices(shape))


def least_operations(
    pairs: Sequence[Lengths], vocabulary: int, *, adapter: bool = False, reference: bool, shape: Shape = SMALL
) -> float:
    """Of a step on the pairs: every prompt once, exact causal attention, the head on the completions' rows only.

    Forward counts 2 operations a weight, backward twice as many, once as many where the weights are frozen (the
    adapter's own are left out); attention's backward 2.5 times its forward. With the reference, its forward too.
    """
    tokens = sum(each.unique for each in pairs)
    rows = sum(each.chosen + each.rejected for each in pairs)
    products = 2.0 * (tokens * body(shape) + rows * vocabulary * shape.hidden)
    attention = 4.0 * shape.layers * shape.hidden * sum(_seen(each) for each in pairs)
    there_and_back = products * (2 if adapter else 3) + attention * 3.5
    return there_and_back + (products + attention if reference else 0.0)


def _seen(pair: Lengths) -> float:
    """Pairs of tokens of which the later sees the earlier."""
    prompt, sides = pair.prompt, (pair.chosen, pair.rejected)
    return prompt * (prompt + 1) / 2 + sum(side * prompt + side * (side + 1) / 2 for side in sides)


def product_rate(tokens: int, rows: int, vocabulary: int, place: Place, meter: Meter) -> float:
    """Operations a second of the model's forward products: a layer's on the tokens, the head's on the rows.

    On a CPU on as many as a micro-batch of prefsmith's has: larger products are slower there, and would flatter it.
    """
    import torch

    if place.device == "cpu" and tokens > CPU_ROWS:
        tokens, rows = CPU_ROWS, rows * CPU_ROWS // tokens
    shape = place.shape
    dtype = torch.bfloat16 if place.precision == "bf16" else torch.float32

    def drawn(*size: int) -> torch.Tensor:
        return torch.randn(size, dtype=dtype, device=place.device)

    products = [(drawn(tokens, one), drawn(one, other), shape.layers) for one, other in matrices(shape)]
    products.append((drawn(rows, shape.hidden), drawn(shape.hidden, vocabulary), 1))
    operations = sum(2.0 * count * left.shape[0] * right.numel() for left, right, count in products)
    _multiply(products)
    seconds, rounds = 0.0, 0
    while seconds < SECONDS:
        seconds += meter.seconds(lambda: _multiply(products))
        rounds += 1
    return rounds * operations / seconds


def _multiply(products: Iterable[tuple]) -> None:
    for left, right, count in products:
        for _ in range(count):
            left.matmul(right)
