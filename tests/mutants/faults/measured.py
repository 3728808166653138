"""Faults of rewards against KL, of a search for settings, and of what a doctor says of a run."""

from mutants.fault import Fault

KL = ("tests/evaluate/test_kl.py",)
FRONTIER = ("tests/evaluate/test_frontier.py",)
BEST_OF = ("tests/evaluate/test_best_of.py",)
CRITERIA = ("tests/evaluate/test_criteria.py",)
PARETO = ("tests/evaluate/test_pareto.py",)
SPACE = ("tests/methods/sweep/test_space.py",)
SEARCH = ("tests/methods/sweep/test_search.py",)
FINDINGS = ("tests/train/test_findings.py",)
DOCTOR = ("tests/train/test_doctor.py",)

FAULTS = (
    Fault(
        "KL is measured on samples of another temperature",
        "evaluate/kl.py",
        "    require_own_distribution(sampling)\n\n",
        "",
        KL,
    ),
    Fault(
        "the exact frontier forgets the partition function",
        "evaluate/frontier.py",
        "kl = reward / beta - log_mean",
        "kl = reward / beta",
        FRONTIER,
    ),
    Fault(
        "the frontier tilts by reward times beta",
        "evaluate/frontier.py",
        "scaled = rewards / beta\n",
        "scaled = rewards * beta\n",
        FRONTIER,
    ),
    Fault(
        "the best of n has the KL of answers that never tie",
        "evaluate/best_of.py",
        "kl = float(np.mean([_kl(own, n) for own in scores]))",
        "kl = most_kl(n)",
        BEST_OF,
    ),
    Fault(
        "the best of n is chosen by what it is measured with",
        "evaluate/best_of.py",
        "scores = rewards if scores is None else scores",
        "scores = rewards",
        BEST_OF,
    ),
    Fault(
        "a point that is as good is taken off the front",
        "evaluate/pareto.py",
        "and any(a > b for a, b in zip(one, other, strict=True))",
        "and one is not other",
        PARETO,
    ),
    Fault(
        "an objective that should be small is made large",
        "evaluate/pareto.py",
        "value if more else -value for value, more",
        "value for value, more",
        PARETO,
    ),
    Fault(
        "an adapter is searched with the learning rates of all weights",
        "methods/sweep/space.py",
        "factor = RATE_OF[config.adapter.kind]",
        "factor = 1.0",
        SPACE,
    ),
    Fault(
        "a range may end where its step does not reach",
        "methods/sweep/space.py",
        "not whole or (high - low) % step",
        "not whole",
        SPACE,
    ),
    Fault(
        "of trials that are as good the second objective does not decide",
        "methods/sweep/search.py",
        "return max(equal, key=lambda row: signs[1] * row[\"worth\"][1][0])",
        "return first",
        ("tests/methods/sweep/test_search.py::"
         "test_of_trials_that_their_intervals_cannot_tell_apart_the_second_objective_decides",),
    ),
    Fault(
        "chosen answers that became likelier are said to fall",
        "train/findings/training.py",
        "if tail is None or tail.high >= 0 or not tokens_per_completion:",
        "if tail is None or not tokens_per_completion:",
        FINDINGS,
    ),
    Fault(
        "margins count as saturated at any time of a run",
        "train/findings/training.py",
        "range(max(0, len(train) // 2 - WINDOW + 1))",
        "range(max(0, len(train) - WINDOW + 1))",
        FINDINGS,
    ),
    Fault(
        "a KL within its noise of the budget is a warning",
        "train/findings/distance.py",
        '"warning" if sure else "note",',
        '"warning",',
        FINDINGS,
    ),
    Fault(
        "samples before and after are matched by their order alone",
        "train/findings/samples.py",
        "key = (sample.split, sample.source)",
        'key = ("", "")',
        FINDINGS,
    ),
    Fault(
        "answers that are not such as the model writes are called its own",
        "train/findings/distance.py",
        "change.high >= 0 or change.value > -FOREIGN",
        "change.low <= 0 or change.value < FOREIGN",
        FINDINGS,
    ),
)  # fmt: skip
