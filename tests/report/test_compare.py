"""Several runs on one page."""

import re
import xml.etree.ElementTree
from itertools import pairwise
from pathlib import Path

import pytest
from markupsafe import escape

from prefsmith.errors import ConfigError
from prefsmith.report import draw, read_run
from prefsmith.report.compare import compare, differing_settings, letter_of
from prefsmith.report.page import POLICY
from prefsmith.report.plots import run_look


def pages(*folders):
    return compare([read_run(folder) for folder in folders])


@pytest.fixture
def two(record, rows, settings, evidence):
    """Runs that differ in beta, in their rows and in what came of them."""
    better = [{**row, "accuracy": 0.7, "accuracy_low": 0.62, "accuracy_high": 0.77} for row in rows[0](40, seed=1)]
    other = {"run.yaml": settings(loss={"beta": 0.7}), "metrics.jsonl": better, "evidence.json": evidence}
    return record("first"), record("second", other)


def words(text):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text[text.index("</style>") :]))


def test_results_stand_side_by_side_with_their_intervals(two):
    text = words(pages(*two))
    assert "58.5 % [50.1, 66.5]" in text and "70.0 % [62.0, 77.0]" in text
    assert text.index("58.5 %") < text.index("70.0 %") and "0.50 [0.50, 0.50]" in text
    assert f"{two[0]} Finished" in text and "30 steps" in text and "40 steps" in text


def test_only_the_settings_that_differ_are_shown(two):
    assert differing_settings([read_run(each) for each in two]) == [("loss.beta", ("0.2", "0.7"))]
    text = words(pages(*two))
    assert "loss.beta 0.2 0.7" in text and "optim.learning_rate" not in text


def test_a_setting_that_one_run_lacks_differs(record, settings):
    one, other = record("one"), record("other", {"run.yaml": "version: 1\nloss: {name: sft}\n"})
    assert ("loss.beta", ("0.2", "")) in differing_settings([read_run(one), read_run(other)])


def test_what_cannot_be_compared_is_said(two, record, settings, rows):
    assert "Their losses differ" in pages(*two) and "held-out rows, so" not in pages(*two)
    same = pages(two[0], record("same"))
    for remark in ("Their losses differ", "do not start from the same model", "not evaluated on the same"):
        assert remark not in same
    others = {
        "model": {"model.json": {"origin": "x", "sha256": "other"}},
        "data": {"data.json": {"train": {"path": "b", "sha256": "other"}}},
        "split": {"run.yaml": settings(data={"eval_fraction": 0.3})},
        "nothing": {"metrics.jsonl": rows[0](every=0)},
    }
    said = {name: pages(two[0], record(name, changes)) for name, changes in others.items()}
    assert "They do not start from the same model (A; B)." in said["model"]
    assert "not evaluated on the same held-out rows" in said["data"] and "same held-out rows" in said["split"]
    assert "No held-out rows were evaluated in B" in said["nothing"]


def test_warnings_of_each_run_are_there(record, rows):
    still = [{**row, "loss": 0.6931} for row in rows[0]()]
    text = words(pages(record("well"), record("still", {"metrics.jsonl": still})))
    assert re.search(r"A well None\..*B still Warning The loss has not moved", text, re.I)


def test_lines_are_told_apart_without_colour():
    looks = [(str(look["linestyle"]), look["marker"]) for look in map(run_look, range(30))]
    assert len(set(looks)) == 30
    assert all(one != two for one, two in pairwise(looks))
    assert [letter_of(index) for index in (0, 25, 26, 27, 52)] == ["A", "Z", "AA", "AB", "BA"]


def test_the_page_is_safe_and_in_order(two, record, drawings):
    hostile = record("<script>alert(1)</script>", {"run.yaml": "loss: {name: '</style><img src=x>'}\nz: \"\\u202e\"\n"})
    text = pages(*two, hostile)
    assert "<script" not in text and "<img" not in text and "\u202e" not in text
    assert f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">' in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) and set(re.findall(r'xlink:href="#([^"]+)"', text)) <= set(ids)
    drawn = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(drawn) == 3 + 7 + 1  # a swatch each, the curves, the frontier
    for each in drawn:
        xml.etree.ElementTree.fromstring(each)
    assert (text == pages(*two, hostile)) is True


def test_runs_without_anything_in_them_are_compared(record, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "environment.json").write_text("{}")
    assert "No step has been measured." in words(pages(bare, bare))
    pages(record(), bare)


def test_the_comparison_is_written_beside_the_runs_or_where_it_is_wanted(two, tmp_path, record):
    assert draw(list(two)).path == tmp_path.resolve() / "comparison.html"
    assert draw([two[0], record("deep/er")]).path == tmp_path.resolve() / "comparison.html"
    assert draw(list(two), tmp_path / "x.html").path == tmp_path / "x.html"
    assert not (two[0] / "report.html").exists()


def test_a_run_is_not_compared_with_itself(two):
    with pytest.raises(ConfigError) as caught:
        draw([two[0], Path(f"{two[0]}/../first")])
    assert caught.value.code == "report.twice" and caught.value.fix
