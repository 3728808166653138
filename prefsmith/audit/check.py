"""What one kind of finding is made of: a look at every row, in parts and in any process, and a conclusion."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from prefsmith.audit.audited import Audited
from prefsmith.audit.finding import Finding
from prefsmith.records import Group


@runtime_checkable
class Check(Protocol):
    """One kind of finding. An instance is sent to other processes, so its attributes are small and picklable."""

    kind: str
    """The first word of its codes."""

    def look(self, groups: Sequence[Group]) -> Any:  # noqa: ANN401
        """What has to be remembered of some rows that stand behind each other in one file.

        Runs in worker processes, over every row once. What it returns is kept until the end for all rows: numpy
        arrays and counters of some hundred bytes a row at most, never texts.
        """
        ...

    def findings(self, blocks: Sequence[Any], data: Audited) -> Iterable[Finding]:
        """What was found. Runs once, in the main process.

        Args:
            blocks: what `look` returned, in the order of the rows; `data.blocks` says where each begins.
            data: the files, and the texts of rows for examples.
        """
        ...
