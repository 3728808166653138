"""docs/agreement.md against the cases it is made of, and its numbers of TRL against our losses as they are now.

Here is no TRL: `make agreement` writes the page. What the page says of TRL is computed anew from our side of the same
rows, so that a page that is stale, or a loss that has changed since, is noticed by the ordinary tests.
"""

import json
import re
from pathlib import Path

import pytest
import torch

from agreement import problem
from agreement.cases import CASES, NOT_OURS
from agreement.compare import Found, Gap, Measured, Sides, Way
from agreement.different import DIFFERENT
from agreement.equal import EQUAL
from agreement.facts_options import loss_types, smoothing
from agreement.ours import Ours, encoded
from prefsmith.losses import LOSSES, resolve

PAGE = (Path(__file__).parents[2] / "docs" / "agreement.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
NUMBER = r"(0|\d\.\de[+-]\d\d)"


def rows(title):
    """The cells of every row of the table of a section, without its head."""
    lines = [line for line in SECTIONS[title].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


EQUAL_ROWS = dict(zip(EQUAL, rows("Equal"), strict=False))
DIFFERENT_ROWS = {row[0]: row for row in rows("Different, and why")}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """The rows of both kinds through the program's own reading and encoding."""
    folder = tmp_path_factory.mktemp("rows")
    found = {}
    for kind, make in problem.ROWS.items():
        file = folder / f"{kind}.jsonl"
        file.write_text("".join(json.dumps(row.as_dict()) + "\n" for row in make()), encoding="utf-8")
        found[kind] = encoded(file)
    return found


def rotated(pairs, size):
    """TRL's mismatched answers for KTO: that of the previous row, round each device batch."""
    before = [first + (place - 1) % size for first in range(0, len(pairs), size) for place in range(size)]
    return [pairs[row].completions[row % 2].ids for row in before]


def last_loss(pairs, case, parts, size, mismatched):
    """Our loss of the last step, as `make agreement` computes it."""
    dtype = torch.float64 if case.float64 else torch.float32
    foreign = rotated(pairs[case.rows], size) if mismatched == "theirs" else None
    return Ours(dtype, pairs[case.rows], foreign).batches(parts, size)[-1][0]


def near(said, value, case):
    """Equal in the digits that the page gives; less where TRL goes through float32."""
    loose = 1e-7 if case.float32_inside else 1e-9 * max(1.0, abs(value))
    return abs(float(said) - value) < (loose if case.float64 else 1e-4)


@pytest.mark.parametrize("key", EQUAL)
def test_trls_loss_on_the_page_is_what_ours_is_now(key, pairs):
    case = EQUAL[key]
    assert near(EQUAL_ROWS[key][2], last_loss(pairs, case, case.ours, problem.BATCH, case.mismatched), case)


@pytest.mark.parametrize("key", DIFFERENT)
def test_both_losses_of_a_difference_are_what_ours_are_now(key, pairs):
    case, row = DIFFERENT[key], DIFFERENT_ROWS[key]
    why = case.differs
    assert why is not None
    assert near(row[3], last_loss(pairs, case, case.ours, problem.BATCH, case.mismatched), case)
    assert near(row[4], last_loss(pairs, case, why.like, why.device_batch, why.mismatched), case), "explained"


@pytest.mark.parametrize("key", CASES)
def test_every_loss_of_a_case_is_registered_with_its_settings(key):
    case = CASES[key]
    for part in (*case.ours, *(case.differs.like if case.differs else ())):
        resolve(part.name, part.settings)


def test_the_page_has_a_row_for_every_case_and_no_other():
    named = [(f"`{' + '.join(map(str, case.ours))}`", f"`{case.theirs}`") for case in EQUAL.values()]
    assert [tuple(row[:2]) for row in rows("Equal")] == named
    assert [row[0] for row in rows("Different, and why")] == list(DIFFERENT)
    for key, case in DIFFERENT.items():
        assert DIFFERENT_ROWS[key][1:3] == [f"`{' + '.join(map(str, case.ours))}`", f"`{case.theirs}`"], key
    assert f"In {len(EQUAL)} of {len(CASES)} comparisons" in PAGE.replace("\n", " ")


def test_every_row_says_numbers_and_what_is_equal_is_small():
    for row in rows("Equal"):
        assert all(re.fullmatch(NUMBER, cell) and float(cell) < 1e-4 for cell in row[5:7])
        assert all(not cell or float(cell) < 1e-10 for cell in row[3:5])
    for row in rows("Different, and why"):
        assert re.fullmatch(NUMBER, row[5]) and max(float(row[5]), float(row[6])) > 1e-6
        assert all(re.fullmatch(NUMBER, cell) and float(cell) < 1e-7 for cell in row[7].split(", "))


@pytest.mark.parametrize("key", DIFFERENT)
def test_every_difference_is_explained_and_judged(key):
    why = DIFFERENT[key].differs
    assert why is not None
    assert f"**{key}.** {why.why}" in PAGE and f"*Right:* {why.right}" in PAGE
    assert "`trl/" in why.why or "_config.py`" in why.why, "the place in TRL's source is named"


def test_losses_without_a_counterpart_are_all_the_others():
    named = SECTIONS["Only in one of them"].partition("TRL 1.16 has not:")[2]
    covered = {name for case in CASES.values() for name in case.needed}
    assert set(re.findall(r"`(\w+)`", named)) == LOSSES.keys() - covered


def test_every_fact_says_what_both_do():
    facts = {row[0]: row[1:] for row in rows("Around the losses")}
    assert len(facts) >= 11
    assert all(len(cells) == 3 and all(cells) for cells in facts.values())
    assert facts["KTO on a file of pairs"][0].startswith("6 of 6")
    assert facts["accuracy before the first step, policy and reference the same weights"][:2] == ["0", "0.5"]


def test_a_word_of_trls_that_is_in_no_comparison_is_found():
    words: dict[str, list[str]] = {trainer: [] for trainer in ("DPO", "KTO", "CPO", "TPO", "SFT", "ORPO")}
    for case in CASES.values():
        given = case.theirs.arguments.get("loss_type", [])
        words[case.theirs.trainer] += [given] if isinstance(given, str) else given
    for trainer, word in NOT_OURS:
        words[trainer].append(word)
    assert loss_types(words).holds
    assert not loss_types(words | {"KTO": [*words["KTO"], "brand_new"]}).holds
    assert not loss_types(words | {"KTO": ["kto"]}).holds


def test_a_label_smoothing_that_is_read_where_it_was_not_is_found():
    kinds = {str(case.theirs.arguments["loss_type"]) for case in EQUAL.values() if case.theirs.trainer == "DPO"}
    read = {"exo_pair": [0.1, 0.2], "robust": [0.1, 0.2], "aot": [0.1, 0.2], "aot_unpaired": [0.1, 0.2]}
    assert smoothing({kind: [0.5, 0.5] for kind in kinds} | read).holds
    assert not smoothing({kind: [0.5, 0.5] for kind in kinds} | read | {"hinge": [0.5, 0.6]}).holds
    assert not smoothing({kind: [0.5, 0.5] for kind in kinds} | read | {"aot": [0.5, 0.5]}).holds


def measured(key, gap, left=None):
    case = CASES[key]
    return Measured(key, case, {"float64": gap}, {"float64": left} if left else {})


FAR, NEAR = Gap(0.1, 0.1, (0.6, 0.5)), Gap(1e-15, 1e-15, (0.5, 0.5))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (measured("dpo", NEAR), ""),
        (measured("dpo", Gap(1e-15, 1e-3, (0.5, 0.5))), "they differ by"),
        (measured("dpo", Gap(float("nan"), 0.0, (0.5, 0.5))), "they differ by"),
        (measured("dpo, label smoothing", FAR, NEAR), ""),
        (measured("dpo, label smoothing", FAR, FAR), "the explanation leaves"),
        (measured("dpo, label smoothing", NEAR, NEAR), "they no longer differ"),
    ],
)
def test_what_is_not_as_declared_is_found(row, says):
    assert row.problem.startswith(says) and bool(row.problem) == bool(says)
    assert Found([row]).as_declared is not bool(says)


