"""A row as it stands in its container, whatever that is."""

from dataclasses import dataclass

LONGEST_ROW = 8 * 2**20  # bytes; a row of text is far shorter, a file without line ends is not


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the file.

    Args:
        source: where it stands, `file:line` or `file:row N`; repeated in every error about the row.
        values: its cells by column.
        typed: whether numbers and truth values are told from texts. In CSV every cell is a text, or None where it is
            empty.
    """

    source: str
    values: dict[str, object]
    typed: bool = True
