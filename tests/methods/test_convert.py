"""Files in other programs' formats and back: the same groups, but for what was counted."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefsmith.cli import main
from prefsmith.data.groups import read_groups
from prefsmith.data.ranking import compare
from prefsmith.data.targets.trl import Trl
from prefsmith.errors import ConfigError, DataError
from prefsmith.methods.convert import TARGETS, Asked, convert
from prefsmith.records import Message

OTHERS = ("trl", "trl-conversational", "llamafactory", "llamafactory-sharegpt")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
PAIR = {"prompt": "Name a fruit.", "chosen": " Apple.", "rejected": " Stone."}
CALL = {"type": "function", "function": {"name": "clock", "arguments": {"zone": "UTC"}}}


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(path: Path) -> list[dict[str, object]]:
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def converted(tmp_path: Path, rows: list[dict[str, object]], target: str, out: str = "out.jsonl"):
    """What came of rows, and the rows of the new file."""
    result = convert(Asked(str(written(tmp_path / "in.jsonl", rows)), target), tmp_path / out)
    return result, rows_of(tmp_path / out)


def said(group, place):
    """An answer as a message, whichever form it has."""
    completion = group.completions[place]
    return completion.messages[0] if completion.messages else Message("assistant", completion.content)


def asked_of(group):
    return (Message("user", group.prompt),) if isinstance(group.prompt, str) else group.prompt


def meaning(group):
    """Everything that training reads of a group, in one form."""
    answers = [said(group, place) for place in range(len(group.completions))]
    labels = [
        (answers[each.better], answers[each.worse], each.prob, each.weight, each.score_gap)
        for each in group.comparisons
    ]
    ratings = [(answers[each.completion], each.value, each.weight) for each in group.ratings]
    name = None if group.id == group.source else group.id
    scores = [each.score for each in group.completions]
    described = (name, group.tags, group.tools, group.ranking, scores, group.weight)
    return asked_of(group), answers, labels, ratings, described


def likelier(group):
    """The group as a program without probabilities has it: turned round where its second answer is the likelier."""
    (comparison,) = group.comparisons
    if comparison.prob >= 0.5:
        return group
    gap = None if comparison.score_gap is None else -comparison.score_gap
    turned = replace(comparison, prob=1 - comparison.prob, score_gap=gap)
    return replace(group, completions=group.completions[::-1], comparisons=(turned,))


@st.composite
def turns(draw, *, calls: bool):
    """A prompt of messages that every format of turns knows."""
    messages = [{"role": "system", "content": draw(TEXTS)}] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 2))):
        messages += [{"role": "user", "content": draw(TEXTS)}, {"role": "assistant", "content": draw(TEXTS)}]
    if calls and draw(st.booleans()):
        messages += [
            {"role": "user", "content": draw(TEXTS)},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
        ]
        return [*messages, {"role": "tool", "content": draw(TEXTS)}]
    return [*messages, {"role": "user", "content": draw(TEXTS)}]


@st.composite
def files(draw):
    """Rows of one kind in our own format."""
    kind = draw(st.sampled_from(["pair", "rating", "example", "list"]))
    with_turns, rows = draw(st.booleans()), []
    extra = draw(st.sets(st.sampled_from(["prob", "weight", "scores", "tools", "tags"])))
    for number in range(draw(st.integers(1, 4))):
        texts = draw(st.lists(TEXTS, min_size=3, max_size=3, unique=True))
        prompt = draw(turns(calls=True)) if with_turns and draw(st.booleans()) else draw(TEXTS)
        row: dict[str, object] = {"prompt": prompt, "id": f"row {number}"}
        if kind == "pair":
            row |= {"chosen": texts[0], "rejected": texts[1]}
            row |= {"prob": draw(st.sampled_from([1.0, 0.75, 0.25, 0.5]))} if "prob" in extra else {}
            row |= {"score_chosen": 2.5, "score_rejected": draw(st.integers(0, 5))} if "scores" in extra else {}
        elif kind == "list":
            name = "scores" if "scores" in extra else "ranks"
            row |= {"completions": texts, name: draw(st.lists(st.integers(1, 4), min_size=3, max_size=3))}
        else:
            row |= {"completion": texts[0]} | ({"label": draw(st.booleans())} if kind == "rating" else {})
        row |= {"weight": draw(st.sampled_from([0.5, 1.0, 2.0]))} if "weight" in extra else {}
        row |= {"tools": [{"name": draw(TEXTS)}]} if "tools" in extra and with_turns else {}
        rows.append(row | ({"tags": [draw(TEXTS)]} if "tags" in extra else {}))
    return rows


def through(folder: Path, source: Path, target: str, name: str):
    result = convert(Asked(str(source), target), folder / name)
    return result, read_groups(folder / name).groups


@given(files())
def test_our_own_format_holds_everything(rows):
    with TemporaryDirectory() as made:
        folder = Path(made)
        source = written(folder / "in.jsonl", rows)
        result, groups = through(folder, source, "prefsmith", "out.json")
        assert list(map(meaning, groups)) == list(map(meaning, read_groups(source).groups))
        assert not result.account.lost and not result.account.left_out and not result.account.unread


@given(files(), st.sampled_from(OTHERS))
def test_there_and_back_gives_the_same_groups_but_for_what_was_counted(rows, target):
    """Everything that is not left out by name means the same when it is read from the other program's file."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        source = written(folder / "in.jsonl", rows)
        groups = read_groups(source).groups
        calls = sum(any("tool_calls" in each.extra for each in asked_of(group)) for group in groups)
        if target == "llamafactory" and calls == len(groups):
            return
        if groups[0].ranking:
            kept = [len(compare(group, "all", ties=False)) for group in groups if not _calls(group, target)]
            if not sum(kept):
                return
            result, found = through(folder, source, target, "out.jsonl")
            assert len(found) == sum(kept) == result.account.written
            return
        ties = [group for group in groups if group.comparisons and group.comparisons[0].prob == 0.5]
        expected = [group for group in groups if group not in ties and not _calls(group, target)]
        if not expected:
            return
        result, found = through(folder, source, target, "out.jsonl")
        want = [meaning(likelier(group) if group.comparisons else group) for group in expected]
        assert list(map(meaning, found)) == want
        account = result.account
        assert account.read == len(groups) == account.written + sum(account.left_out.values())
        assert account.left_out["a tie"] == len(ties)
        assert not account.lost


