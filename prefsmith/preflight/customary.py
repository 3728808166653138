"""Settings outside customary ranges: what, why it matters, and what to type instead.

The ranges are those of published recipes of preference training, not laws. A run inside all of them gets no warning.
"""

from collections.abc import Iterator

from prefsmith.preflight.facts import Caution
from prefsmith.preflight.seen import Seen
from prefsmith.wording import counted

BETA = (0.1, 0.5)
RATES = {"none": (1e-6, 1e-5), "lora": (1e-5, 2e-4), "dora": (1e-5, 2e-4), "ia3": (1e-4, 1e-2)}
"""Peak learning rates of preference training, for all weights and for an adapter (about ten times as much).

For ia3 they are those of its own paper's examples, 3e-3, and around: nothing is published on preferences.
"""
EXAMPLE_RATES = {"none": (1e-6, 5e-5), "lora": (1e-5, 5e-4), "dora": (1e-5, 5e-4), "ia3": (1e-4, 1e-2)}
"""The same where examples are all that is learnt from."""
PAIRS = (32, 128)
EPOCHS = 3
LONG_SUM = 100
"""Median tokens of an answer from which on a target for the sum of its log-ratios is small beside its noise."""
MEMORY = 0.9
"""Share of the memory."""


def unusual_settings(seen: Seen) -> Iterator[Caution]:
    """What the settings, and what they ask of the machine, are warned of."""
    for check in (_beta, _learning_rate, _pairs, _warmup, _epochs, _ipo, _memory):
        yield from check(seen)


def _beta(seen: Seen) -> Iterator[Caution]:
    for index, term in enumerate(seen.objective.terms):
        if (beta := term.settings.get("beta")) is not None and not BETA[0] <= beta <= BETA[1]:
            small = beta < BETA[0]
            key = f"{seen.key(index)}.beta"
            yield Caution(
                "beta",
                f"{key} is {beta:g}; customary are {BETA[0]:g} to {BETA[1]:g}",
                "a small one lets the policy run far from its reference, where text degenerates"
                if small
                else "a large one holds the policy at its reference, so that little is learnt",
                f"{key}={BETA[0] if small else BETA[1]:g}",
            )


def _learning_rate(seen: Seen) -> Iterator[Caution]:
    kind, rate = seen.config.adapter.kind, seen.config.learning_rate
    low, high = (EXAMPLE_RATES if seen.examples_only else RATES)[kind]
    if not low <= rate <= high:
        what = "all weights" if kind == "none" else kind
        yield Caution(
            "learning_rate",
            f"optim.learning_rate is {_short(rate)}; customary for {what} are {_short(low)} to {_short(high)}",
            "the weights will hardly move"
            if rate < low
            else "large steps lower the likelihood of chosen and rejected answers alike, until samples are gibberish",
            f"optim.learning_rate={_short(low if rate < low else high)}",
        )


def _short(rate: float) -> str:
    """`1e-5`, as it is typed."""
    if rate >= 1e-2:
        return f"{rate:g}"
    digits, power = f"{rate:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"


def _pairs(seen: Seen) -> Iterator[Caution]:
    count = seen.config.train.pairs_per_step
    if not PAIRS[0] <= count <= PAIRS[1]:
        few = count < PAIRS[0]
        yield Caution(
            "pairs_per_step",
            f"train.pairs_per_step is {count}; customary are {PAIRS[0]} to {PAIRS[1]}",
            "a step of few labels mostly follows their noise"
            if few
            else "fewer, larger steps learn less from the rows",
            f"train.pairs_per_step={PAIRS[0] if few else PAIRS[1]}",
        )


def _warmup(seen: Seen) -> Iterator[Caution]:
    steps, warmup = (seen.work.steps if seen.work else 0), seen.config.optim.warmup_steps
    if 0 < steps <= warmup:
        yield Caution(
            "warmup",
            f"optim.warmup_steps is {warmup}, and the run has {counted(steps, 'step')}",
            "the learning rate is still rising when the run ends"
            if steps < warmup
            else "the learning rate arrives at its peak with the last step",
            f"optim.warmup_steps={steps // 10}, or more rows or epochs",
        )


def _epochs(seen: Seen) -> Iterator[Caution]:
    if (epochs := seen.config.train.epochs) > EPOCHS:
        yield Caution(
            "epochs",
            f"train.epochs is {epochs}; customary are 1 to {EPOCHS}",
            "a policy that sees the same labels again and again learns them by heart",
            f"train.epochs={EPOCHS}, and evaluate.every to see when the held-out rows get worse",
        )


def _ipo(seen: Seen) -> Iterator[Caution]:
    for index, term in enumerate(seen.objective.terms):
        if term.entry.name != "ipo" or term.settings["length_norm"] != "none" or seen.lengths is None:
            continue
        median = max((each.median for each in seen.lengths.parts if each.what in ("chosen", "rejected")), default=0)
        if median >= LONG_SUM:
            target = 0.5 / term.settings["tau"]
            yield Caution(
                "ipo_sums",
                f"ipo wants a margin of {target:.3g} nats between answers of {median:,} tokens",
                f"that is {target / median:.1g} nats a token: the sums scatter by more, the longer the answers are",
                f"{seen.key(index)}.length_norm=token",
            )


def _memory(seen: Seen) -> Iterator[Caution]:
    memory = seen.memory
    train = seen.config.train
    is_found = train.token_budget == "auto"
    instead = "a lower data.max_length" if is_found else f"train.token_budget={max(1, train.budget // 2)}"
    instead += ", or adapter.kind=lora" if seen.config.adapter.kind == "none" else ""
    if seen.out_of_memory:
        what = "the first micro-batch does not fit into memory"
        yield Caution("memory", what, "training would end at its first step", instead)
    elif memory is not None and memory.available is not None and memory.total > MEMORY * memory.available:
        yield Caution(
            "memory",
            f"training takes about {memory.total / 2**30:.1f} GiB, and there are {memory.available / 2**30:.1f} GiB",
            "it may end for want of memory",
            instead,
        )
