"""Every loss on one fixed input, against numbers computed elsewhere in float64 and again with 40 digits.

Policy (-12.3, -15.1), reference (-11.9, -14.2), tokens (7, 9), chosen first: D_w = -.4, D_l = -.9, h = .5. What a loss
needs beside stands in `WORLD`. `at reference` is the same with the reference's log-probabilities in the policy's place.
"""

from dataclasses import dataclass, replace

import pytest
import torch

from prefsmith.losses import LOSSES, resolve
from prefsmith.types import PerToken, Preferences, Rankings, Ratings, SequenceScores


def column(*values):
    return torch.tensor(values, dtype=torch.float64)


# Chosen, rejected, a third answer with D = .2, two further pairs' sides, and one that answers another prompt (D = .1).
POLICY = column(-12.3, -15.1, -5.0, -10.0, -9.7, -5.3, -5.0, -5.0)
REFERENCE = column(-11.9, -14.2, -5.2, -9.4, -12.5, -5.0, -5.0, -5.1)
TOKENS = torch.tensor([7, 9, 3, 1, 1, 1, 1, 1])
TAILS = (-4.3, -3.7)  # the last two tokens of rejected, under policy and reference
MISMATCHED = 7


def tokens_of(total, count, tail):
    """Log-probabilities of tokens with the given total; the last two sum to `tail` where it is given."""
    if tail is None:
        return [total / count] * count
    return [(total - tail) / (count - 2)] * (count - 2) + [tail / 2] * 2


def per_token(nats, tail):
    totals = zip(nats.tolist(), TOKENS.tolist(), strict=True)
    parts = [tokens_of(*each, tail if n == 1 else None) for n, each in enumerate(totals)]
    return column(*(value for part in parts for value in part))


def scores(*, at_reference=False):
    policy = REFERENCE if at_reference else POLICY
    tail = TAILS[1] if at_reference else TAILS[0]
    kl = torch.zeros(8, dtype=torch.float64) if at_reference else column(0.3, 0.45, 0, 0, 0, 0, 0, 0)
    return SequenceScores(
        policy,
        REFERENCE,
        TOKENS,
        per_token=PerToken(
            per_token(policy, tail),
            per_token(REFERENCE, TAILS[1]),
            torch.cat([TOKENS.new_zeros(1), TOKENS.cumsum(0)]),
        ),
        confidence=column(-0.35, -0.50, 0, 0, 0, 0, 0, 0),
        kl=kl,
    )


def pairs(*members, prob=1.0, gap=1.5):
    ones = torch.ones(len(members), dtype=torch.float64)
    chosen, rejected = zip(*members, strict=True)
    return Preferences(torch.tensor(chosen), torch.tensor(rejected), prob * ones, ones, gap * ones)


def ratings(*members):
    seq, value = zip(*members, strict=True)
    ones = torch.ones(len(members), dtype=torch.float64)
    return Ratings(torch.tensor(seq), column(*value), ones, torch.tensor([MISMATCHED]))


def ranked(*items, judged):
    return Rankings(
        torch.tensor(items), torch.tensor([0, len(items)]), torch.arange(len(items)), column(*judged), column(1.0)
    )


PAIR, PAIR_80 = pairs((0, 1)), pairs((0, 1), prob=0.8)
WITH_SECOND, WITH_REVERSED = pairs((0, 1), (3, 4)), pairs((0, 1), (5, 6))  # h of the reversed one is -.3
GOOD, BAD, BOTH = ratings((0, 1.0)), ratings((1, 0.0)), ratings((0, 1.0), (1, 0.0))
TWO_AND_TWO = ratings((0, 1.0), (1, 0.0), (3, 1.0), (4, 0.0))
LIST = ranked(0, 2, 1, judged=(2.0, 1.0, 0.5))
WINS = ranked(0, 2, 1, judged=(0.9, 0.5, 0.1))


@dataclass(frozen=True)
class Row:
    """A loss with its settings on labels, and the mean that it gives; `updated`: it remembers this very step."""

    name: str
    settings: dict[str, object]
    labels: object
    value: float
    at_reference: float | None
    updated: bool = False

    def __str__(self):
        settings = ",".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.name}({settings})x{len(self.labels)}{'-updated' if self.updated else ''}"


