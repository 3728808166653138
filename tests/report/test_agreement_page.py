"""The page of `eval agreement`: what it says, that it is well-formed, and that names of others stay names."""

import json
import re
import xml.etree.ElementTree

import pytest
from judged import judgements

from prefsmith.errors import ConfigError
from prefsmith.evaluate.agreement import measure
from prefsmith.evaluate.agreement.figure import Gauge
from prefsmith.report.agreement import agreement_page, results, write_agreement_page
from prefsmith.report.judged import JudgedEvidence
from prefsmith.report.page import POLICY

NASTY = '<b onclick="x">$x^2$ & judge\x1b[2J\u202e'


def evidence_of(*files):
    """As it comes back from the disk."""
    found = [measure(each, Gauge(draws=50)).as_dict() for each in files]
    text = json.dumps({"kind": "agreement", "version": "1", "seed": 0, "draws": 50, "files": found}, allow_nan=False)
    return JudgedEvidence.model_validate_json(text)


def full(name="judge"):
    """A file that has all there is to show."""
    truth = "abab" * 10
    return judgements(
        [truth, "abbb" * 10],
        {name: "abat" * 10, "other": "a-ab" * 10},
        {"shown": [truth, "a" * 40], "biased": ["a" * 40, "b" * 40]},
        lengths=[(3 + place, 20) for place in range(40)],
        methods=[("x", "y"), ("z", "y")] * 20,
        tags=[("kind=code",), ("kind=prose",)] * 20,
    )


def words(text):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text[text.index("</style>") :]))


def drawings(text):
    return re.findall(r"<svg.*?</svg>", text, re.S)


def test_the_page_says_what_was_measured():
    text = agreement_page(evidence_of(full()))
    plain = words(text)
    assert "40 pairs of answers to 40 prompts" in plain and "2 people, 4 judges" in plain
    assert "Two people say the same in 75.0 % [59.8, 85.8] of what both judged." in plain
    assert "The place of an answer sways 2 of 2 judges, most of all biased" in plain
    for heading in ("Agreement with people", "People", "Places", "Lengths", "Method against method", "By category"):
        assert heading in plain
    assert "always first : second" in plain and "0 : 20" in plain and "40 : 0" in plain
    assert POLICY.replace("'", "&#39;") in text or POLICY in text


def test_without_people_no_column_is_about_them():
    plain = words(agreement_page(evidence_of(judgements([], {"judge": "ab" * 20}, methods=[("x", "y")] * 40))))
    assert "judge 40 pairs 40 0 0" in plain and "win rate" in plain and "agrees with" not in plain


def test_few_prompts_are_said_beside_the_interval():
    few, many = (words(agreement_page(evidence_of(judgements(["ab" * n] * 2, {"judge": "ab" * n})))) for n in (5, 15))
    assert "100.0 % [72.2, 100.0] n = 10 only 10 prompts" in few and "only 30 prompts" not in many


def test_drawings_are_well_formed_have_unique_ids_and_a_table_each():
    text = agreement_page(evidence_of(full(), full("second")))
    found = drawings(text)
    assert len(found) == 6
    for drawing in found:
        xml.etree.ElementTree.fromstring(drawing)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert text.count("<table") >= len(found)


def test_a_drawing_shows_every_judge_at_its_value():
    text = agreement_page(evidence_of(full()))
    description = re.search(r'<desc id="agreement-0-description">(.*?)</desc>', text)[1]
    judges = evidence_of(full()).files[0].whole.judges
    assert description.startswith("people, two by two: 0.750")
    assert all(f"{judge.name}: {judge.majority.value:.3f}" in description for judge in judges)


def test_names_are_neither_markup_nor_formulas_nor_orders_to_a_terminal():
    text = agreement_page(evidence_of(full(NASTY)))
    assert "<b onclick" not in text and "&lt;b onclick" in text and "\x1b" not in text and "\u202e" not in text
    assert "$x^2$" in text
    for drawing in drawings(text):
        xml.etree.ElementTree.fromstring(drawing)


@pytest.mark.parametrize(
    ("file", "absent"),
    [
        (judgements(["ab"]), ["Places", "Lengths", "Method against method"]),
        (judgements([], {"judge": "ab"}), ["People", "Places"]),
        (judgements(["ab"], {"judge": "--"}), ["Lengths"]),
        (judgements(["t."], {"judge": ".a"}), ["Lengths"]),
        (judgements(["a"], both={"judge": ["a", "b"]}), []),
    ],
)
def test_what_is_not_known_is_left_out_and_the_page_is_whole(file, absent):
    text = agreement_page(evidence_of(file))
    headings = re.findall(r"<h3>(.*?)</h3>", text)
    assert not set(absent) & set(headings) and "warning" in words(text) and "None" not in words(text)
    assert "nan" not in words(text).split()


def test_sentences_of_one_label_and_of_a_judge_without_people():
    (one,) = evidence_of(judgements(["ab" * 20], {"judge": "ab" * 20})).files
    assert list(results(one)) == ["judge says what people say in 100.0 % [91.2, 100.0] of its votes."]
    (none,) = evidence_of(judgements([], {"judge": "ab"})).files
    assert list(results(none)) == []


def test_the_page_is_written_beside_its_evidence_and_not_over_other_files(tmp_path):
    evidence = evidence_of(full())
    (tmp_path / "evidence.json").write_text(evidence.model_dump_json())
    assert write_agreement_page(tmp_path).read_text() == agreement_page(evidence)
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(ConfigError) as caught:
        write_agreement_page(tmp_path)
    assert caught.value.code == "report.exists" and (tmp_path / "report.html").read_text() == "mine"


@pytest.mark.parametrize("text", [None, "", "{}", '{"kind": "winrate"}', '{"kind": "agreement", "files": []}'])
def test_other_evidence_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "evidence.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        write_agreement_page(tmp_path)
    assert caught.value.code == "report.evidence" and "evidence.json" in caught.value.where
