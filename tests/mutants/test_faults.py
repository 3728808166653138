"""Every fault can still be put in, changes what it says, and stands on the page."""

import re
from collections import Counter

import pytest
from mutants.faults import FAULTS
from mutants.page import row
from mutants.trial import ROOT

PAGE = ROOT / "docs" / "mutants.md"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_the_sound_text_stands_once_and_the_changed_file_compiles(fault):
    sound = (ROOT / "prefsmith" / fault.file).read_text(encoding="utf-8")
    broken = fault.put_into(sound)
    assert broken != sound
    compile(broken, fault.file, "exec")


def test_a_text_that_stands_elsewhere_too_is_refused():
    fault = FAULTS[0]
    with pytest.raises(ValueError, match="stands 2 times"):
        fault.put_into(fault.sound * 2)
    with pytest.raises(ValueError, match="stands 0 times"):
        fault.put_into("")


def test_there_are_thirty_and_each_is_another():
    assert len(FAULTS) >= 30
    assert [what for what, count in Counter(fault.what for fault in FAULTS).items() if count > 1] == []
    assert len({(fault.file, fault.sound, fault.broken) for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("test", sorted({test for fault in FAULTS for test in fault.tests}))
def test_the_tests_that_a_fault_names_are_there(test):
    file, _, name = test.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not name or f"def {name.partition('[')[0]}(" in text


def test_the_page_lists_the_faults_and_each_was_caught_by_a_test_that_is_there():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    tests = [re.search(r"\| `([^`]+)` `([^`]+)` \|$", line) for line in rows]
    assert rows == [
        row(fault, f"tests/{found[1]}::{found[2]}") if found else "" for fault, found in zip(FAULTS, tests, strict=True)
    ]
    for found in filter(None, tests):
        assert f"def {found[2]}(" in (ROOT / "tests" / found[1]).read_text(encoding="utf-8")
