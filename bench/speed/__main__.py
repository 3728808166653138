"""cd bench && ../.venv/bin/python -m speed quick | bench | full | gate [--only REGIME ...]"""

import argparse
import sys
from dataclasses import replace

from . import page, tables
from .arms import ARMS, MEMORY
from .driver import Effort, measure
from .gate import fallen
from .machine import machine
from .record import Measured, Records, everywhere, place_of
from .regimes import FIRST, REGIMES
from .whole import measure_whole

WHOLE = "whole"


def quick() -> None:
    """One row on a small sample, printed; the third round only where the machine is fast enough for three minutes."""
    found = {"chat": measure(REGIMES["chat"], Effort(16, seconds=120, peaks=False), _say)}
    _print_tables(found)


def bench(only: list[str], rounds: int, times: int) -> None:
    """Measure rows on samples `times` as large, and write the record and the page after each."""
    place = place_of(machine())
    records = _of_these_arms(Records.read(place))
    for key in only:
        try:
            if key == WHOLE:
                records = replace(records, whole=measure_whole(1 if times == 1 else 3, _say))
            else:
                measured = measure(REGIMES[key], Effort(times * REGIMES[key].pairs, rounds), _say)
                kept = {**records.regimes, key: measured}
                records = replace(records, regimes={each: kept[each] for each in REGIMES if each in kept})
        except FileNotFoundError as error:
            _say(f"{key} is skipped: {error}")
            continue
        records.write(place)
        page.write()
    _print_tables({key: each for key, each in records.regimes.items() if key in only})
    if records.whole is not None and WHOLE in only:
        print("\n" + tables.whole(records.whole))
    print(f"\nThe page is {page.PAGE}")
    if "chat" in only and "chat" in records.regimes:
        print(f"The README says: {page.headline(everywhere())}")


def _of_these_arms(records: Records) -> Records:
    """Without the rows that were measured with other arms, which no table could hold beside today's."""
    kept = {key: each for key, each in records.regimes.items() if {*ARMS, *MEMORY} <= {*each.peak}}
    for key in records.regimes.keys() - kept.keys():
        _say(f"{key} was recorded with other arms, and is forgotten")
    return replace(records, regimes=kept)


def gate(only: list[str]) -> int:
    """Measure rows again as they were recorded; 1 where one fell."""
    place = place_of(machine())
    if not place.exists():
        _say(
            f"nothing is recorded on this kind of processor ({machine()}): `make bench` does it, and a gate comes after"
        )
        return 2
    recorded = Records.read(place)
    found = {
        key: measure(REGIMES[key], Effort(recorded.regimes[key].pairs, peaks=False), _say)
        for key in only
        if key in recorded.regimes
    }
    _print_tables(found)
    worse = fallen(Records(found).ratios(), recorded.ratios())
    print("\n".join(["", *(worse or ["No ratio is under 0.85 of the recorded one."])]))
    return 1 if worse else 0


def _print_tables(found: dict[str, Measured]) -> None:
    shown = [tables.ratios, tables.seconds, tables.samples, tables.agreement]
    shown += [tables.peaks] * any(each.peak for each in found.values())
    for each in shown:
        print("\n" + each(found))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="speed", description=__doc__)
    parser.add_argument("what", choices=["quick", "bench", "full", "gate"])
    parser.add_argument(
        "--only", nargs="+", choices=[*REGIMES, WHOLE], metavar="ROW", help="; ".join([*REGIMES, WHOLE])
    )
    options = parser.parse_args()
    if options.what == "quick":
        quick()
    elif options.what == "gate":
        return gate(options.only or ["chat"])
    else:
        full = options.what == "full"
        bench(options.only or [*(REGIMES if full else FIRST), WHOLE], 5 if full else 3, 2 if full else 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
