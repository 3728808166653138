"""Faults as people make them: a sign, a missing factor, a mean for a sum, a reference forgotten."""

from mutants.fault import Fault
from mutants.faults import (
    data,
    evidence,
    judges,
    listwise,
    measured,
    choice,
    data,
    judges,
    listwise,
    model,
    pairwise,
    processes,
    reference_free,
    speed,
    train,
    unpaired,
)

FAULTS: tuple[Fault, ...] = (
    *pairwise.FAULTS,
    *reference_free.FAULTS,
    *unpaired.FAULTS,
    *listwise.FAULTS,
    *model.FAULTS,
    *data.FAULTS,
    *train.FAULTS,
    *speed.FAULTS,
    *processes.FAULTS,
    *judges.FAULTS,
    *evidence.FAULTS,
    *measured.FAULTS,
    *choice.FAULTS,
)
