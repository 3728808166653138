"""Faults of losses of single completions, and of transport between two classes of them."""

from mutants.fault import Fault

KTO = ("tests/losses/unpaired/test_kto.py",)
TRANSPORT = ("tests/losses/test_transport.py",)

FAULTS = (
    Fault(
        "kto's reference point is a sum over answers",
        "losses/unpaired/kto.py",
        "ratio[ratings.mismatched].mean()",
        "ratio[ratings.mismatched].sum()",
        KTO,
    ),
    Fault(
        "kto's reference point is that of the rated answers",
        "losses/unpaired/kto.py",
        "ratio[ratings.mismatched].mean()",
        "ratio[ratings.seq].mean()",
        KTO,
    ),
    Fault("kto's reference point carries a gradient", "losses/unpaired/kto.py", ".detach()", "", KTO),
    Fault("kto's reference point may be negative", "losses/unpaired/kto.py", ".clamp(min=0)", "", KTO),
    Fault(
        "kto lowers what was liked",
        "losses/unpaired/kto.py",
        "sign = torch.where(ratings.value > 0.5",
        "sign = torch.where(ratings.value < 0.5",
        KTO,
    ),
    Fault(
        "sft sums over tokens",
        "losses/unpaired/likelihood.py",
        "-(scores.policy / scores.tokens)[ratings.seq]",
        "-scores.policy[ratings.seq]",
        ("tests/losses/unpaired/test_likelihood.py",),
    ),
    Fault(
        "npo without its factor two",
        "losses/unpaired/likelihood.py",
        "-(2 / beta) *",
        "-(1 / beta) *",
        ("tests/losses/unpaired/test_likelihood.py",),
    ),
    Fault(
        "bco_unpaired's mean forgets the steps before",
        "losses/unpaired/anchored.py",
        'total = state["count"] * state["mean"] + ',
        "total = ",
        ("tests/losses/unpaired/test_anchored.py",),
    ),
    Fault(
        "qrpo without its partition function",
        "losses/unpaired/quantile.py",
        "return ratings.value - beta * log_partition",
        "return ratings.value",
        ("tests/losses/unpaired/test_quantile.py",),
    ),
    Fault(
        "transport couples what stands beside each other, unsorted",
        "losses/transport.py",
        "order = numbers.detach().argsort(stable=True)",
        "order = torch.arange(len(numbers))",
        TRANSPORT,
    ),
    Fault(
        "transport sorts the other way round on one side",
        "losses/transport.py",
        "right_order, right_end = _laid_out(right, right_weight)",
        "right_order, right_end = _laid_out(-right, right_weight)",
        TRANSPORT,
    ),
    Fault(
        "transport gives every entry the same mass",
        "losses/transport.py",
        "end = weight.detach()[order].cumsum(0)",
        "end = torch.ones_like(weight).cumsum(0)",
        TRANSPORT,
    ),
)
