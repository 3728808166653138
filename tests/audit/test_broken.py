"""Control tokens and damage are seen in any text of a row, and ordinary texts are left alone."""

import json

import pytest
from planted_faults import clean_rows, write

from prefsmith.audit.broken import Broken, damage
from prefsmith.audit.run import audit

GARBLED = [
    "it\u2019s",
    "\u201cyes\u201d",
    "caf\u00e9 na\u00efve",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u2014",
    "\U0001f600",
]
ORDINARY = [
    "plain text with <html> tags, [links] and a | b",
    "caf\u00e9, na\u00efve, \u00c5ngstr\u00f6m, Stra\u00dfe\u2026 Spa\u00df\u201c, \u00ab\u00c0 bient\u00f4t\u00bb",
    "MA\u00c7\u00c3\u201d and nothing more",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "tabs\tand\r\nline ends\x0c",
    "10 \u20ac \u2013 20 \u00a3 \u2122 \u00ae \u00b1",
]


def as_read_wrongly(text):
    """UTF-8 that was read as Windows-1252, undefined bytes as Latin-1 has them."""
    return "".join(bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in text.encode())


@pytest.mark.parametrize("text", GARBLED)
def test_what_was_read_in_the_wrong_encoding_is_seen(text):
    assert list(damage(f"before {as_read_wrongly(text)} behind")) == ["mojibake"]
    assert list(damage(text)) == []
    assert "mojibake" in damage(text.encode().decode("latin-1")), "and so for Latin-1"


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_texts_are_not_damaged(text):
    assert list(damage(text)) == []
    assert Broken().control_tokens(text) == set()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a<|im_end|>", {"<|im_end|>"}),
        ("<|start_header_id|>user<|end_header_id|>", {"<|start_header_id|>", "<|end_header_id|>"}),
        ("x</s>", {"</s>"}),
        ("<s>struck out</s> in HTML", set()),
        ("<s>struck</s> out, and then </s>", {"</s>"}),
        ("  <s>[INST] hi [/INST]", {"<s>", "[INST]", "[/INST]"}),
        ("the tag <s> by itself", set()),
        ("<<SYS>> be kind <</SYS>>", {"<<SYS>>", "<</SYS>>"}),
        ("<start_of_turn>model<end_of_turn><pad>", {"<start_of_turn>", "<end_of_turn>", "<pad>"}),
        ("<\uff5cend\u2581of\u2581sentence\uff5c>", {"<\uff5cend\u2581of\u2581sentence\uff5c>"}),
        ("f <| g |> h, a<|>b", set()),
        ("[PAD] [SEP]", {"[PAD]", "[SEP]"}),
    ],
)
def test_control_tokens(text, tokens):
    assert Broken().control_tokens(text) == tokens


def test_tokens_of_a_model_are_looked_for_too():
    check = Broken(["<turn>", "a", ""])
    assert check.control_tokens("x <turn> a y") == {"<turn>"}, "a token that is a letter would be everywhere"
    assert Broken().control_tokens("x <turn> y") == set()


def test_any_text_of_a_row_is_looked_at_and_one_sided_markup_is_counted(tmp_path):
    rows = clean_rows(6)
    rows[0]["prompt"] += "</s>"
    rows[1]["chosen"] += "</s>"
    rows[2]["rejected"] += "</s> \ufffd"
    rows[3]["chosen"], rows[3]["rejected"] = rows[3]["chosen"] + "</s>", rows[3]["rejected"] + "</s>"
    rows[4]["prompt"] = [{"role": "system", "content": "\0"}, {"role": "user", "content": "hello"}]
    result = audit([(write(tmp_path / "rows.jsonl", rows), "train")], [Broken()])
    found = {finding.code: finding for finding in result.findings}
    assert found["broken.control_token"].count == 4
    assert found["broken.control_token"].numbers == {"tokens": {"</s>": 4}, "one_sided": 2}
    assert [each.proposal.rows.tolist() for each in result.findings] == [[0, 1, 2, 3], [2], [4]]
    assert found["broken.control_character"].examples[0].where.endswith(":5")


