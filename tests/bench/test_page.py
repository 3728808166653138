"""Records, ratios, tables, the page and the gate."""

from dataclasses import replace

import pytest
from speed import page, tables
from speed.arms import ARMS, BASELINES, MEMORY
from speed.gate import fallen
from speed.record import Measured, Records, Spread, Where, Whole, everywhere, place_of
from speed.regimes import REGIMES
from speed.sample import Padding

WHERE = Where("2026-01-02", "a machine", {"torch": "1.0"})
SECONDS = {
    "trl": [0.8, 1.0, 0.9],
    "trl-cached": [0.6, 0.6, 0.6],
    "trl-sorted": [0.4, 0.5, 0.4],
    "padded": [0.3, 0.3, 0.3],
    "each-step": [0.2, 0.5, 0.3],
    "cached": [0.1, 0.2, 0.2],
}


@pytest.fixture
def measured():
    exact = {"exact": 2.0}
    return Measured(
        title="some lengths",
        pairs=8,
        batch=4,
        vocabulary=100,
        unique=50.5,
        rows=20.0,
        padding=Padding(2.5, 1.5),
        population=Padding(2.6, 1.4),
        operations={"each-step": 4e9, "cached": 3e9},
        seconds=SECONDS,
        rate=[2e10, 3e10, 1e10],
        peak={arm: 2**20 * place for place, arm in enumerate([*ARMS, *MEMORY])},
        loss={arm: 2.0 + 2e-6 * place for place, arm in enumerate(ARMS)} | exact,
        norm={arm: 2.0 - 4e-6 * place for place, arm in enumerate(ARMS)} | exact,
        where=WHERE,
    )


@pytest.fixture
def records(measured):
    whole = Whole(200, 8, 4096, {"trl": [90.0], "prefsmith": [30.0], "prefsmith-cached": [25.0]}, WHERE)
    return Records({"chat": measured, "hh": replace(measured, title="others", peak={})}, whole)


def test_a_ratio_is_taken_round_by_round_against_the_arms_rival(measured):
    assert measured.ratio("trl") == Spread(3.0, 2.0, 4.0)  # against the arm that runs the reference too
    assert measured.ratio("trl-cached") == Spread(pytest.approx(3.0), pytest.approx(3.0), pytest.approx(6.0))
    assert {arm.rival for arm in BASELINES.values()} <= ARMS.keys() - BASELINES.keys()


def test_a_share_is_of_the_median_rate_in_the_median_time(measured):
    assert measured.share("cached") == pytest.approx(3e9 / 0.2 / 2e10)


def test_how_far_an_arm_is_from_float64(measured):
    assert measured.apart("trl-cached") == (pytest.approx(1e-6, rel=1e-3), pytest.approx(2e-6, rel=1e-3))


def test_records_come_back_as_they_were_written(records, tmp_path):
    records.write(tmp_path / "records.json")
    assert Records.read(tmp_path / "records.json") == records
    assert Records.read(tmp_path / "none.json") == Records()


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("AMD EPYC, 2 cores, 24 GiB", "amd-epyc"),
        ("Intel(R) Xeon(R) Processor, 8 cores, 24 GiB", "intel-xeon"),
        ("Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz, 12 cores, 16 GiB", "intel-core-i7-9750h-2.60ghz"),
    ],
)
def test_a_kind_of_processor_has_a_file(machine, name):
    assert place_of(machine).name == f"{name}.json"


def test_the_processor_with_the_most_rows_comes_first_and_of_these_the_newest(records, tmp_path):
    few, old = (
        Records(records.regimes),
        replace(records, whole=replace(records.whole, where=replace(WHERE, date="2025"))),
    )
    new = replace(records, whole=replace(records.whole, where=replace(WHERE, date="2026-02-01")))
    for name, each in (("a", few), ("b", old), ("c", new)):
        each.write(tmp_path / f"{name}.json")
    assert everywhere(tmp_path) == [new, old, few]


def test_other_processors_have_their_ratios_on_the_page_and_the_readme_says_the_range(records, measured):
    where = replace(WHERE, machine="another, 2 cores")
    slower = replace(measured, where=where, seconds={**SECONDS, "trl": [0.4, 0.5, 0.45]})
    text = page.render([records, Records({"chat": slower})])
    assert text.count("On 2026-01-02: another, 2 cores; torch 1.0.") == 1
    assert "| 1.50 (1.00-2.00) |" in text and "| 3.00 (2.00-4.00) |" in text
    assert "TRL takes 1.5 to 3.0 times as long" in page.headline([records, Records({"chat": slower})])
    assert "TRL takes 3.0 times as long" in page.headline([records])


def test_a_table_is_in_line_and_keeps_its_cells():
    assert tables.table(["a", "b"], [["long", "1"], ["c", "100"]]) == (
        "| a    |   b |\n|:-----|----:|\n| long |   1 |\n| c    | 100 |"
    )


def test_a_row_says_medians_with_their_spread(measured):
    row = tables.ratios({"chat": measured}).splitlines()[2]
    assert [cell.strip() for cell in row.strip("|").split("|")][:4] == [
        "some lengths", "4", "3.00 (2.00-4.00)", "3.00 (3.00-6.00)",
    ]  # fmt: skip


def test_rows_without_memory_are_left_out_of_its_table(records):
    assert "some lengths" in tables.peaks(records.regimes) and "others" not in tables.peaks(records.regimes)


def test_a_whole_run_is_compared_with_the_plain_command_and_with_a_cached_reference(records):
    assert records.whole is not None
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in tables.whole(records.whole).splitlines()]
    assert [row[1:] for row in rows[2:]] == [["90", "3.00", "3.60"], ["30", "", ""], ["25", "", ""]]


def test_the_page_says_what_is_missing_and_where_it_was_measured(records):
    text = page.render([records])
    assert "On 2026-01-02: a machine; torch 1.0." in text
    missing = [key for key in REGIMES if key not in records.regimes]
    assert f"Not measured yet: {', '.join(missing)}." in text
    every = dict.fromkeys(REGIMES, records.regimes["chat"])
    assert "Not measured yet" not in page.render([replace(records, regimes=every)])
    assert "Not measured yet" in page.render([replace(records, regimes=every, whole=None)])


def test_the_page_is_that_of_the_records():
    assert page.PAGE.read_text(encoding="utf-8") == page.render(everywhere()), "run `make bench`, or page.write"


def test_the_readme_says_what_was_recorded():
    readme = " ".join((page.ROOT / "README.md").read_text(encoding="utf-8").split())
    assert page.headline(everywhere()) in readme


def test_the_gate_falls_below_085_of_what_was_recorded():
    recorded = {"chat": {"trl": 4.0, "padded": 2.0}}
    assert fallen({"chat": {"trl": 3.41, "padded": 1.71}}, recorded) == []
    assert fallen({"chat": {"trl": 3.39, "padded": 1.71}}, recorded) == ["chat, trl: 3.39, recorded 4.00"]


def test_the_gate_says_nothing_of_what_was_never_recorded():
    assert fallen({"chat": {"new": 0.1}, "other": {"trl": 0.1}}, {"chat": {"trl": 4.0}}) == []
