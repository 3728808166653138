"""The page about an implicit reward: its drawings and tables, also of very little."""

import re

import numpy as np
import pytest
from planted_pairs import by_margin, scored

from prefsmith.evaluate.inspection import inspect, warnings
from prefsmith.report.implicit import MOST_PARTS, facts_of, page


def evidence(pairs, *, files=("pairs.jsonl",), name="runs/first", **changes):
    """As the method writes it."""
    found = {
        "kind": "implicit",
        "model": {"path": name, "origin": f"{name}/model", "sha256": "ab"},
        "reference": {"path": "base", "origin": "base", "sha256": "cd"},
        "beta": {"value": 0.1, "from": "run.yaml"},
        "seed": 0,
        "draws": 2000,
        "data": [{"path": each, "sha256": "ef", "rows": 9, "recognised": "preference rows", "notes": {"turned": 2}}
                 for each in files],
        "refused": {"data.empty": 1},
        "encoding": {"with an answer cut": 3},
        **inspect(pairs, 0.1, files=files),
    }  # fmt: skip
    return {**found, "warnings": warnings(found), **changes}


def some(count=60, **changes):
    random = np.random.default_rng(0)
    reference = random.normal(-30, 5, (count, 2))
    policy = reference + np.stack([random.normal(2, 4, count), np.zeros(count)], axis=1)
    return scored(policy, reference, tokens=random.integers(2, 40, (count, 2)), **changes)


def test_every_number_of_the_tables_is_on_the_page(drawings):
    found = evidence(some(tags=[("even",) if n % 2 else ("odd",) for n in range(60)]))
    text = page(found)
    assert text.count("<svg") == 3 and text.count("<table") >= 6 and "<script" not in text
    for row in (*facts_of(found).rules, *facts_of(found).numbers):
        for cell in row:
            assert cell.replace("<", "&lt;") in text, cell
    assert (
        "pairs.jsonl: 9 rows; preference rows" in text
        and "3 rows with an answer cut" in text
        and "1 data.empty" in text
    )


def test_the_result_names_the_rule_that_is_hardest_to_beat():
    tokens = np.stack([np.full(60, 9), np.full(60, 2)], axis=1)
    facts = facts_of(evidence(scored(np.tile([-9.0, -20.0], (60, 1)), np.tile([-15.0, -15.0], (60, 1)), tokens=tokens)))
    assert re.search(r"in 100.0 % \[9\d\.\d, 100.0\] of 60 pairs; .*“longer”, in 100.0 %", facts.result)


@pytest.mark.parametrize("pairs", [by_margin([2.0]), by_margin([0.0, 0.0]), by_margin([1.0, -1.0], prompt=[0, 0])])
def test_a_page_of_very_little_has_gaps_and_no_nan(pairs, drawings):
    text = page(evidence(pairs))
    assert "nan" not in text.lower().replace("nano", "") and "None" not in text


def test_text_from_files_is_shown_and_not_obeyed(drawings):
    bad = "<script>alert(1)</script>\u202e$x^2$"
    found = evidence(some(tags=[(bad,) if n % 2 else ("fine",) for n in range(60)]), name=bad, files=(bad,))
    text = page({**found, "warnings": [bad]})
    assert "<script" not in text and "\u202e" not in text and "⟨U+202E⟩" in text


def test_of_many_parts_the_largest_are_shown_and_the_others_counted():
    found = evidence(some(tags=[(f"part {n % (MOST_PARTS + 6):02}",) for n in range(60)]))
    text = page(found)
    assert "6 more are in evidence.json" in text and len(found["parts"]) == MOST_PARTS + 6
    assert "(few prompts)" in text


def test_the_same_evidence_gives_the_same_page(drawings):
    found = evidence(some())
    assert page(found) == page(found)
