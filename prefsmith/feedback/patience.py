"""How long to wait before a server is asked again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Patience:
    """Waiting that doubles, unless the server says how long.

    Args:
        retries: attempts after the first.
        first: seconds before the first of them.
        longest: most seconds between two attempts that we choose ourselves.
        most_asked: most seconds that a server may ask for; one that asks for more is not waited for.
    """

    retries: int
    first: float = 1.0
    longest: float = 60.0
    most_asked: float = 300.0

    def wait(self, attempt: int, asked: float | None, luck: float) -> float | None:
        """Seconds before the next attempt; None where there is none.

        Args:
            attempt: how many there have been.
            asked: seconds that the server asked for.
            luck: in [0, 1); spreads the attempts of several threads.
        """
        if attempt > self.retries or (asked is not None and asked > self.most_asked):
            return None
        own = min(self.longest, self.first * 2 ** min(attempt - 1, 30)) * (0.75 + luck / 2)
        return own if asked is None else asked + luck * self.first / 2


def asked_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for, given in (milli)seconds or as a date; None where it asks for nothing.

    Args:
        headers: of a reply, with names in lower case or a mapping that does not care.
        now: an aware time.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
