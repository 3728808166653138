"""Trying faults on copies of the tree: the working tree is read once and never written.

Libraries are loaded once. Each trial runs its tests in a process forked from there, which loads the copy's own package.
"""

import multiprocessing
import os
import shutil
import sys
import xml.etree.ElementTree as xml
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path

from mutants.fault import Fault

ROOT = Path(__file__).parents[2]
READ_BY_TESTS = ("prefsmith", "tests", "docs", "recipes", "pyproject.toml")
LIBRARIES = ("torch", "transformers.models.llama.modeling_llama", "peft")
LONGEST = 600  # seconds that a trial may take; a fault may also make something endless
NOT_RUN = ("NameError", "ImportError", "ModuleNotFoundError", "SyntaxError")
"""What says that the changed program does not run at all: no test has caught anything then."""


@dataclass(frozen=True)
class Trial:
    """Tests, and the fault that is in the program while they run; none to see that they pass without."""

    tests: tuple[str, ...]
    fault: Fault | None = None


@dataclass(frozen=True)
class Verdict:
    """What the tests said.

    Args:
        passed: whether all did.
        failed: the first test that failed because of what it looks at, as pytest names it without parameters.
        output: what was printed.
    """

    passed: bool
    failed: str | None
    output: str


def load_libraries() -> None:
    """What takes long and is the same for every trial. Nothing of the package itself: that is the copy's."""
    for name in LIBRARIES:
        import_module(name)


def copy_tree(folder: Path) -> Path:
    """What the tests read, in a folder of its own, beside the shared data where there are any."""
    folder.mkdir(parents=True)
    for name in READ_BY_TESTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    shared = ROOT.parent / "shared"
    if shared.exists():
        (folder.parent / "shared").symlink_to(shared)
    return folder


@dataclass
class _Running:
    """A trial under way in a copy, which is sound again once the trial is finished."""

    trial: Trial
    copy: Path
    process: ForkProcess = field(init=False)
    sound: str = field(init=False, default="")

    def __post_init__(self) -> None:
        if self.trial.fault is not None:
            self.sound = self._file.read_text(encoding="utf-8")
            self._file.write_text(self.trial.fault.put_into(self.sound), encoding="utf-8")
        for name in ("report.xml", "printed.txt"):
            (self.copy / name).unlink(missing_ok=True)
        context = multiprocessing.get_context("fork")
        self.process = context.Process(target=_run_tests, args=(self.copy, self.trial.tests), daemon=True)
        self.process.start()

    @property
    def _file(self) -> Path:
        assert self.trial.fault is not None
        return self.copy / "prefsmith" / self.trial.fault.file

    def finish(self) -> Verdict:
        """What came of it; a trial that has not ended is ended."""
        self.process.kill()
        self.process.join()
        if self.trial.fault is not None:
            self._file.write_text(self.sound, encoding="utf-8")
        printed, report = self.copy / "printed.txt", self.copy / "report.xml"
        output = printed.read_text(encoding="utf-8", errors="replace") if printed.exists() else ""
        return Verdict(self.process.exitcode == 0, _first_failure(report) if report.exists() else None, output)


def run_trials(trials: Sequence[Trial], copies: Sequence[Path]) -> Iterator[tuple[Trial, Verdict]]:
    """As many at once as there are copies; each trial with its verdict as soon as it is known."""
    waiting, free = deque(trials), list(copies)
    running: dict[int, _Running] = {}
    try:
        while waiting or running:
            while waiting and free:
                begun = _Running(waiting.popleft(), free.pop())
                running[begun.process.sentinel] = begun
            # When nothing ends for so long, everything that runs is given up.
            for sentinel in wait(list(running), timeout=LONGEST) or list(running):
                assert isinstance(sentinel, int)
                ended = running.pop(sentinel)
                verdict = ended.finish()
                free.append(ended.copy)
                yield ended.trial, verdict
    finally:
        for each in running.values():
            each.finish()


def _run_tests(copy: Path, tests: Sequence[str]) -> None:
    """In a process of its own: run tests until the first fails, and exit as pytest does."""
    with (copy / "printed.txt").open("w", encoding="utf-8") as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
    os.chdir(copy)
    os.environ.update(PYTHONPATH=str(copy), OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1")
    # The copy's package and tests stand in front of the installed ones.
    sys.path[:] = [str(copy), *(each for each in sys.path if Path(each).resolve() != ROOT / "tests")]
    sys.dont_write_bytecode = True  # a fault of the same length in the same second would be taken for the sound file
    pytest = import_module("pytest")
    words = ["-x", "-q", "-p", "no:cacheprovider", "--tb=short", "--junitxml=report.xml", "-o", "junit_family=xunit1"]
    # A folder of its own: runs that share one tidy up behind each other, and stumble over it.
    words += [f"--basetemp={copy.parent / 'temporary'}"]
    # Without the checker of tensor shapes, which stands beside the tests: a test itself has to notice.
    words += ["-o", "addopts=--import-mode=importlib"]
    words += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of plugins that libraries have loaded before
    sys.exit(int(pytest.main([*words, *tests])))


def _first_failure(report: Path) -> str | None:
    """The first test whose body failed; what breaks while it is collected or prepared is an error, and no failure."""
    for case in xml.parse(report).getroot().iter("testcase"):
        failure = case.find("failure")
        if failure is not None and not failure.get("message", "").startswith(NOT_RUN):
            return f"{case.get('file')}::{case.get('name', '').partition('[')[0]}"
    return None
