"""A terminal in small: what stands on the screen after a process has written to it."""

import re

from rich.cells import cell_len

PIECE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)|(.)", re.S)


class ScreenShot:
    """Reads carriage returns, line ends, cursor up, erase, styles, and long lines that wrap; refuses anything else.

    Args:
        text: what was written.
        width: cells.
    """

    def __init__(self, text: str, width: int) -> None:
        self.width, self.rows, self.row, self.column = width, [""], 0, 0
        self.cursor_visible, self.styles, self.wrapped = True, set[str](), list[str]()
        for code, command, move, words, other in PIECE.findall(text):
            assert not other, f"a control character that steers: {other!r}"
            if words:
                self._write(words)
            elif move:
                self._move(move)
            else:
                self._obey(code, command)

    @property
    def lines(self) -> list[str]:
        """The rows that are not empty, from the top."""
        return [each.rstrip() for each in self.rows if each.strip()]

    def _move(self, move: str) -> None:
        if move == "\n":
            self.row += 1
            self.rows += [""] * (self.row + 1 - len(self.rows))
        self.column = 0  # a terminal makes CR LF of a line end

    def _obey(self, code: str, command: str) -> None:
        if command == "m":
            self.styles.add(code)
        elif (code, command) == ("2", "K"):
            self.rows[self.row] = ""
        elif command == "A":
            self.row -= int(code or 1)
        elif code == "?25":
            self.cursor_visible = command == "h"
        else:
            raise AssertionError(f"what does ESC[{code}{command} do?")

    def _write(self, words: str) -> None:
        for character in words:
            if self.column + cell_len(character) > self.width:
                self.wrapped.append(words)
                self._move("\n")
            old = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = old[: self.column] + character + old[self.column + 1 :]
            self.column += cell_len(character)