def _calls(group, target):
    return target == "llamafactory" and any("tool_calls" in each.extra for each in asked_of(group))


REAL = ("dpo_en_demo", "dpo_zh_demo", "kto_en_demo")


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("target", OTHERS)
def test_the_demonstration_files_of_llama_factory_go_through_every_format(shared_data, tmp_path, name, target):
    source = shared_data / "llamafactory_demo" / f"{name}.json.gz"
    result = convert(Asked(str(source), target, limit=40), tmp_path / "out.jsonl")
    groups = read_groups(tmp_path / "out.jsonl").groups
    assert list(map(meaning, groups)) == list(map(meaning, read_groups(source, limit=40).groups))
    assert result.account.written == 40 and not result.account.lost and not result.account.left_out


def test_the_demonstration_file_comes_back_as_it_was(shared_data, tmp_path):
    source = shared_data / "llamafactory_demo" / "dpo_en_demo.json.gz"
    through(tmp_path, source, "llamafactory", "alpaca.json")
    through(tmp_path, tmp_path / "alpaca.json", "llamafactory-sharegpt", "back.json")
    assert rows_of(tmp_path / "back.json") == json.loads(gzip.decompress(source.read_bytes()))
    entry = json.loads((tmp_path / "dataset_info.json").read_text())["back"]
    theirs = json.loads((source.parent / "dataset_info.json").read_text())["dpo_en_demo"]
    assert {**entry, "file_name": "", "tags": {}} == {**theirs, "file_name": "", "tags": {}}


ALPACA = {
    "instruction": "What next?", "input": "Be brief.", "chosen": "Go.", "rejected": "Stay.", "system": "You are terse.",
    "history": [["Who?", "Me."], ["Where?", "Here."]], "tools": '[{"name": "clock"}]',
}  # fmt: skip


