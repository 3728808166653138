"""Faults of losses of ranked and scored lists, and of terms over lists."""

from mutants.fault import Fault

RANKED = ("tests/losses/listwise/test_ranked.py",)
SCORED = ("tests/losses/listwise/test_scored.py",)
TERMS = ("tests/losses/test_terms.py",)

FAULTS = (
    Fault(
        "plackett_luce draws among the better ones, a prefix for a suffix",
        "losses/listwise/ranked.py",
        "rankings.tier[second] >= rankings.tier[first]",
        "rankings.tier[second] <= rankings.tier[first]",
        RANKED,
    ),
    Fault(
        "plackett_luce leaves an item out of what it is drawn from",
        "losses/listwise/ranked.py",
        "rankings.tier[second] >= rankings.tier[first]",
        "(rankings.tier[second] > rankings.tier[first]) | (rankings.tier[second] == rankings.tier.max())",
        RANKED,
    ),
    Fault(
        "lipo weighs by differences of labels, not of their powers of two",
        "losses/listwise/ranked.py",
        "(torch.exp2(gain[first]) - torch.exp2(gain[second])).abs()",
        "(gain[first] - gain[second]).abs()",
        RANKED,
    ),
    Fault(
        "lipo counts places from zero",
        "losses/listwise/ranked.py",
        "position = 1 + _ranks(",
        "position = _ranks(",
        RANKED,
    ),
    Fault(
        "the softmax is over the step, not over each list",
        "losses/listwise/items.py",
        "log_sum_exp_by(values, owner, len(rankings))[owner]",
        "values.logsumexp(0)",
        SCORED,
    ),
    Fault(
        "scores are multiplied by the temperature",
        "losses/listwise/scored.py",
        "rankings.scores / temperature",
        "rankings.scores * temperature",
        SCORED,
    ),
    Fault(
        "nca_list counts the reference once per item, not once per list",
        "losses/listwise/scored.py",
        "+ noise * F.logsigmoid(-reward)",
        "+ F.logsigmoid(-reward)",
        SCORED,
    ),
    Fault(
        "a bound counts lists without their data weight",
        "losses/terms.py",
        "(rankings.weight * of_list).sum()",
        "of_list.sum()",
        TERMS,
    ),
    Fault(
        "the score is held from above, not from below",
        "losses/terms.py",
        "_excess(least - mean, rankings)",
        "_excess(mean - least, rankings)",
        TERMS,
    ),
)