LOG_2 = 0.69314718056
ROWS = [
    Row("dpo", {"beta": 0.1}, PAIR, 0.668459648013, LOG_2),
    Row("dpo", {"beta": 0.1, "label_smoothing": 0.1}, PAIR, 0.673459648013, LOG_2),
    Row("dpo", {"beta": 0.1}, PAIR_80, 0.678459648013, LOG_2),
    Row("dpo", {"beta": 0.01}, WITH_SECOND, 0.700470989579, LOG_2),
    Row("geometric_dpo", {"beta": 0.1}, PAIR_80, 0.678259676341, LOG_2),
    Row("robust_dpo", {"beta": 0.1, "noise": 0.1}, PAIR, 0.662209648013, LOG_2),
    Row("todo", {"beta": 0.01, "alpha": 0.5}, PAIR, 0.970967626267, 0.97407698418),
    Row("todo", {"beta": 0.01, "alpha": 0.5}, pairs((0, 1), prob=0.5), 1.40683498884, 1.40682911375),
    Row("hinge", {"beta": 0.05}, PAIR, 0.975, 1.0),
    Row("dr_dpo", {"beta": 0.1, "beta_prime": 1.0}, WITH_REVERSED, 0.688161669963, LOG_2),
    Row("discopop", {"beta": 0.05, "tau": 0.05}, PAIR, 0.864092241917, 0.84657359028),
    Row("ipo", {"tau": 0.1}, PAIR, 20.25, 25.0),
    Row("ipo", {"tau": 0.1, "length_norm": "token"}, PAIR, 24.5732653061, 25.0),
    Row("ipo", {"tau": 0.1}, PAIR_80, 22.25, 25.0),
    Row("dpo_norm", {"beta": 5.0}, PAIR, 0.591733171084, LOG_2),
    Row("exo", {"beta": 0.1, "epsilon": 1e-3}, PAIR, 2.67522665858, 2.7612307091),
    Row("nca", {"beta": 0.01}, PAIR, 1.3850524236, 1.38629436112),
    Row("bco", {"beta": 0.01}, PAIR, 1.38380648608, 1.38629436112),
    Row("bco", {"beta": 0.01}, PAIR, 1.38379592362, 1.38629436112, updated=True),
    Row("sppo", {"beta": 1e-3, "eta_form": "sum"}, PAIR, 499500.97, 500000.0),
    Row("sppo", {"beta": 1e-3, "eta_form": "half"}, PAIR, 249750.485, 250000.0),
    Row("sppo", {"beta": 1e-3, "eta_form": "half"}, PAIR_80, 89850.485, 90000.0),
    Row("aot", {"beta": 0.01}, PAIR, 0.690650305557, LOG_2),
    Row("aot", {"beta": 0.01}, WITH_SECOND, 0.70043999187, LOG_2),
    Row("aot_unpaired", {"beta": 0.01}, TWO_AND_TWO, 0.700461740329, LOG_2),
    Row("apo_zero", {"beta": 0.1}, PAIR, 0.987513842088, 1.0),
    Row("apo_down", {"beta": 0.1}, PAIR, 0.977503936636, 1.0),
    Row("fdpo", {"beta": 0.1, "divergence": "forward_kl"}, PAIR, 0.645928547111, LOG_2),
    Row("fdpo", {"beta": 0.1, "divergence": "js"}, PAIR, 0.6768748371, LOG_2),
    Row("fdpo", {"beta": 0.1, "divergence": "alpha", "alpha": 0.5}, PAIR, 0.659057847926, LOG_2),
    Row("chi_po", {"beta": 0.05, "bound": 1.0}, PAIR, 0.674235695657, LOG_2),
    Row("ld_dpo", {"beta": 0.1, "alpha": 0.5, "ld_reference": "both"}, PAIR, 0.683197179727, LOG_2),
    Row("ld_dpo", {"beta": 0.1, "alpha": 0.5, "ld_reference": "policy"}, PAIR, 0.779046452132, 0.789919218659),
    Row("r_dpo", {"beta": 0.1, "alpha": 0.05}, PAIR, 0.718459648013, 0.744396660074),
    Row("wpo", {"beta": 0.01}, PAIR, 0.29519425335, 0.296261455009),
    Row("beta_dpo", {"beta": 0.1, "alpha": 0.6}, WITH_REVERSED, 0.688113227524, LOG_2, updated=True),
    Row("odpo", {"beta": 0.1, "alpha": 1.0}, PAIR, 0.886591704143, 0.916290731874),
    Row("dpop", {"beta": 0.3, "lam": 50.0}, PAIR, 5.85287576019, LOG_2),
    Row("dpo_shift", {"beta": 0.01, "f": 0.95}, PAIR, 0.69087476837, LOG_2),
    Row("cal_dpo", {"beta": 1e-3, "c": 1.0}, PAIR, 499501.444077, 500000.693147),
    Row("cal_dpo", {"beta": 0.1, "c": 1.0}, PAIR, 46.4440769842, 50.6931471806),
    Row("cal_dpo", {"beta": 0.1, "c": 0.5}, PAIR, 23.4590769842, 25.6931471806),
    Row("tdpo1", {"beta": 0.1}, PAIR, 0.675800297745, LOG_2),
    Row("tdpo2", {"beta": 0.1, "alpha": 0.5}, PAIR, 0.67212294482, LOG_2),
    Row("rpo", {"beta": 0.1, "eta": 1.0, "distance": "kl_target_model"}, PAIR, 0.202529360511, 0.218095616868),
    Row("rpo", {"beta": 0.1, "eta": 1.0, "distance": "kl_model_target"}, PAIR, 0.239832405067, 0.258266097423),
    Row("rpo", {"beta": 0.1, "eta": 1.0, "distance": "squared"}, PAIR, 2.1025, 2.25),
    Row("rebel", {"eta": 1.0}, PAIR, 1.0, 2.25),
    Row("qrpo", {"beta": 0.1, "log_z": "short"}, ratings((0, 0.9)), 0.0289879599889, 0.0169672792449),
    Row("qrpo", {"beta": 0.1, "log_z": "exact"}, ratings((0, 0.9)), 0.0289895059894, 0.0169684620378),
    Row("simpo", {"beta": 2.0, "gamma": 0.5}, PAIR, 1.07579972098, 1.13310115593),
    Row("simpo", {"beta": 2.5, "gamma": 1.375}, PAIR, 1.76182930676, 1.85136987709),
    Row("alphapo", {"alpha": 0.25, "beta": 2.5, "gamma": 0.1}, PAIR, 0.915905406614, 1.01204055927),
    Row("alphapo", {"alpha": 0.25, "beta": 2.5, "gamma": 0.25}, PAIR, 1.0085534983, 1.11008453906),
    Row("simper", {}, PAIR, 0.0142514774843, 0.02374980555),
    Row("cpo", {"beta": 0.1, "alpha": 1.0}, PAIR, 2.3200581907, 2.2847451567),
    Row("orpo", {"lam": 0.1}, PAIR, 1.83141141938, 1.77718769802),
    Row("slic", {"delta": 1.0, "lam": 0.1}, PAIR, 1.23, 1.19),
    Row("kto", {"beta": 0.1}, BOTH, 0.493759104503, None),
    Row("kto", {"beta": 0.1}, GOOD, 0.512497396484, None),
    Row("kto", {"beta": 0.1}, BAD, 0.475020812521, None),
    Row("apo_zero_unpaired", {"beta": 0.1}, BOTH, 0.493756921044, 0.5),
    Row("npo", {"beta": 0.1}, BAD, 12.9831867805, 13.8629436112),
    Row("plackett_luce", {"beta": 0.1}, LIST, 1.742617074, 1.79175946923),
    Row("lipo", {"beta": 0.05, "psi": "score", "discount": "natural"}, WINS, 0.437054464053, None),
    Row("lipo", {"beta": 0.05, "psi": "score", "discount": "log2"}, WINS, 0.30294306951, None),
    Row("infonca", {"beta": 0.01, "temperature": 1.0}, LIST, 1.0982696133, 1.09861228867),
    Row("nca_list", {"beta": 0.01, "temperature": 1.0}, LIST, 1.38612496802, 1.38629436112),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_value_is_the_known_one(row):
    term = resolve(row.name, row.settings)
    for at_reference, expected in ((False, row.value), (True, row.at_reference)):
        if expected is None:
            continue
        given = scores(at_reference=at_reference)
        if not term.entry.needs_reference:
            given = replace(given, reference=None)
        state = term.next_state(term.first_state(), given, row.labels) if row.updated else None
        found = term(given, row.labels, state).mean().item()
        assert found == pytest.approx(expected, rel=1e-10)


def test_alpha_dpo_with_what_it_remembers():
    """Mean .02 and deviation .05 of the margins of earlier steps."""
    term = resolve("alpha_dpo", {"beta": 2.5, "gamma": 0.6, "alpha": 0.2})
    state = dict(zip(term.first_state(), (0.02, 0.05), strict=True))
    assert term(scores(), PAIR, state).item() == pytest.approx(2.062900954, rel=1e-10)
    assert term(scores(at_reference=True), PAIR, state).item() == pytest.approx(1.78852521945, rel=1e-10)


@pytest.mark.parametrize(
    ("terms", "value", "at_reference"),
    [
        # MPO: .8 DPO + .2 BCO + 1 NLL; IRPO: DPO + 1 NLL
        ([("dpo", {"beta": 0.1}, 0.8), ("bco", {"beta": 0.1}, 0.2), ("nll", {}, 1.0)], 2.5644118768, 2.53177661667),
        ([("dpo", {"beta": 0.1}, 1.0), ("nll", {}, 1.0)], 2.42560250516, 2.39314718056),
    ],
)
def test_mixtures_are_weighted_sums(terms, value, at_reference):
    for given, expected in ((scores(), value), (scores(at_reference=True), at_reference)):
        total = sum(weight * resolve(name, settings)(given, PAIR).item() for name, settings, weight in terms)
        assert total == pytest.approx(expected, rel=1e-10)


def test_every_loss_with_a_known_value_is_here():
    """The others have no published number of their own: each names why."""
    known = {row.name for row in ROWS} | {"alpha_dpo", "nll"}
    derived = {
        "sft": "a mean",
        "unlikelihood": "two means",
        "bco_unpaired": "its pair form is here",
        "length": "ours",
        "constraint": "ours",
    }
    assert known | set(derived) == set(LOSSES) and not known & set(derived)
