"""A place of the program, changed as people change it by mistake."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One change.

    Args:
        what: the fault, in words; no two have the same.
        file: below prefsmith/.
        sound: the text as it should be; stands in the file once.
        broken: what stands there instead.
        tests: the ordinary tests that are to catch it, as pytest names them.
    """

    what: str
    file: str
    sound: str
    broken: str
    tests: tuple[str, ...]

    def put_into(self, text: str) -> str:
        """The file with the fault.

        Raises:
            ValueError: the sound text does not stand there exactly once.
        """
        if text.count(self.sound) != 1:
            raise ValueError(f"{self.what}: {self.sound!r} stands {text.count(self.sound)} times in {self.file}")
        return text.replace(self.sound, self.broken)
