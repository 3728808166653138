"""A file with faults of every kind of rows: each is found with its count, and nothing else is above a note."""

import pytest
from planted_faults import clean_rows, contradicting_rows, damaged_rows, nearly, refused_rows, repeated_rows, write

from prefsmith.audit.broken import Broken
from prefsmith.audit.checks import all_checks
from prefsmith.audit.contradictory import Contradictory
from prefsmith.audit.repeated import Repeated
from prefsmith.audit.run import audit

CHECKS = (Broken(), Contradictory(), Repeated())


def counts(result, *severities):
    return {
        finding.code: finding.count for finding in result.findings if not severities or finding.severity in severities
    }


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    clean = clean_rows(200)
    faults = [*refused_rows(), *damaged_rows(), *contradicting_rows(), *repeated_rows(clean)]
    train = write(folder / "train.jsonl", [*clean, *faults])
    leaked = [{**row, "prompt": clean[n]["prompt"]} for n, row in enumerate(clean_rows(3, 50), start=20)]
    near = [{**row, "prompt": nearly(clean[n]["prompt"])} for n, row in enumerate(clean_rows(2, 51), start=30)]
    held_out = write(folder / "eval.jsonl", [*clean_rows(40, 52), *leaked, *near])
    known = [{**row, "prompt": clean[n]["prompt"]} for n, row in enumerate(clean_rows(4, 53), start=40)]
    other = write(folder / "other.jsonl", [*clean_rows(30, 54), *known])
    return audit([(train, "train"), (held_out, "eval"), (other, "other")], CHECKS)


def test_every_fault_is_found_with_its_count(planted):
    assert counts(planted, "error") == {
        "broken.identical": 3,
        "broken.empty": 2,
        "broken.diverge": 4,
        "broken.type": 2,
        "broken.unreadable": 1,
        "repeated.leaked": 3,
        "repeated.leaked_other": 4,
    }
    assert counts(planted, "warning") == {
        "broken.control_token": 5,
        "broken.mojibake": 3,
        "broken.replacement": 2,
        "broken.control_character": 2,
        "broken.same_words": 2,
        "contradictory.both_ways": 6,
        "contradictory.cycle": 3,
        "contradictory.tie_as_win": 4,
        "contradictory.against_scores": 2,
        "repeated.rows": 5,
        "repeated.near_rows": 4,
        "repeated.near_leaked": 2,
        "repeated.constant": 12,
    }


def test_notes_are_what_repeated_rows_bring_with_them(planted):
    # The three answers of the cycle win and lose; its prompt, those of copies and of turned pairs stand more than once.
    assert counts(planted, "note") == {"contradictory.both_sides": 3, "repeated.prompts": 3 + 10 + 6}


def test_examples_name_the_lines(planted):
    found = {finding.code: finding for finding in planted.findings}
    lines = {code: [int(each.where.rpartition(":")[2]) for each in finding.examples] for code, finding in found.items()}
    assert lines["broken.identical"] == [201, 202, 203]
    assert lines["broken.unreadable"] == [212]
    assert lines["broken.control_token"] == [213, 214, 215]
    assert "<|im_end|>" in found["broken.control_token"].examples[0].text
    assert lines["repeated.leaked"] == [41, 42, 43]
    assert f"{planted.data.files[0].name}:21" in found["repeated.leaked"].examples[0].text
    assert "\\u0000" in found["broken.control_character"].examples[0].text, "control characters are made visible"


def test_counts_add_up(planted):
    train = planted.data.files[0]
    assert train.rows == 200 + 12 + 14 + 15 + 21
    assert train.rows - len(train.groups) == sum(train.codes.values()) == 12
    assert all(0 < finding.count <= finding.of for finding in planted.findings)


def test_clean_rows_stay_clean(tmp_path):
    files = [(write(tmp_path / f"{part}.jsonl", clean_rows(150, part)), part) for part in ("train", "eval", "other")]
    assert counts(audit(files, CHECKS)) == {}


def test_no_other_kind_of_check_sees_a_fault_in_them(planted, tmp_path):
    files = [(file.name, file.part) for file in planted.data.files]
    assert counts(audit(files, all_checks()[3:], workers=0), "error", "warning") == {}
    clean = [(write(tmp_path / f"{part}.jsonl", clean_rows(150, part)), part) for part in ("train", "eval")]
    assert counts(audit(clean, all_checks(), workers=0), "error", "warning") == {}


def test_worker_processes_find_the_same(planted):
    files = [(file.name, file.part) for file in planted.data.files]
    shared = audit(files, CHECKS, workers=2)
    assert [each.to_json() for each in shared.findings] == [each.to_json() for each in planted.findings]
