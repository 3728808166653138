"""Faults of losses of a comparison without a reference."""

from mutants.fault import Fault

TARGET = ("tests/losses/reference_free/test_target.py",)
CHOSEN = ("tests/losses/reference_free/test_chosen.py",)

FAULTS = (
    Fault(
        "the mean log-probability per token is a sum",
        "losses/pairwise/margin.py",
        "average = scores.policy / scores.tokens",
        "average = scores.policy",
        TARGET,
    ),
    Fault(
        "simpo's gamma helps the winner",
        "losses/reference_free/target.py",
        "-F.logsigmoid(x - gamma), ",
        "-F.logsigmoid(x + gamma), ",
        TARGET,
    ),
    Fault(
        "simpo's gamma helps the pair turned round",
        "losses/reference_free/target.py",
        "-F.logsigmoid(-x - gamma)",
        "-F.logsigmoid(-x + gamma)",
        TARGET,
    ),
    Fault(
        "alpha_dpo remembers one part old and nine new",
        "losses/reference_free/target.py",
        '"mean": AVERAGE * state["mean"] + (1 - AVERAGE) * mean.item()',
        '"mean": (1 - AVERAGE) * state["mean"] + AVERAGE * mean.item()',
        TARGET,
    ),
    Fault(
        "orpo's odds are of p / (1 + p)",
        "losses/reference_free/chosen.py",
        "torch.log(-torch.expm1(average))",
        "torch.log(1 + average.exp())",
        CHOSEN,
    ),
    Fault(
        "orpo loses its digits next to certainty",
        "losses/reference_free/chosen.py",
        "torch.log(-torch.expm1(average))",
        "torch.log(1 - average.exp())",
        CHOSEN,
    ),
    Fault(
        "the likelihood of rejected is raised in the place of chosen's",
        "losses/reference_free/chosen.py",
        "nll[prefs.chosen], nll[prefs.rejected]",
        "nll[prefs.rejected], nll[prefs.chosen]",
        CHOSEN,
    ),
)
