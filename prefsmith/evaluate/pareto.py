"""Which of several results nothing else beats in everything."""

from collections.abc import Sequence


def front(points: Sequence[Sequence[float]], largest: Sequence[bool]) -> list[int]:
    """Indices of the points that no other point is at least as good as everywhere and better somewhere.

    Args:
        points: each with one number per objective.
        largest: for each objective whether more is better.
    """
    signed = [[value if more else -value for value, more in zip(point, largest, strict=True)] for point in points]
    return [index for index, point in enumerate(signed) if not any(_beats(other, point) for other in signed)]


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(a > b for a, b in zip(one, other, strict=True))
