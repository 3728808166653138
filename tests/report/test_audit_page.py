"""The page of an audit: every drawing has its table, nothing acts on it, and it takes what is not known."""

import json
import re

import pytest

from prefsmith.errors import ConfigError
from prefsmith.report.audit import audit_page, result, write_audit_page
from prefsmith.report.audited import AuditEvidence

HOSTILE = "<script>alert(1)</script>\u202e $x$ {{ 1 }}"


def share(value=0.6, low=0.5, high=0.7, n=40):
    return {"value": value, "low": low, "high": high, "n": n}


def feature(name, **changes):
    return {"feature": name, "chosen_more": 24, "chosen_less": 16, "equal": 3, "share": share(), "told_from_none": True,
            "standardised_difference": share(0.2, 0.1, 0.3), **changes}  # fmt: skip


def found(code, severity="note", **numbers):
    kind, _ = code.split(".")
    return {"kind": kind, "code": code, "severity": severity, "title": f"Title of {code}", "count": 3, "of": 40,
            "share": 0.075, "unit": "pairs", "effect": "it does this", "cure": "do that",
            "examples": [{"where": "rows.jsonl:3", "text": HOSTILE}], "numbers": numbers,
            "rows_in_audit_yaml": 0}  # fmt: skip


SPREAD = {"mean": 3.0, "p05": 1.0, "p25": 2.0, "p50": 3.0, "p75": 4.0, "p95": 5.0, "most": 6.0}
WORDS = {"words": {"chosen": SPREAD, "rejected": SPREAD},
         "histogram": {"edges": [0, 1, 2, 4], "chosen": [1, 20, 22], "rejected": [3, 30, 10]}}  # fmt: skip
TABLES = [{"tag": HOSTILE, "rows": 4, "share": share(), "thin": True}]
FINDINGS = [
    found("broken.identical", "error"),
    found("biased.length", "warning", features=[feature("words"), feature("characters")], **WORDS),
    found("biased.formatting", features=[feature("bold", share=share(None, None, None, 0))]),
    found("biased.refusals", features=[feature("refusal")]),
    found("biased.surface", accuracy=share(), weights={"words": 0.5, "bold": -0.1}, pairs=40, prompts=30,
          learnt_from=0.7),
    found("biased.position", annotators=[{"annotator": "p", "first": 3, "share": share(), "swayed": True}]),
    found("biased.source", writers=[{"writer": HOSTILE, "wins": 24, "share": share()}]),
    found("unreliable.annotators", annotators=[
        {"annotator": "person", "program": False, "share": share(), "verdict": ""},
        {"annotator": HOSTILE, "program": True, "share": share(0.2, 0.1, 0.3), "verdict": "reversed"},
    ], rule="by intervals"),
    found("unreliable.agreement", categories=[
        {"category": "c=1", "pairs": 4, "agreement": share(), "alpha": share(None, None, None, 4), "below": True}]),
    found("uncovered.topics", topics=[
        {"terms": ["bread", HOSTILE], "prompts": 30, "share": share(), "thin": False, "evaluated": 2},
        {"terms": [], "prompts": 1, "share": share(0.02, 0.0, 0.1), "thin": True, "evaluated": 0}]),
    found("uncovered.tags", tags=TABLES),
    found("uncovered.turns", turns=[{"turns": "1", "rows": 40, "share": share(), "thin": False}]),
    found("uncovered.languages", languages=[{"language": "en", "rows": 40, "share": share(), "thin": False}]),
    found("fit.length", tokens={"prompt": SPREAD, "chosen": SPREAD}),
    found("fit.distance", "warning", chosen=share(-2.0, -2.1, -1.9), rejected=share(-2.5, -2.6, -2.4), own=share(-1.0)),
    found("fit.margin", histogram={"edges": [-2.0, 0.0, 2.0], "pairs": [10, 30]}),
]  # fmt: skip


def evidence(*findings, name="rows.jsonl"):
    file = {"name": name, "part": "train", "rows": 43, "usable": 40, "refused": {"data.empty": 3}, "recognised": "rows",
            "notes": {"turned": 2}, "digest": {"sha256": "ab"}}  # fmt: skip
    return {"kind": "audit", "version": "0.1.0", "seed": 0, "files": [file], "counts": {}, "findings": list(findings)}


def test_every_drawing_has_its_table_below_it():
    """Fault: numbers that only a drawing shows."""
    page = audit_page(evidence(*FINDINGS))
    figures = re.split(r"<figure", page)[1:]
    assert len(figures) == 8
    assert all("<table" in each.split("</figure>")[1] for each in figures)


def test_what_users_write_is_text():
    page = audit_page(evidence(*FINDINGS, name=HOSTILE))
    assert "<script" not in page and "\u202e" not in page and "\\u27e8" not in page
    assert "&lt;script&gt;" in page and "{{ 1 }}" in page
    assert not re.search(r'(src|href)="(?!#)', page)


def test_the_worst_stands_in_the_overview_and_numbers_in_tables():
    page = audit_page(evidence(*FINDINGS))
    assert (
        result(AuditEvidence.model_validate(evidence(*FINDINGS))) == "1 error, 2 warnings and 13 notes about 43 rows."
    )
    assert "3 of 40 pairs (7.5%)" in page and "60.0 %" in page and "[50.0, 70.0]" in page
    assert "bread," in page and "no word stands out" in page and "\u22122.000" in page
    assert "data.empty" in page and "sha256" in page


@pytest.mark.parametrize("findings", [[], FINDINGS[:1], FINDINGS[2:3], FINDINGS[13:14]])
def test_little_evidence_makes_a_page_too(findings):
    page = audit_page(evidence(*findings))
    assert "</html>" in page and ("Nothing was found." in page) == (not findings)


def test_the_same_evidence_gives_the_same_bytes():
    assert audit_page(evidence(*FINDINGS)) == audit_page(evidence(*FINDINGS))


def test_a_folder_is_read_and_written(tmp_path):
    (tmp_path / "evidence.json").write_text(json.dumps(evidence(*FINDINGS)))
    assert write_audit_page(tmp_path) == tmp_path / "report.html"
    assert "Title of broken.identical" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "winrate"}', '{"kind": "audit", "findings": [{"kind": 1}]}'])
def test_other_evidence_is_refused(tmp_path, text):
    (tmp_path / "evidence.json").write_text(text)
    with pytest.raises(ConfigError, match=r"report\.evidence"):
        write_audit_page(tmp_path)
