"""The key of a judge's server goes into one header and nowhere else."""

import logging
import traceback

import pytest
from stub_judge import Answer, failed, pairs, prefers, said, serving

from prefsmith.errors import ConfigError, PrefsmithError

pytest.importorskip("openai", reason="the extra `judge` is not installed")
CANARY = "sk-CANARY-0123456789"


@pytest.fixture(autouse=True)
def canary(monkeypatch, caplog):
    monkeypatch.setenv("JUDGE_KEY", CANARY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-OTHER")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-ADMIN")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-OTHER")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-OTHER")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Key: sk-OTHER\nauthorization: Bearer sk-OTHER")
    caplog.set_level(logging.DEBUG)


def found_in(judging, caplog, capsys, error=None):
    """Everything that a run leaves behind."""
    out = capsys.readouterr()
    kept = [
        out.out,
        out.err,
        caplog.text,
        *judging.messages,
        repr(vars(judging.judge)),
        str(judging.judge.describe()),
    ]
    kept += [path.read_text() for path in judging.journal.parent.rglob("*") if path.is_file()]
    while error is not None:
        kept += [str(error), repr(error), *traceback.format_exception(error)]
        error = error.__context__ or error.__cause__
    return "\n".join(kept)


def test_it_is_sent_and_not_kept(judging, caplog, capsys):
    with serving(lambda asked: said(f"Your key is {CANARY}.\n{asked.verdict('A')}")) as stub:
        judging(stub, pairs(2), key_variable="JUDGE_KEY")
    assert {asked.headers["authorization"] for asked in stub.asked} == {f"Bearer {CANARY}"}
    assert "OTHER" not in str(stub.asked[0].headers) and "ADMIN" not in str(stub.asked[0].headers)
    kept = found_in(judging, caplog, capsys)
    assert "Your key is [key]" in kept and "CANARY" not in kept


@pytest.mark.parametrize("trouble", [
    failed(401, f"wrong key {CANARY}"), failed(403, CANARY), failed(400, f"bad {CANARY}"), failed(500, CANARY),
    failed(429, CANARY), failed(404, CANARY), Answer(CANARY.encode(), 500), Answer(CANARY.encode()),
    failed(400, CANARY, code="content_filter"), Answer({"error": CANARY}, 400), Answer(drop=True),
    failed(429, CANARY, code="insufficient_quota"), said(CANARY, refusal=CANARY), said(CANARY, finish="length"),
], ids=lambda trouble: str(trouble).replace(CANARY, "key"))  # fmt: skip
def test_it_is_in_no_error_of_a_server_that_repeats_it(judging, caplog, capsys, trouble):
    error = None
    with serving(lambda asked: trouble) as stub:
        try:
            judging(stub, pairs(5), key_variable="JUDGE_KEY", retries=1)
        except PrefsmithError as raised:
            error = raised
    assert stub.asked and "CANARY" not in found_in(judging, caplog, capsys, error)
    assert error is None or error.__context__ is None


def test_without_its_name_no_key_is_sent(judging):
    with serving(prefers("good")) as stub:
        judging(stub, pairs(1))
    assert "authorization" not in stub.asked[0].headers and "OTHER" not in str(stub.asked[0].headers)


@pytest.mark.parametrize("value", [None, "", f"{CANARY}\n", f" {CANARY}", "ключ"])
def test_one_that_is_missing_or_no_key_is_named_by_its_variable(judging, monkeypatch, value):
    monkeypatch.delenv("JUDGE_KEY") if value is None else monkeypatch.setenv("JUDGE_KEY", value)
    with serving(prefers("good")) as stub, pytest.raises(ConfigError) as found:
        judging(stub, pairs(1), key_variable="JUDGE_KEY")
    assert found.value.code == "judge.key" and "JUDGE_KEY" in found.value.what and stub.asked == []
    assert "CANARY" not in "".join(traceback.format_exception(found.value))
