"""Faults in what an audit says of labels, annotators and models."""

from mutants.fault import Fault

EFFECTS = ("tests/audit/test_effects.py",)
BIASED = ("tests/audit/test_biased.py",)
UNRELIABLE = ("tests/audit/test_unreliable.py",)
FIT = ("tests/audit/test_fit.py",)
WRITERS = ("tests/data/test_writers.py",)

FAULTS = (
    Fault(
        "copies of a prompt count as trials of their own",
        "audit/effects.py",
        "left = n / _design(hits - value * trials, prompts, n * value * (1 - value))",
        "left = n",
        EFFECTS,
    ),
    Fault(
        "the probe holds out pairs and not prompts",
        "audit/probe.py",
        "np.arange(prompts.max() + 1) % FOLDS)[prompts]",
        "np.arange(len(prompts)) % FOLDS)",
        BIASED,
    ),
    Fault(
        "a vote for the left side is one for the first completion wherever it stood",
        "audit/decided.py",
        'if vote.verdict == "tie" or vote.left < vote.right:',
        'if vote.verdict != "invalid":',
        BIASED,
    ),
    Fault(
        "ties count as wins of the first place",
        "audit/places.py",
        "first += len(file.groups) - turned - file.notes.get(_TIES, 0)",
        "first += len(file.groups) - turned",
        BIASED,
    ),
    Fault(
        "an annotator is judged by a majority that its own vote makes",
        "audit/annotators.py",
        "seats.said * seats.voice[:, None]",
        "seats.said * 0",
        UNRELIABLE,
    ),
    Fault(
        "how far answers are from the model's own is told by sums, so that long ones are far",
        "audit/fit.py",
        "chosen, rejected = (sums / tokens for sums, tokens in zip(nats, fit.scored, strict=True))",
        "chosen, rejected = (sums for sums, tokens in zip(nats, fit.scored, strict=True))",
        FIT,
    ),
    Fault(
        "a row that is turned round keeps the writers where they were",
        "data/schema.py",
        ', "writer_chosen": "writer_rejected"',
        "",
        WRITERS,
    ),
)
