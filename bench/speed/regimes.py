"""What is measured: how long the pairs are, in which batches, how large the vocabulary."""

from dataclasses import dataclass

from .lengths import Drawn, Lengths
from .texts import lengths_of

DRAWN = {
    "chat": Drawn((100, 0.6), (150, 0.7)),
    "tldr": Drawn((600, 0.25), (60, 0.3)),
    "turns": Drawn((700, 0.6), (200, 0.6)),
    "long": Drawn((30, 0.5), (300, 0.4)),
}


@dataclass(frozen=True, slots=True)
class Regime:
    """One row of the tables.

    Args:
        key: what it is called on the command line and in the records.
        title: what it is called on the page.
        lengths: a key of `DRAWN`, or the name of real preferences.
        batch: pairs of an optimiser step.
        vocabulary: rows of the embedding.
        adapter: whether a LoRA adapter is trained instead of all weights.
        pairs: in the sample; `make bench-full` takes twice as many.
    """

    key: str
    title: str
    lengths: str
    batch: int
    vocabulary: int = 4096
    adapter: bool = False
    pairs: int = 24

    def population(self) -> list[Lengths]:
        """All pairs that the sample stands for.

        Raises:
            FileNotFoundError: real preferences are not on this machine.
        """
        return DRAWN[self.lengths].population() if self.lengths in DRAWN else lengths_of(self.lengths)


REGIMES = {
    each.key: each
    for each in (
        Regime("chat", "chat lengths (100 + 150)", "chat", batch=8),
        Regime("tldr", "long prompt, short answers (600 + 60)", "tldr", batch=4, pairs=16),
        Regime("turns", "several turns (700 + 200)", "turns", batch=4, pairs=16),
        Regime("hh", "hh_harmless, real lengths", "hh_harmless", batch=8),
        Regime("hh-32k", "hh_harmless, vocabulary 32k", "hh_harmless", batch=8, vocabulary=32_000),
        Regime("alpaca", "alpaca_soft, real lengths", "alpaca_soft", batch=4, pairs=12),
        Regime("long", "short prompt, long answers (30 + 300)", "long", batch=4, pairs=12),
        Regime("single", "chat lengths, one pair a step", "chat", batch=1, pairs=12),
        Regime("chat-32k", "chat lengths, vocabulary 32k", "chat", batch=4, vocabulary=32_000, pairs=12),
        Regime("chat-152k", "chat lengths, vocabulary 152k", "chat", batch=2, vocabulary=151_936, pairs=6),
        Regime("lora-32k", "chat lengths, vocabulary 32k, LoRA", "chat", 4, vocabulary=32_000, adapter=True, pairs=12),
    )
}
FIRST = ("chat", "tldr", "turns", "hh", "hh-32k", "alpaca")
"""What `make bench` measures in less than an hour, with whole runs; the others stay as they were recorded."""
