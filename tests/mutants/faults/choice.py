"""Faults between a pool of pairs and its labels, and between our files and those of other programs."""

from mutants.fault import Fault

CONVERT = ("tests/methods/test_convert.py",)
CHOICE = ("tests/feedback/test_choice.py",)
ACTIVE = ("tests/methods/test_active.py",)

FAULTS = (
    Fault(
        "the input of Alpaca's rows is not read",
        "data/asked.py",
        'text = "\\n".join(part for part in (prompt, rest) if part)',
        "text = prompt",
        CONVERT,
    ),
    Fault(
        "an empty input adds a line end to the prompt",
        "data/asked.py",
        "for part in (prompt, rest) if part)",
        "for part in (prompt, rest))",
        CONVERT,
    ),
    Fault(
        "a pair that is turned round keeps its probability",
        "data/targets/item.py",
        "prob=1 - comparison.prob)",
        "prob=comparison.prob)",
        CONVERT,
    ),
    Fault(
        "ties go to programs that take every label for certain",
        "data/targets/item.py",
        "if lists or comparison.prob != 0.5:",
        "if comparison is not None:",
        CONVERT,
    ),
    Fault(
        "votes go along with a pair that was turned round",
        "data/targets/target.py",
        "stale = item.renamed and name in EVIDENCE",
        "stale = False and name in EVIDENCE",
        CONVERT,
    ),
    Fault(
        "the choices of a batch do not know of each other",
        "feedback/choice/acquire.py",
        "leverage -= share * (candidates @ along) ** 2",
        "leverage -= 0.0",
        CHOICE,
    ),
    Fault(
        "a pair whose outcome is sure is worth as much as any",
        "feedback/choice/acquire.py",
        "value = prob * (1 - prob)\n    inverse",
        "value = np.full(len(prob), 0.25)\n    inverse",
        CHOICE,
    ),
    Fault(
        "pairs that are out without a vote are asked for again",
        "methods/active.py",
        "(*labelled, *answers.waiting)",
        "(*labelled,)",
        ACTIVE,
    ),
    Fault(
        "a vote on a pair in the other order counts for the wrong answer",
        "feedback/choice/answers.py",
        "[1 - point if turned else point for point in firsts]",
        "firsts",
        ACTIVE,
    ),
    Fault(
        "the chosen side of a labelled pool is always shown first",
        "methods/active.py",
        "turned=bool(turned))",
        "turned=False)",
        ACTIVE,
    ),
)