def test_spaces_and_capitals_alone(tmp_path):
    rows = clean_rows(3)
    rows[0] |= {"chosen": "The  answer\nis so.", "rejected": " the answer is SO. "}
    rows[1] |= {"chosen": "The answer is so.", "rejected": "The answer is so!"}
    (found,) = audit([(write(tmp_path / "rows.jsonl", rows), "train")], [Broken()]).findings
    assert (found.code, found.count, found.proposal.rows.tolist()) == ("broken.same_words", 1, [0])


def test_refusals_of_several_files_are_told_apart(tmp_path):
    bad = [{**row, "rejected": row["chosen"]} for row in clean_rows(3)]
    files = [
        write(tmp_path / f"{name}.jsonl", [*clean_rows(5, 1), *rows]) for name, rows in (("a", bad), ("b", bad[:1]))
    ]
    (found,) = audit([(files[0], "train"), (files[1], "eval")], [Broken()]).findings
    assert (found.count, found.of) == (4, 14)
    assert found.proposal.refused == [(0, f"{files[0]}:{n}") for n in (6, 7, 8)] + [(1, f"{files[1]}:6")]


def voted(**cells):
    return {"prompt": "q", "a": "one two", "b": "three", "votes": [{"annotator": "ann", "vote": "a"}], **cells}


def test_faults_of_votes_are_shown_where_they_are_whatever_the_file_is_called(tmp_path):
    judged = [{"judges": {"gpt": said}} for said in ("a", "both (a) are fine", "b")]
    rows = [voted(a=True, **judged[0]), voted(**judged[1]), voted(**judged[2])]
    path = write(tmp_path / "my votes (new).jsonl", rows)
    found = {each.code: each for each in audit([(path, "train")], [Broken()]).findings}
    (shown,) = found["broken.type"].examples
    assert (shown.where, shown.text) == (f"{path}:1", "a is true")
    (shown,) = found["broken.verdict"].examples
    assert (shown.where, shown.text) == (f"{path}:2", "'both (a) are fine'")
    clean = write(tmp_path / "a.jsonl", clean_rows(5))
    assert audit([(clean, "train"), (path, "other")], [Broken()]).findings == (), "nobody's to mend"


def test_rows_of_a_list_have_a_place_of_their_own(tmp_path):
    path = tmp_path / "votes.json"
    path.write_text(json.dumps([voted(), voted(b=7)]))
    found = {each.code: each for each in audit([(str(path), "train")], [Broken()]).findings}
    assert found["broken.type"].examples[0].where == f"{path}:1 row 2"


def test_answers_without_a_text_are_told_from_answers_that_are_only_named(tmp_path):
    rows = [voted(), voted(b=""), voted(a=" ", b=""), voted(a="", b="")]
    (found,) = audit([(write(tmp_path / "votes.jsonl", rows), "train")], [Broken()]).findings
    assert (found.code, found.proposal.rows.tolist()) == ("broken.empty_answer", [1, 2, 3])
    named = [{"topic": "t", "a": "x1", "b": "x2", "votes": voted()["votes"]}]
    single = [{"annotator": "gpt", "preference": 1, "generator_1": "m", "generator_2": "n", "instruction": "q"}]
    for name, rows in (("named", named), ("single", single)):
        assert audit([(write(tmp_path / f"{name}.jsonl", rows), "train")], [Broken()]).findings == ()


def test_files_that_are_not_trained_on_are_nobodys_to_mend(tmp_path):
    bad = [{**clean_rows(1)[0], "rejected": ""}, {**clean_rows(1, 2)[0], "chosen": "x </s>"}]
    files = [(write(tmp_path / "a.jsonl", clean_rows(5)), "train"), (write(tmp_path / "b.jsonl", bad), "other")]
    result = audit(files, [Broken()])
    assert result.findings == () and result.data.files[1].codes == {"data.empty": 1}
    own = audit([(name, "train") for name, _ in files], [Broken()])
    assert [(each.code, each.count, each.of) for each in own.findings] == [
        ("broken.empty", 1, 7),
        ("broken.control_token", 1, 6),
    ]
