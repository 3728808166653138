"""Faults as people make them: a sign, a missing factor, a mean for a sum, a reference forgotten."""

from mutants.fault import Fault
from mutants.faults import (
    audit,
    biases,
    choice,
    data,
    evidence,
    judges,
    labels,
    listwise,
    measured,
    model,
    pairwise,
    processes,
    reference_free,
    speed,
    train,
    unpaired,
    worlds,
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
    *audit.FAULTS,
    *biases.FAULTS,
    *choice.FAULTS,
    *evidence.FAULTS,
    *labels.FAULTS,
    *measured.FAULTS,
    *worlds.FAULTS,
)
