"""All checks of an audit that look at every row."""

from collections.abc import Iterable

from prefsmith.audit.biased import Biased
from prefsmith.audit.broken import Broken
from prefsmith.audit.check import Check
from prefsmith.audit.contradictory import Contradictory
from prefsmith.audit.repeated import Repeated
from prefsmith.audit.uncovered import Uncovered
from prefsmith.audit.unreliable import Unreliable


def all_checks(*, tokens: Iterable[str] = (), seed: int = 0) -> tuple[Check, ...]:
    """One check for each kind of finding.

    Args:
        tokens: control tokens of a model, beside those that are looked for anyway.
        seed: of what is drawn: samples, folds, intervals.
    """
    return (Broken(tokens), Contradictory(), Repeated(), Biased(seed), Unreliable(seed), Uncovered(seed))