def test_alpaca_s_columns_are_turns(tmp_path):
    (group,) = read_groups(written(tmp_path / "in.jsonl", [ALPACA])).groups
    roles = [(each.role, each.content) for each in group.prompt]
    assert roles == [
        ("system", "You are terse."), ("user", "Who?"), ("assistant", "Me."), ("user", "Where?"),
        ("assistant", "Here."), ("user", "What next?\nBe brief."),
    ]  # fmt: skip
    assert group.tools == ({"name": "clock"},)


@pytest.mark.parametrize(
    ("instruction", "rest", "prompt"),
    [("Do.", "This.", "Do.\nThis."), ("Do.", "", "Do."), ("", "This.", "This."), ("Do.", None, "Do.")],
)
def test_an_empty_input_adds_no_line_end(tmp_path, instruction, rest, prompt):
    row = {"instruction": instruction, "input": rest, "chosen": "Yes.", "rejected": "No."}
    reading = read_groups(written(tmp_path / "in.jsonl", [row]))
    assert reading.groups[0].prompt == prompt and "input" not in reading.schema.unused


def test_input_beside_another_prompt_is_not_read(tmp_path):
    reading = read_groups(written(tmp_path / "in.jsonl", [{**PAIR, "input": "a file name"}]))
    assert reading.groups[0].prompt == PAIR["prompt"] and reading.schema.unused == ("input",)
    mapped = read_groups(tmp_path / "in.jsonl", columns={"input": "input"})
    assert mapped.groups[0].prompt == "Name a fruit.\na file name"


@pytest.mark.parametrize(
    "changed",
    [{"history": "once"}, {"history": [["a"]]}, {"history": [["a", 1]]}, {"input": 3},
     {"instruction": [{"role": "user", "content": "Hi"}]}],
)  # fmt: skip
def test_a_part_of_a_prompt_that_is_not_what_it_should_be_is_refused(tmp_path, changed):
    with pytest.raises(DataError) as caught:
        read_groups(written(tmp_path / "in.jsonl", [{**ALPACA, **changed}]))
    assert caught.value.code == "data.type" and caught.value.where.endswith(":1")


def test_an_input_that_only_later_rows_have_is_refused(tmp_path):
    row = {"instruction": "Do.", "chosen": "Yes.", "rejected": "No."}
    with pytest.raises(DataError, match="the row has input, which the first row lacks") as caught:
        read_groups(written(tmp_path / "in.jsonl", [row, {**row, "input": "This."}]))
    assert caught.value.where.endswith(":2")


