"""`make mutants`: break the program in one place at a time, and see that the ordinary tests notice.

    python -m mutants PAGE      (in tests/) try every fault, and write the table
    python -m mutants NUMBER... try some, counted from 0, and show what their tests say

Exit status 0 when every fault was caught, 1 when one was not, or when the tests fail without any.
"""

import sys
import tempfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from mutants.fault import Fault
from mutants.faults import FAULTS
from mutants.page import page
from mutants.trial import Trial, copy_tree, load_libraries, run_trials

AT_ONCE = 2


def main(arguments: list[str]) -> int:
    """Try the faults; the arguments are the page to write, or the numbers of some of them."""
    some = [FAULTS[int(each)] for each in arguments if each.isdigit()]
    chosen = some or FAULTS
    load_libraries()
    with tempfile.TemporaryDirectory() as folder:
        copies = [copy_tree(Path(folder) / str(number) / "tree") for number in range(AT_ONCE)]
        for fault in chosen:  # one that cannot be put in is told now, and not after minutes
            fault.put_into((copies[0] / "prefsmith" / fault.file).read_text(encoding="utf-8"))
        if not _sound(chosen, copies):
            return 1
        caught: dict[str, str] = {}
        for trial, verdict in run_trials([Trial(fault.tests, fault) for fault in chosen], copies):
            assert trial.fault is not None
            if verdict.failed is not None:
                caught[trial.fault.what] = verdict.failed
            says = f"caught by {verdict.failed}" if verdict.failed else "MISSED"
            print(f"{len(caught):3}  {trial.fault.what} ({trial.fault.file}): {says}", flush=True)
            if verdict.failed is None or some:
                print(verdict.output[-3000:])
    missed = [fault for fault in chosen if fault.what not in caught]
    if not missed and not some:
        Path(arguments[0]).write_text(page(chosen, caught), encoding="utf-8")
    print(f"{len(caught)} of {len(chosen)} faults were caught")
    return 1 if missed else 0


def _sound(faults: Sequence[Fault], copies: Sequence[Path]) -> bool:
    """Whether the tests of the faults pass without any: only then do they say something about faults."""
    tests = sorted({test for fault in faults for test in fault.tests})
    files = [tuple(each) for _, each in groupby(tests, key=lambda test: test.partition("::")[0])]
    print(f"{len(tests)} tests and files of tests without a fault ...", flush=True)
    failed = [verdict for _, verdict in run_trials([Trial(each) for each in files], copies) if not verdict.passed]
    for verdict in failed:
        print(verdict.output[-3000:])
    print("they fail, so that nothing can be said about faults" if failed else "they pass", flush=True)
    return not failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
