"""Whether prefsmith has become slower beside its rivals than it was when it was last recorded."""

from collections.abc import Mapping

LEAST = 0.85  # of the recorded ratio

Ratios = Mapping[str, Mapping[str, float]]
"""Regime, baseline, how many times faster."""


def fallen(now: Ratios, recorded: Ratios) -> list[str]:
    """A line for every ratio that is under 0.85 of what was recorded; what was never recorded cannot fall."""
    return [
        f"{regime}, {baseline}: {ratio:.2f}, recorded {recorded[regime][baseline]:.2f}"
        for regime, found in now.items()
        for baseline, ratio in found.items()
        if baseline in recorded.get(regime, {}) and ratio < LEAST * recorded[regime][baseline]
    ]