def test_calls_of_tools_are_read_and_written_as_sharegpt_has_them(tmp_path):
    call = {"from": "function_call", "value": '{"name": "clock", "arguments": {"zone": "UTC"}}'}
    asked = [{"from": "human", "value": "When?"}, call, {"from": "observation", "value": "noon"}]
    row = {"conversations": asked, "chosen": {"from": "gpt", "value": "Noon."}, "rejected": call}
    result, (again,) = converted(tmp_path, [row], "llamafactory-sharegpt")
    assert again == row and not result.account.lost
    _, (trl,) = converted(tmp_path, [row], "trl", "trl.jsonl")
    assert trl["prompt"][1] == {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert trl["prompt"][2] == {"role": "tool", "content": "noon"}


def test_a_call_that_is_not_json_is_refused(tmp_path):
    row = {"conversations": [{"from": "human", "value": "When?"}, {"from": "function_call", "value": "clock()"},
                             {"from": "observation", "value": "noon"}],
           "chosen": {"from": "gpt", "value": "Noon."}, "rejected": {"from": "gpt", "value": "Never."}}  # fmt: skip
    with pytest.raises(DataError) as caught:
        read_groups(written(tmp_path / "in.jsonl", [row]))
    assert caught.value.code == "data.messages"


def test_what_a_format_cannot_hold_is_counted_by_its_name(tmp_path):
    named = [{"role": "user", "content": "When?", "name": "Ann"}]
    calls = [
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": "", "tool_calls": [{**CALL, "id": "c1"}]},
        {"role": "tool", "content": "noon", "tool_call_id": "c1"},
    ]
    twice = [{"role": "user", "content": "One."}, {"role": "user", "content": "Two."}]
    answers = [{"role": "assistant", "content": "Noon."}], [{"role": "assistant", "content": "Never."}]
    rows = [{"prompt": prompt, "chosen": answers[0], "rejected": answers[1]} for prompt in (named, calls, twice)]
    result, found = converted(tmp_path, rows, "llamafactory-sharegpt")
    assert len(found) == 2 and sum(result.account.left_out.values()) == 1
    assert result.account.lost == {"name of a message": 1, "id of a call": 1, "tool_call_id of a message": 1}
    result, found = converted(tmp_path, rows, "llamafactory", "alpaca.jsonl")
    assert len(found) == 1 and sum(result.account.left_out.values()) == 2


def test_a_row_that_is_left_out_has_neither_lost_nor_changed_anything(tmp_path):
    answers = {
        "chosen": [{"role": "assistant", "content": "Yes."}],
        "rejected": [{"role": "assistant", "content": "No."}],
    }
    system = {"role": "developer", "content": "Be brief.", "name": "Ann"}
    asked = {"role": "user", "content": "Is it?", "name": "Bob"}
    out_of_turn = [system, {"role": "assistant", "content": "Hi."}, asked]
    rows = [
        {"prompt": out_of_turn, **answers, "prob": 0.2},
        {"prompt": [{**system, "role": "system"}, asked], **answers, "prob": 0.9},
    ]
    for target in ("llamafactory", "llamafactory-sharegpt"):
        account = converted(tmp_path, rows, target, f"{target}.jsonl")[0].account
        assert (account.written, sum(account.left_out.values())) == (1, 1)
        assert account.lost == {"name of a message": 1}, "once for the row, though two of its turns have one"
        assert not account.changed
    listed = {"prompt": "p", "completions": [{"text": "a", "model": "m"}, {"text": "b"}], "ranks": [1, 2]}
    account = converted(tmp_path, [listed, {**listed, "prompt": "q", "ranks": [1, 1]}], "trl", "lists.jsonl")[0].account
    assert account.lost == {"completions[].model": 1} and account.left_out == {"a tie": 1}
    assert account.changed == {"lists as pairs of their answers": 1}


def test_labels_stay_in_the_rows_and_are_told_to_be_unread(tmp_path):
    rows = [{**PAIR, "prob": 1.0, "weight": 1}, {**PAIR, "prompt": "And?", "prob": 0.25, "weight": 2}]
    result, (first, second) = converted(tmp_path, rows, "trl")
    assert result.account.unread == {"prob": 1, "weight": 1}
    assert (first["chosen"], first["prob"]) == (" Apple.", 1.0)
    assert (second["chosen"], second["rejected"], second["prob"]) == (" Stone.", " Apple.", 0.75)


def test_ties_are_left_out_where_there_are_no_probabilities(tmp_path):
    rows = [PAIR, {**PAIR, "prompt": "And?"}]
    result, found = converted(
        tmp_path, [{**row, "prob": prob} for row, prob in zip(rows, (1, 0.5), strict=True)], "trl"
    )
    assert len(found) == 1 and result.account.left_out == {"a tie": 1}


def test_foreign_columns_go_along_unless_their_name_means_something(tmp_path):
    rows = [{**PAIR, "source": "web", "messages": "none", "images": ["a.png"]}]
    result, (found,) = converted(tmp_path, rows, "trl")
    assert found == {**PAIR, "source": "web"}
    assert result.account.lost == {"messages": 1, "images": 1} and result.account.unread == {"source": 1}
    result, (found,) = converted(tmp_path, rows, "llamafactory", "factory.jsonl")
    assert found["images"] == ["a.png"] and result.entry["columns"]["images"] == "images"
    assert result.account.unread == {"source": 1}


def test_votes_stay_beside_their_sides_and_go_where_the_sides_are_others(tmp_path):
    """A vote names chosen or rejected; beside a pair that was turned round it would say the opposite."""
    votes = [{"annotator": "ann", "vote": "chosen"}]
    rows = [{**PAIR, "votes": votes, "prob": prob, "prompt": str(prob)} for prob in (0.75, 0.25)]
    result, (kept, turned) = converted(tmp_path, rows, "trl")
    assert kept["votes"] == votes and "votes" not in turned and turned["chosen"] == PAIR["rejected"]
    assert result.account.lost == {"votes": 1}
    result, found = converted(tmp_path, rows, "prefsmith", "ours.jsonl")
    assert [row["votes"] for row in found] == [votes, votes] and not result.account.lost
    judged = {"prompt": "q", "response_a": "one", "response_b": "two", "winner": "response_b", "human": "b"}
    result, (row,) = converted(tmp_path, [judged], "trl", "judged.jsonl")
    assert row["chosen"] == "two" and "human" not in row and result.account.lost == {"human": 1}


def test_lists_become_pairs_and_keep_scores(tmp_path):
    best = {"text": " Apple.", "score": 9, "model": "m"}
    others = [{"text": " A fruit.", "score": 4}, {"text": " Stone.", "score": 4}]
    row = {"prompt": "Name a fruit.", "completions": [best, *others]}
    result, found = converted(tmp_path, [row], "trl")
    assert [(each["chosen"], each["rejected"]) for each in found] == [(" Apple.", " A fruit."), (" Apple.", " Stone.")]
    assert [(each["score_chosen"], each["score_rejected"], each["weight"]) for each in found] == [(9, 4, 1 / 3)] * 2
    assert result.account.left_out == {"a tie": 1} and result.account.lost == {"completions[].model": 1}


def test_one_row_with_turns_makes_every_row_of_trl_conversational(tmp_path):
    asked = [{"role": "user", "content": "And?"}]
    rows = [PAIR, {"prompt": asked, "chosen": "Yes.", "rejected": "No."}]
    result, (first, second) = converted(tmp_path, rows, "trl")
    assert first["prompt"] == [{"role": "user", "content": "Name a fruit."}] and second["prompt"] == asked
    assert first["chosen"] == [{"role": "assistant", "content": " Apple."}]
    assert result.account.changed == {"texts as turns of user and assistant": 1}


def test_columns_of_alpaca_are_the_same_in_every_row(tmp_path):
    plain = {"instruction": "Do.", "input": "", "chosen": "Yes.", "rejected": "No.", "system": "", "history": []}
    rows = [plain, {**plain, "instruction": "And?", "system": "Be brief."}]
    result, found = converted(tmp_path, rows, "llamafactory")
    assert [list(each) for each in found] == [["instruction", "system", "chosen", "rejected"]] * 2
    assert result.entry == {
        "file_name": "out.jsonl", "ranking": True,
        "columns": {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected", "system": "system"},
    }  # fmt: skip


def test_a_dataset_info_beside_the_file_names_its_columns(tmp_path):
    columns = {"prompt": "ask", "query": "more", "response": "reply", "kto_tag": "good"}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": "in.jsonl", "columns": columns}}))
    result, (row,) = converted(tmp_path, [{"ask": "Do", "more": "it.", "reply": "Yes.", "good": False}], "trl")
    assert row == {"prompt": "Do\nit.", "completion": "Yes.", "label": False} and not result.account.lost


def test_turns_with_other_marks_are_refused(tmp_path):
    entry = {"file_name": "in.jsonl", "formatting": "sharegpt", "tags": {"role_tag": "speaker"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"mine": entry}))
    with pytest.raises(ConfigError, match="role_tag is 'speaker'") as caught:
        converted(tmp_path, [PAIR], "trl")
    assert caught.value.code == "convert.tags"


def test_other_entries_of_dataset_info_stay_and_another_meaning_of_the_name_is_refused(tmp_path):
    path = tmp_path / "dataset_info.json"
    path.write_text('{"older": {"file_name": "older.json"}}')
    converted(tmp_path, [PAIR], "llamafactory", "new.json")
    assert list(json.loads(path.read_text())) == ["older", "new"]
    with pytest.raises(ConfigError) as caught:
        converted(tmp_path, [PAIR], "llamafactory", "older.jsonl")
    assert caught.value.code == "convert.info" and not (tmp_path / "older.jsonl").exists()
    path.write_text("[]")
    with pytest.raises(ConfigError) as caught:
        converted(tmp_path, [PAIR], "llamafactory", "next.json")
    assert caught.value.code == "convert.info"


@pytest.mark.parametrize(
    ("target", "out", "code"),
    [("trl2", "out.jsonl", "convert.target"), ("trl", "out.csv", "convert.out"), ("trl", "in.jsonl", "convert.out"),
     ("trl", "in.jsonl/out.jsonl", "convert.out")],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(tmp_path, target, out, code):
    with pytest.raises(ConfigError) as caught:
        converted(tmp_path, [PAIR], target, out)
    assert caught.value.code == code and caught.value.fix
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_file_of_ties_is_nothing_to_trl_and_leaves_no_file(tmp_path):
    with pytest.raises(DataError) as caught:
        converted(tmp_path, [{**PAIR, "prob": 0.5}], "trl")
    assert caught.value.code == "convert.nothing" and "a tie (1)" in caught.value.what
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_bad_rows_are_refused_or_counted(tmp_path):
    rows = [PAIR, {**PAIR, "chosen": 3}, {**PAIR, "prompt": "And?", "id": "x"}, {**PAIR, "id": "x"}]
    source = str(written(tmp_path / "in.jsonl", rows))
    with pytest.raises(DataError, match="chosen"):
        convert(Asked(source, "trl"), tmp_path / "out.jsonl")
    result = convert(Asked(source, "trl", skip_bad=True), tmp_path / "out.jsonl")
    assert result.account.refused == {"data.type": 1, "data.id": 1}
    assert (result.account.read, result.account.written) == (4, 2)
    with pytest.raises(DataError) as caught:
        convert(Asked(str(written(tmp_path / "none.jsonl", [])), "trl"))
    assert caught.value.code == "data.no_rows"


def test_a_limit_reads_no_row_beyond_it_and_means_one(tmp_path):
    source = written(tmp_path / "in.jsonl", [PAIR] * 2)
    with source.open("a") as file:
        file.write("no JSON\n")
    assert convert(Asked(str(source), "trl", limit=2)).account.read == 2
    for limit in (0, -1):
        with pytest.raises(ConfigError, match="at least 1"):
            Asked(str(source), "trl", limit=limit)


def test_a_file_that_changes_between_its_two_readings_is_refused(tmp_path, monkeypatch):
    source = written(tmp_path / "in.jsonl", [PAIR] * 3)
    looked = Trl.look

    def look(self, item):
        with source.open("a") as file:
            file.write(json.dumps(PAIR) + "\n")
        return looked(self, item)

    monkeypatch.setattr(Trl, "look", look)
    with pytest.raises(DataError) as caught:
        convert(Asked(str(source), "trl", limit=3), tmp_path / "out.jsonl")
    assert caught.value.code == "data.changed"
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_half_a_character_in_a_column_that_nobody_reads_is_written_as_it_was(tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps({**PAIR, "note": "\ud83d"}))
    convert(Asked(str(tmp_path / "in.jsonl"), "trl"), tmp_path / "out.jsonl")
    assert rows_of(tmp_path / "out.jsonl")[0]["note"] == "\ud83d"


def test_the_command_says_what_it_did_and_a_dry_run_writes_nothing(tmp_path, capsys):
    source = written(tmp_path / "in.jsonl", [{**PAIR, "prob": 1, "topic": "fruit"}, {**PAIR, "prob": 0.5}])
    assert main(["convert", str(source), "--to", "llamafactory", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "written 1 row for LLaMA-Factory, were it not for --dry-run" in printed
    assert "left out, since LLaMA-Factory's rows cannot hold them: a tie 1" in printed
    assert "kept in the rows, though LLaMA-Factory does not read it: topic 1" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
    assert main(["convert", str(source), "--to", "trl", "--out", str(tmp_path / "o.json"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["written"] == 1 and found["left_out"] == {"a tie": 1} and found["entry"] is None
    assert main(["convert", str(source), "--to", "trl"]) == 2
    assert main(["convert", str(source), "--to", "trl", "--dry-run", "--columns", "chosen"]) == 2


def test_every_format_is_named_in_the_help():
    from prefsmith.cli.convert import HELP

    assert all(f" {name}" in HELP for name in TARGETS)