def test_one_row_that_is_no_number_among_many_is_found(pairs, tmp_path):
    stored = {"batches": [1.0, 1.0, 1.0], "alone": [1.0, float("nan"), *[1.0] * 22]}
    for kind, groups in problem.ROWS.items():
        text = "".join(json.dumps(row.as_dict()) + "\n" for row in groups())
        (tmp_path / f"{kind}.jsonl").write_text(text, encoding="utf-8")
    ours = Ours(torch.float64, pairs["random"])
    gradients = {f"dpo/float64/{n}": each for n, (_, each) in enumerate(ours.batches(EQUAL["dpo"].ours, 8))}
    theirs = {"rows": dict.fromkeys(problem.ROWS), "values": {"dpo/float64": stored}, "mismatched": {}}
    gap = Sides(theirs, gradients, tmp_path).gap("dpo", "float64", Way(EQUAL["dpo"].ours, 8, "ours"))
    assert gap.gradients == 0.0 and gap.values == float("inf")


def test_what_both_environments_install_has_the_same_versions():
    here = Path(__file__)
    texts = [
        path.read_text(encoding="utf-8")
        for path in (here.with_name("constraints.txt"), here.parents[2] / "constraints.txt")
    ]
    theirs, ours = (dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.M)) for text in texts)
    assert {"torch", "transformers", "tokenizers", "datasets"} <= theirs.keys() & ours.keys()
    assert {name: theirs[name] for name in theirs.keys() & ours} == {name: ours[name] for name in theirs.keys() & ours}
    assert f"trl {theirs['trl']}, torch {theirs['torch']}" in PAGE
