"""Where a loss is continued linearly, and from where that is measured."""

from dataclasses import replace

import pytest
import torch
from losses.worlds import labels_for, world

from prefsmith.losses import LOSSES, resolve
from prefsmith.losses.domain import evaluate

WITHOUT_REFERENCE = [name for name, entry in LOSSES.items() if not entry.needs_reference]


@pytest.mark.parametrize("name", WITHOUT_REFERENCE)
@pytest.mark.parametrize("above", [-1.0, 0.0, 1e3])
def test_beside_a_loss_with_a_reference_one_without_stays_where_it_was(name, above):
    """Caught where the domain of orpo, which ends at probability 1, is measured from the reference of a mixture."""
    term, labels = resolve(name, {}), labels_for(LOSSES[name])
    alone = world().scores(LOSSES[name])
    values, outside = evaluate(term, alone, labels)
    mixed, beyond = evaluate(term, replace(alone, reference=alone.policy - above), labels)
    assert torch.equal(values, mixed) and outside == beyond == 0
