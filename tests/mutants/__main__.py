"""`make mutants`: break the program in one place at a time, and see that the ordinary tests notice.

    python -m mutants PAGE      (in tests/) run them all and write the table
    python -m mutants NUMBER    run one, and show what its tests say

Exit status 0 when every fault was caught, 1 when one was not, or when the tests fail without any.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutants.faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
PAGE = """\
# Faults that the tests catch

Each line is a fault that was put into the program by hand, one at a time, and the first of the ordinary tests that
failed because of it. `make mutants` does it again and writes this page; it fails if a fault gets through.

| fault | file | caught by |
|---|---|---|
{rows}

{count} faults, all caught.
"""


@dataclass(frozen=True)
class Outcome:
    """What the tests said: the first that failed, or None if none did."""

    fault: Fault
    caught_by: str | None
    output: str


def main(arguments: list[str]) -> int:
    """Run the faults; the argument is the page to write, or the number of one fault."""
    chosen = [FAULTS[int(arguments[0])]] if arguments[0].isdigit() else list(FAULTS)
    with tempfile.TemporaryDirectory() as folder:
        copies = [_copy(Path(folder) / str(number)) for number in range(AT_ONCE)]
        sound = _pytest(copies[0], sorted({test for fault in chosen for test in fault.tests}))
        if sound.returncode:
            print(sound.stdout[-4000:])
            print("without any fault, these tests fail: nothing can be said about faults")
            return 1
        free = list(copies)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(lambda fault: _tried(fault, free), chosen))
    for outcome in outcomes:
        print(f"{'caught ' if outcome.caught_by else 'MISSED '} {outcome.fault.what}  ({outcome.caught_by})")
    missed = [outcome for outcome in outcomes if outcome.caught_by is None]
    if len(chosen) == 1:
        print(outcomes[0].output[-3000:])
    elif not missed:
        Path(arguments[0]).write_text(_page(outcomes), encoding="utf-8")
    print(f"{len(outcomes) - len(missed)} of {len(outcomes)} faults were caught")
    return 1 if missed else 0


def _copy(folder: Path) -> Path:
    """What the tests read, apart from the working tree."""
    folder.mkdir()
    for name in ("prefsmith", "tests", "docs", "recipes", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    if (ROOT.parent / "shared").exists() and not (folder.parent / "shared").exists():
        (folder.parent / "shared").symlink_to(ROOT.parent / "shared")
    return folder


def _tried(fault: Fault, free: list[Path]) -> Outcome:
    copy = free.pop()  # as many copies as threads, so there is always one
    try:
        path = copy / "prefsmith" / fault.file
        sound = path.read_text(encoding="utf-8")
        path.write_text(fault.put_into(sound), encoding="utf-8")
        try:
            ran = _pytest(copy, fault.tests)
        finally:
            path.write_text(sound, encoding="utf-8")
    finally:
        free.append(copy)
    return Outcome(fault, _first_failure(ran.stdout) if ran.returncode else None, ran.stdout)


def _pytest(copy: Path, tests: list[str] | tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """The tests, until the first fails; the copy's own package stands in front of the installed one."""
    words = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=line", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True, check=False)


def _first_failure(output: str) -> str:
    found = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?:\[.*?\])?(?: - .*)?$", output, re.M)
    return found[1] if found else "the tests cannot be collected"


def _page(outcomes: list[Outcome]) -> str:
    rows = [
        f"| {outcome.fault.what} | `{outcome.fault.file}` | `{str(outcome.caught_by).replace('::', '` `')}` |"
        for outcome in outcomes
    ]
    return PAGE.format(rows="\n".join(rows), count=len(rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
