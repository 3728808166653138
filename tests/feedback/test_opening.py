"""Judges from settings: every kind opens, and what is wrong is said without repeating it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from prefsmith.errors import ConfigError
from prefsmith.feedback.opening import open_judge
from prefsmith.feedback.settings import KINDS, ServerConfig, judge_config, judge_word
from prefsmith.records import Completion, Group

PAGE = Path(__file__).parents[2] / "docs" / "judges.md"
SERVER = {"kind": "server", "url": "http://localhost:8000/v1/", "model": "m"}


def verdict(values, first="one", second="three"):
    with open_judge(judge_config(values, "test")) as judge:
        ((vote,),) = judge.votes([Group("row", "f:1", "p", (Completion(first), Completion(second)))])
    return vote.verdict, judge.name


@pytest.mark.parametrize("values, said, name", [
    ({"kind": "rule", "rule": "longer"}, "right", "longer"), ({"kind": "rule", "rule": "shorter"}, "left", "shorter"),
    ({"kind": "rule", "rule": "contains", "pattern": "n"}, "left", "contains n"),
    ({"kind": "rule", "rule": "matches", "pattern": "^t"}, "right", "matches ^t"),
    ({"kind": "rule", "rule": "longer", "name": "length"}, "right", "length"),
])  # fmt: skip
def test_rules_open(values, said, name):
    assert verdict(values) == (said, name)


def test_functions_open(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def reward(p, a): return len(a)\ndef rule(p, left, right): return 'tie'\n")
    assert verdict({"kind": "rule", "rule": f"{path}:rule"}) == ("tie", f"{path}:rule")
    values = {"kind": "reward", "reward": f"{path}:reward"}
    assert verdict(values)[0] == "right" and verdict(values | {"tie_margin": 2})[0] == "tie"
    with open_judge(judge_config(values, "test")) as judge:
        assert len(str(judge.describe()["digest"])) == 64


def test_judges_of_one_name_are_told_apart_by_what_they_do(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def a(*answers): return 1\n\n\nb = lambda *answers: 2\n")
    rules = [
        {"rule": "longer"}, {"rule": "shorter"}, {"rule": f"{path}:a"}, {"rule": f"{path}:b"},
        {"rule": "contains", "pattern": "n"}, {"rule": "contains", "pattern": "e"}, {"rule": "matches", "pattern": "n"},
    ]  # fmt: skip
    kinds = [{"kind": "rule", **rule} for rule in rules]
    kinds += [{"kind": "reward", "reward": f"{path}:{name}"} for name in "ab"]
    described = []
    for values in kinds:
        with open_judge(judge_config({**values, "name": "j"}, "test")) as judge:
            described.append(judge.describe())
    assert all(one != other for number, one in enumerate(described) for other in described[:number])


def test_a_journal_is_let_go_at_the_end(tmp_path):
    path = tmp_path / "v.jsonl"
    for _ in range(2):
        with open_judge(judge_config(SERVER, "test"), journal=path) as judge:
            assert judge.votes([]) == [] and judge.describe()["server"] == "localhost:8000/v1"
    path.write_bytes(path.read_bytes() + b'{"key": "a')
    messages = []
    with open_judge(judge_config(SERVER, "test"), journal=path, say=messages.append):
        assert "half written" in messages[0]


@pytest.mark.parametrize("values, code, said", [
    ({}, "judge.kind", "no kind"), ({"kind": "oracle"}, "judge.kind", "no such kind"),
    ({"kind": "rule"}, "judge.setting", "judge.rule"), ({"kind": "rule", "rule": "longr"}, "judge.setting", "longer"),
    ({"kind": "rule", "rule": "contains"}, "judge.setting", "needs a pattern"),
    ({"kind": "rule", "rule": "longer", "pattern": "x"}, "judge.setting", "pattern is set"),
    ({"kind": "rule", "rule": "longer", "margin": 1}, "judge.setting", "no setting margin"),
    ({"kind": "reward", "reward": "a.py:b", "tie_margin": -1}, "judge.setting", "judge.tie_margin"),
    ({"kind": "reward", "reward": "a.py:b", "tie_margin": float("nan")}, "judge.setting", "judge.tie_margin"),
    ({"kind": "reward", "reward": "a.py"}, "judge.setting", "no function"),
    ({"kind": "reward", "reward": "a.py:b", "device": "cpu"}, "judge.setting", "device is set"),
    ({"kind": "server", "model": "m"}, "judge.setting", "judge.url"),
    (SERVER | {"url": "localhost:8000"}, "judge.setting", "URL"),
    (SERVER | {"url": "ftp://h/v1"}, "judge.setting", "URL"),
    (SERVER | {"url": "http://h:x/v1"}, "judge.setting", "URL"), (SERVER | {"timeout": 0}, "judge.setting", "timeout"),
    (SERVER | {"timeout": True}, "judge.setting", "timeout"), (SERVER | {"retries": -1}, "judge.setting", "retries"),
    (SERVER | {"max_requests": 0}, "judge.setting", "max_requests"),
    (SERVER | {"extra": {"messages": []}}, "judge.setting", "messages"),
    (SERVER | {"extra": {"stream": True}}, "judge.setting", "stream"),
    (SERVER | {"extra": {"x": float("inf")}}, "judge.setting", "JSON"),
])  # fmt: skip
def test_wrong_settings_are_refused_with_their_place(values, code, said):
    with pytest.raises(ConfigError) as found:
        judge_config(values, "judge.yaml")
    assert found.value.code == code and said in found.value.what and found.value.where == "judge.yaml"
    assert found.value.fix and found.value.exit_code == 2


@pytest.mark.parametrize("values", [
    SERVER | {"key_variable": "sk-CANARY"}, SERVER | {"url": "http://me:CANARY@h/v1"}, SERVER | {"key": "CANARY"},
    SERVER | {"url": "http://h/v1?key=CANARY"}, SERVER | {"url": "CANARY"}, SERVER | {"retries": "CANARY"},
    SERVER | {"extra": "CANARY"}, SERVER | {"url": "http://CANARY:CANARY/v1"}, SERVER | {"kind": "CANARY"},
])  # fmt: skip
def test_a_key_in_the_wrong_place_is_not_repeated(values):
    with pytest.raises(ConfigError) as found:
        judge_config(values, "judge.yaml")
    error = found.value
    assert "CANARY" not in f"{error} {error!r} {error.__context__!r} {error.__cause__!r}"


def test_the_place_of_a_server_has_no_secret_and_no_slash_at_its_end():
    config = judge_config(SERVER, "test")
    assert isinstance(config, ServerConfig) and config.place == "localhost:8000/v1"


@pytest.mark.parametrize("word, values", [
    ("longer", {"kind": "rule", "rule": "longer"}), ("shorter", {"kind": "rule", "rule": "shorter"}),
    ("my/rewards.py:kind", {"kind": "reward", "reward": "my/rewards.py:kind"}),
    ("votes.jsonl", {"kind": "votes", "path": "votes.jsonl"}),
])  # fmt: skip
def test_one_word_names_a_judge(word, values):
    assert judge_word(word) == values
    judge_config(values, "--judge")


def test_a_folder_names_a_reward_model(tmp_path):
    assert judge_word(str(tmp_path)) == {"kind": "reward", "reward": str(tmp_path)}


def test_a_word_that_names_none_is_refused():
    with pytest.raises(ConfigError, match=r"judge\.kind"):
        judge_word("gpt")


def test_every_setting_is_explained():
    text = PAGE.read_text(encoding="utf-8")
    for name, kind in KINDS.items():
        section = text.partition(f"### `{name}`\n")[2].partition("\n#")[0]
        for key, field in kind.model_fields.items():
            assert key in ("kind", "name") or (f"| `{key}` |" in section and field.description), f"{name}: {key}"


def test_the_settings_on_the_page_are_taken():
    shown = re.findall(r"^```text\n(judge:.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    kinds = [judge_config(yaml.safe_load(text)["judge"], "page").kind for text in shown]
    assert kinds == list(KINDS)


def test_settings_and_server_start_without_torch_and_openai():
    code = (
        "import sys, prefsmith.feedback.settings, prefsmith.feedback.opening, prefsmith.feedback.remote\n"
        "sys.exit(bool({'torch', 'transformers', 'openai'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
