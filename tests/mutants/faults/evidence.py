"""Faults between votes or scores and the numbers that are made of them, and on the way to a run's page."""

from mutants.fault import Fault

WINRATE = ("tests/evaluate/test_winrate.py",)
LENGTH = ("tests/evaluate/test_length_control.py",)
PAIRED = ("tests/evaluate/test_paired.py",)
BOOTSTRAP = ("tests/evaluate/test_bootstrap.py",)
KAPPA = ("tests/test_kappa.py",)
JUDGED = ("tests/evaluate/agreement/test_judges.py",)
PEOPLE = ("tests/evaluate/agreement/test_people.py",)
PLACES = ("tests/evaluate/agreement/test_places_and_lengths.py",)
ACCURACY = ("tests/evaluate/test_accuracy.py",)
CALIBRATION = ("tests/evaluate/test_calibration.py",)
INSPECTION = ("tests/evaluate/test_inspection.py",)
GATHERED = ("tests/report/test_gathered.py",)

FAULTS = (
    Fault(
        "presentations that disagree are won by what was said first",
        "evaluate/winrate.py",
        'said[0] if agree else "tie"',
        "said[0]",
        WINRATE,
    ),
    Fault(
        "a vote counts for the place and not for the answer",
        "evaluate/winrate.py",
        '    return "win" if better == 0 else "loss"',
        '    return "win" if vote.verdict == "left" else "loss"',
        WINRATE,
    ),
    Fault(
        "a pair without a verdict is a loss",
        "evaluate/winrate.py",
        "return POINTS.get(self.verdict)",
        "return POINTS.get(self.verdict, 0.0)",
        WINRATE,
    ),
    Fault(
        "many pairs of one prompt are as many trials of Wilson's interval",
        "evaluate/winrate.py",
        "share, n = won / len(valid), len({prompt for prompt, _ in valid})",
        "share, n = won / len(valid), len(valid)",
        WINRATE,
    ),
    Fault(
        "the rate at equal length keeps the part of length",
        "evaluate/length_control.py",
        "    equal[:, 1] = 0\n",
        "",
        LENGTH,
    ),
    Fault(
        "a prompt that is easy to win on is called hard",
        "evaluate/length_control.py",
        "_fit_jointly(columns, prompt, wanted, len(keys)).tolist()",
        "(-_fit_jointly(columns, prompt, wanted, len(keys))).tolist()",
        LENGTH,
    ),
    Fault(
        "the sign test looks at one side",
        "evaluate/paired.py",
        "min(1.0, 2 * tail)",
        "min(1.0, tail)",
        PAIRED,
    ),
    Fault(
        "a bootstrap draws answers and not prompts",
        "evaluate/bootstrap.py",
        "member = np.array([names.setdefault(cluster, len(names)) for cluster in clusters])",
        "member = np.array([names.setdefault(place, len(names)) for place, _ in enumerate(clusters)])",
        BOOTSTRAP,
    ),
    Fault(
        "chance agreement of a judge and people is that of the judge alone",
        "kappa.py",
        "table.sum(axis=-1) * table.sum(axis=-2)",
        "table.sum(axis=-1) * table.sum(axis=-1)",
        KAPPA,
    ),
    Fault(
        "Krippendorff's alpha takes chance from draws with replacement",
        "kappa.py",
        "expected = 1 - _over((labels * (labels - 1)).sum(axis=-1), votes * (votes - 1))",
        "expected = 1 - _over((labels * labels).sum(axis=-1), votes * votes)",
        KAPPA,
    ),
    Fault(
        "lone votes count in Krippendorff's alpha",
        "kappa.py",
        "pairable = (votes > 1)[:, None] * counts",
        "pairable = (votes > 0)[:, None] * counts",
        KAPPA,
    ),
    Fault(
        "two verdicts that are none are consistent",
        "evaluate/agreement/position.py",
        "same = (one == other) & (one != INVALID)",
        "same = one == other",
        PLACES,
    ),
    Fault(
        "the swap of a presentation is forgotten where the first place wins",
        "evaluate/agreement/position.py",
        "place_one = (verdict == FIRST) == (order == 0)",
        "place_one = verdict == FIRST",
        PLACES,
    ),
    Fault(
        "a rule that cannot tell two answers is right",
        "evaluate/accuracy.py",
        "np.where(np.abs(difference) <= tie, 0.5,",
        "np.where(np.abs(difference) <= tie, 1.0,",
        ACCURACY,
    ),
    Fault(
        "a prompt of many pairs has as many votes in the sign test of two rules",
        "evaluate/accuracy.py",
        "per_prompt = np.bincount(numbers, weights=points)",
        "per_prompt = points",
        ACCURACY,
    ),
    Fault(
        "a policy is as sure of the side that it does not prefer",
        "evaluate/calibration.py",
        "sure = _sigmoid(np.abs(logit))",
        "sure = _sigmoid(logit)",
        CALIBRATION,
    ),
    Fault(
        "gaps of a bin's pairs do not cancel in the calibration error",
        "evaluate/calibration.py",
        "total += np.abs(counts[:, inside] @ gaps[inside])",
        "total += counts[:, inside] @ np.abs(gaps[inside])",
        CALIBRATION,
    ),
    Fault(
        "the rule `longer` prefers the shorter answer",
        "evaluate/inspection.py",
        'Rule("longer", lambda pairs: pairs.difference(',
        'Rule("longer", lambda pairs: -pairs.difference(',
        INSPECTION,
    ),
    Fault(
        "a tie of the labels counts in the accuracy",
        "evaluate/inspection.py",
        "decided = pairs.where(pairs.decided)",
        "decided = pairs.where(pairs.weight >= 0)",
        INSPECTION,
    ),
    Fault(
        "evidence about other weights is shown as the run's",
        "report/gathered.py",
        'return "" if now in excerpt.weights else STALE',
        'return ""',
        GATHERED,
    ),
    Fault(
        "a copy of evidence is written over evidence of another kind",
        "report/join.py",
        "names <= set(_COPIED) and _kind(target) in (kind, None)",
        "names <= set(_COPIED)",
        GATHERED,
    ),
    Fault(
        "two drawings of a run's page have the same ids",
        "report/gathered.py",
        '_read(path, f"evidence-{number}", present)',
        '_read(path, "evidence", present)',
        GATHERED,
    ),
)  # fmt: skip
