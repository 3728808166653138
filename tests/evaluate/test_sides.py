"""Who answers, and what: names, files that lack answers, and what tells two sides apart."""

import json

import pytest

from prefsmith.errors import ConfigError, DataError
from prefsmith.evaluate.sides import Side, baseline_side, method_side, shared_prompts
from prefsmith.records import Group


def answers(path, *rows):
    path.write_text("".join(json.dumps({"prompt": prompt, "completion": text}) + "\n" for prompt, text in rows))
    return str(path)


def test_a_side_may_have_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no folder `runs` makes a local path of what could be a name on the hub
    file = answers(tmp_path / "ours.jsonl", ("a", "x"))
    assert method_side(f"ours={file}") == Side("ours", file, "file")
    assert method_side(file) == Side(file, file, "file")
    assert method_side("runs/first") == Side("runs/first", "runs/first", "model")
    odd = answers(tmp_path / "a=b.jsonl", ("a", "x"))
    assert method_side(odd) == Side(odd, odd, "file")  # the whole word is a file
    for word in ("=x", "name=", ""):
        with pytest.raises(ConfigError, match=r"winrate\.side"):
            method_side(word)


def test_a_local_path_that_is_not_there_is_told_before_anything_is_sampled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for word in ("runs/none", "a=./none", str(tmp_path / "none")):
        with pytest.raises(ConfigError, match=r"model\.path.*no such folder"):
            method_side(word)
    assert method_side("org/model").kind == "model"  # may be on the hub


def test_a_reference_is_that_of_a_model(tmp_path):
    assert baseline_side("reference", Side("a", "runs/a", "model")) == Side("reference", "runs/a", "reference")
    with pytest.raises(ConfigError, match="has no reference"):
        baseline_side("reference", Side("a", "a.jsonl", "file"))


def test_files_are_answered_prompt_by_prompt(tmp_path):
    ours = method_side(f"ours={answers(tmp_path / 'o.jsonl', ('a', '1'), ('b', '2'), ('a', '3'))}")
    theirs = method_side(f"theirs={answers(tmp_path / 't.jsonl', ('b', '4'), ('a', '5'))}")
    asked = shared_prompts([ours, theirs], None, skip_missing=False, most=None)
    assert [group.prompt for group in asked.groups] == ["a", "b"] and asked.left_out == 0
    assert asked.files["ours"].texts['"a"'] == ("1", "3")
    assert len(shared_prompts([ours, theirs], None, skip_missing=False, most=1).groups) == 1


@pytest.mark.parametrize("turned", [False, True])
def test_missing_answers_are_refused_or_counted(tmp_path, turned):
    more = method_side(f"more={answers(tmp_path / 'm.jsonl', ('a', '1'), ('b', '2'), ('c', '3'))}")
    less = method_side(f"less={answers(tmp_path / 'l.jsonl', ('b', '4'))}")
    sides = [less, more] if turned else [more, less]
    with pytest.raises(
        DataError, match=r"no answer to 2 of 3 prompts, the first of them that of .*m\.jsonl:1"
    ) as caught:
        shared_prompts(sides, None, skip_missing=False, most=None)
    assert caught.value.where == less.place
    asked = shared_prompts(sides, None, skip_missing=True, most=None)
    assert [group.prompt for group in asked.groups] == ["b"] and asked.left_out == 2


def test_prompts_of_the_data_are_those_that_count(tmp_path):
    file = method_side(f"f={answers(tmp_path / 'f.jsonl', ('a', '1'), ('b', '2'))}")
    data = [Group("1", "d:1", "b", ())]
    asked = shared_prompts([file], data, skip_missing=False, most=None)
    assert [group.prompt for group in asked.groups] == ["b"] and asked.left_out == 0
    with pytest.raises(DataError, match="no prompt is answered by all sides"):
        shared_prompts([file], [Group("1", "d:1", "z", ())], skip_missing=True, most=None)
    with pytest.raises(ConfigError, match=r"winrate\.prompts"):
        shared_prompts([Side("a", "runs/a", "model")], None, skip_missing=False, most=None)


def test_the_identity_of_a_side_changes_with_what_it_answers(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"1")
    (folder / "README.md").write_text("x")
    side = Side("m", str(folder), "model")
    before = side.identity()
    (folder / "README.md").write_text("y")
    assert side.identity() == before
    (folder / "model.safetensors").write_bytes(b"2")
    assert side.identity() != before
    assert Side("m", str(folder), "reference").identity() != side.identity()
    file = answers(tmp_path / "f.jsonl", ("a", "1"))
    first = method_side(file).identity()
    answers(tmp_path / "f.jsonl", ("a", "2"))
    assert method_side(file).identity() != first
    assert Side("h", "org/name", "model").identity() == {"kind": "model", "hub": "org/name"}


def weights(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(content)
    return folder


@pytest.mark.parametrize("settings", [{"model": "base"}, {"model": "other", "reference": "base"}])
def test_the_identity_of_a_reference_changes_with_what_the_model_was_trained_from(tmp_path, settings):
    base, other = weights(tmp_path / "base", b"1"), weights(tmp_path / "other", b"1")
    weights(tmp_path / "run", b"")
    weights(tmp_path / "run" / "model", b"1")
    named = {key: {"path": str(tmp_path / name)} for key, name in settings.items()}
    (tmp_path / "run" / "run.yaml").write_text(json.dumps({"out": str(tmp_path / "run"), **named}))
    side = Side("reference", str(tmp_path / "run"), "reference")
    before = side.identity()
    weights(base, b"2")
    after = side.identity()
    assert before != after and before["sha256"] == after["sha256"]
    weights(other, b"3")
    assert side.identity() == after  # which answers nothing here


def test_the_identity_of_an_adapter_changes_with_its_base(tmp_path):
    base, adapter = weights(tmp_path / "base", b"1"), weights(tmp_path / "adapter", b"1")
    for named in (str(base), "org/base", str(adapter)):  # the last is refused when it is loaded
        (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": named}))
        before = {kind: Side("a", str(adapter), kind).identity() for kind in ("model", "reference")}
        weights(base, named.encode())
        for kind, known in before.items():
            assert (Side("a", str(adapter), kind).identity() == known) == (named != str(base))


def test_a_file_below_the_home_folder_has_an_identity(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = answers(tmp_path / "f.jsonl", ("a", "1"))
    assert method_side("f=~/f.jsonl").identity() == method_side(file).identity()
