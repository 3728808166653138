"""What was found, as the page `docs/agreement.md` and as a table on the screen."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prefsmith.losses import LOSSES

from .case import Case
from .cases import CASES
from .compare import EQUAL, Found, Gap, Measured
from .problem import BATCH, BATCHES

INTRO = """\
# Agreement with TRL

Every loss that prefsmith and TRL both have, computed by both from the same rows and the same weights, values and
gradients compared. In {equal} of {all} comparisons the two are equal up to rounding. In {different} they differ; each
of these has its reason below, who is right, and what is left of the difference once ours is changed as the reason says.

```bash
make agreement
```

writes this page, numbers and all. It makes an environment of its own for TRL (`.venv-agreement`), runs TRL's own
trainers (their data preparation, collators and loss code), then prefsmith's own path (text, token ids, scores, gradient
of a step). It ends with an error where something is not as this page says: where two that are equal differ, where two
that differ no longer do, or where a reason leaves a rest.

How to read the tables:

- *prefsmith* names the loss with the settings that are not its defaults; `prob` is the probability given with every
  pair, a number in front a weight. *TRL* names the trainer (`DPO` for `DPOTrainer`) with its arguments.
- What is compared: {versions}. {rows} pairs of random words with answers of 1 to 14 words and an end token, in
  {batches} steps of {batch} pairs; random models of two layers, policy and reference drawn apart.
- *Loss* is that of the last step, in float64 unless that is not possible.
- *Values* is the largest difference of a loss, over every row as a step of its own and over every step; relative where
  the loss is above 1.
- *Gradients* is the largest difference of one component of a step's gradient on all weights, relative to the largest
  component.
- *float64* is a GPT-2, since Llama's norms compute in float32. There TRL's log-probability kernel, which computes in
  float32 whatever the model, is replaced by the same formulas in float64; all else is TRL's. Equal means at most
  {wide:g}.
- *float32* is a Llama and TRL as it is installed. Equal means at most {narrow:g}.
"""

EQUAL_HEAD = """
## Equal
"""

DIFFERENT_HEAD = """
## Different, and why

*Values* and *gradients* are in float64. *Left* is what is left of the two once ours is changed as the reason below the
table says. So the reason is measured, too.
"""

FACTS_HEAD = """
## Around the losses

What TRL does with tokens, labels, metrics, divided steps and references, in numbers of its own code, beside ours.
"""

ONLY = """
## Only in one of them

TRL 1.16 has, and prefsmith has not: divergences other than the reverse KL in `hinge`, `ipo`, `exo_pair`, `robust`,
`discopop` and `sigmoid_norm` (ours: with the logistic loss); IPO without a reference, and AlphaPO's transformation of
sums (CPO); a third answer to each prompt (TPO); DFT (SFT); online DPO and A2PO, which train on samples of the policy.

prefsmith has, and TRL 1.16 has not: {ours}.
"""


def page(found: Found, theirs: Mapping[str, Any]) -> str:
    """The whole page."""
    equal = [each for each in found.measured if each.case.differs is None]
    different = [each for each in found.measured if each.case.differs is not None]
    versions = ", ".join(f"{name} {number}" for name, number in theirs["versions"].items())
    counts = {"all": len(equal) + len(different), "equal": len(equal), "different": len(different)}
    sizes = {"rows": BATCH * BATCHES, "batch": BATCH, "batches": BATCHES}
    only = sorted(LOSSES.keys() - {name for case in CASES.values() for name in case.needed})
    parts = [
        INTRO.format(versions=versions, wide=EQUAL["float64"], narrow=EQUAL["float32"], **counts, **sizes),
        EQUAL_HEAD,
        _equal(equal),
        *(f"\n{_ours(each.case)}: {each.case.note}\n" for each in equal if each.case.note),
        DIFFERENT_HEAD,
        _different(different),
        *(_reason(each) for each in different),
        FACTS_HEAD,
        _table(
            ["", "TRL", "prefsmith", "why, and who is right"], ([f.key, f.theirs, f.ours, f.why] for f in found.facts)
        ),
        ONLY.format(ours=", ".join(f"`{name}`" for name in only)),
    ]
    return "".join(parts)


def summary(found: Found) -> str:
    """The same in fixed columns, and what is not as declared."""
    lines = [f"{'values, gradients':42}{'float64':>20}{'float32':>20}   what is left, where they differ"]
    for each in found.measured:
        gaps = "".join(f"{_two(each.gaps.get(kind)):>20}" for kind in ("float64", "float32"))
        left = "equal" if each.case.differs is None else f"differs; left {_two(each.left[each.wide])}"
        lines.append(f"{each.key:42}{gaps}   {left}")
    lines += [f"{each.key}\n    TRL: {each.theirs}\n    prefsmith: {each.ours}" for each in found.facts]
    lines += [f"NOT AS DECLARED {key}: {why}" for key, why in found.problems.items()]
    if found.as_declared:
        lines.append(f"All {len(found.measured)} comparisons and {len(found.facts)} facts are as declared.")
    return "\n".join(lines)


def _equal(rows: Sequence[Measured]) -> str:
    kinds = ("float64", "float32")
    return _table(
        ["prefsmith", "TRL", "loss", *(f"{what}, {kind}" for kind in kinds for what in ("values", "gradients"))],
        (
            [
                _ours(each.case),
                _theirs(each.case),
                _loss(each.gaps[each.wide].last[0], each.wide),
                *(cell for kind in kinds for cell in _cells(each.gaps, kind)),
            ]
            for each in rows
        ),
    )


def _different(rows: Sequence[Measured]) -> str:
    return _table(
        ["", "prefsmith", "TRL", "loss, prefsmith", "loss, TRL", "values", "gradients", "left"],
        (
            [
                each.key,
                _ours(each.case),
                _theirs(each.case),
                *(_loss(value, each.wide) for value in reversed(each.gaps[each.wide].last)),
                *_cells(each.gaps, each.wide),
                _two(each.left[each.wide]),
            ]
            for each in rows
        ),
    )


def _reason(row: Measured) -> str:
    why = row.case.differs
    assert why is not None
    note = f" {row.case.note}" if row.case.note else ""
    return f"\n**{row.key}.** {why.why}{note} *Right:* {why.right}.\n"


def _ours(case: Case) -> str:
    return f"`{' + '.join(map(str, case.ours))}`"


def _theirs(case: Case) -> str:
    return f"`{case.theirs}`"


def _loss(value: float, kind: str) -> str:
    """With the digits in which both can be equal, but no more than ten."""
    return f"{value:.10f}" if kind == "float64" else f"{value:.5f}"


def _cells(gaps: Mapping[str, Gap], kind: str) -> list[str]:
    gap = gaps.get(kind)
    return ["", ""] if gap is None else [_number(gap.values), _number(gap.gradients)]


def _two(gap: Gap | None) -> str:
    return "" if gap is None else f"{_number(gap.values)}, {_number(gap.gradients)}"


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
