"""Every setting as data, and the file that it is written to."""

import json

import pytest
import yaml

from prefsmith.catalogue import Setting, bounds, chapters, settings_help
from prefsmith.config import LossConfig, RunConfig, Section
from prefsmith.data.groups import read_groups
from prefsmith.losses.pages import page
from prefsmith.settings import load_settings
from prefsmith.starter import FILL_IN, TASKS, write_starter

EVERY_TASK = pytest.mark.parametrize("name", TASKS)


def text_of(name):
    return write_starter(TASKS[name], page(TASKS[name].loss).settings)


def every_key():
    """The dotted name of every setting, from the schema itself."""
    for name, field in RunConfig.model_fields.items():
        kind = LossConfig if name == "loss" else field.annotation
        inside = isinstance(kind, type) and issubclass(kind, Section | LossConfig)
        yield from (f"{name}.{key}" for key in kind.model_fields) if inside else (name,)


def found(key):
    section, _, name = key.rpartition(".")
    (chapter,) = (each for each in chapters() if each.name == section)
    return next(each for each in chapter.settings if each.key == name)


def test_every_setting_is_in_it_once_with_words():
    keys = [f"{chapter.name}.{each.key}".lstrip(".") for chapter in chapters() for each in chapter.settings]
    assert sorted(keys) == sorted(every_key()) and len(keys) > 40
    assert [each.key for chapter in chapters() for each in chapter.settings if not each.words] == []
    assert all(chapter.words for chapter in chapters())


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("train.epochs", "a whole number, at least 1"),
        ("adapter.dropout", "a number, at least 0 and below 1"),
        ("optim.learning_rate", "a number, above 0 and below 1, or null"),
        ("optim.schedule", "constant, linear, cosine"),
        ("adapter.target_modules", "a list or text, or null"),
        ("data.columns", "a mapping"),
        ("data.skip_bad", "true or false"),
        ("out", "text, or null"),
    ],
)
def test_what_a_setting_may_be_is_said_in_words(key, allowed):
    assert found(key).allowed == allowed


@pytest.mark.parametrize("key", [key for key in every_key() if "." in key and not key.startswith("loss.")])
def test_the_words_about_a_range_are_those_of_the_check(key):
    """The last number that the words allow is taken, and the first that they exclude is refused."""
    setting, (section, name) = found(key), key.split(".")
    kind = RunConfig.model_fields[section].annotation
    beside = {"kind": "ema"} if section == "reference" else {}  # an average alone has a share and a rhythm
    for word, step in (("at least", -1), ("at most", 1), ("above", 0), ("below", 0)):
        if word in setting.limits:
            edge = float(setting.limits.split(f"{word} ")[1].split()[0])
            with pytest.raises(ValueError, match=name):
                kind.model_validate({**beside, name: edge + step})
            if step:
                kind.model_validate({**beside, name: edge})
    for choice in setting.choices:
        kind.model_validate({name: choice})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 1, {}), "at least 0 and at most 1"),
        ((0, float("inf"), {"open_low": True, "open_high": True}), "above 0"),
        ((float("-inf"), 0.5, {"open_high": True}), "below 0.5"),
        ((float("-inf"), float("inf"), {}), ""),
    ],
)
def test_bounds(arguments, words):
    low, high, ends = arguments
    assert bounds(low, high, **ends) == words


def test_help_has_every_setting_with_its_default():
    lines = settings_help().splitlines()
    assert "  train.pairs_per_step [32]  " in settings_help() and "prefsmith losses" in settings_help()
    assert [key for key in every_key() if not any(line.startswith(f"  {key} ") for line in lines)] == []


@EVERY_TASK
def test_a_file_loads_to_the_defaults_of_its_task(tmp_path, name):
    path = tmp_path / "run.yaml"
    path.write_text(text_of(name), encoding="utf-8")
    task = TASKS[name]
    own = {each.key: each.default for each in page(task.loss).settings}
    expected = RunConfig.model_validate({**task.values, "loss": {**task.values.get("loss", {}), **own}})
    assert load_settings(path) == expected
    assert expected.losses[0].settings == own  # they are there, not merely absent from both


@EVERY_TASK
def test_a_file_names_and_explains_every_setting(name):
    text = text_of(name)
    values = yaml.safe_load(text)
    for key in every_key():
        section, _, own = key.rpartition(".")
        assert own in (values[section] if section else values), key
    comments = " ".join(line.strip().lstrip("# ") for line in text.splitlines() if line.strip().startswith("#"))
    for setting in (*(each for chapter in chapters() for each in chapter.settings), *page(TASKS[name].loss).settings):
        assert setting.words in comments and setting.limits in comments, setting.key
    assert max(map(len, text.splitlines())) <= 110


@EVERY_TASK
def test_what_must_be_filled_in_stands_first_and_is_marked(name):
    lines = text_of(name).splitlines()
    marked = [line.split(":")[0].strip() for line in lines if line.endswith("# <- FILL IN")]
    assert marked == [key.split(".")[1] for key in FILL_IN]
    sections = [line[:-1] for line in lines if line.endswith(":") and not line.startswith((" ", "#"))]
    assert sections[:3] == ["model", "data", "loss"]
    for section in ("model", "data"):
        keys = [line for line in lines[lines.index(f"{section}:") :] if line.strip() and "#" not in line[:4]]
        assert keys[1].endswith("# <- FILL IN")
    assert ("adapter" in sections[:4]) is (name == "lora")


@EVERY_TASK
def test_the_row_that_a_file_shows_is_one_that_its_loss_reads(tmp_path, name):
    row = next(line for line in text_of(name).splitlines() if line.startswith("#   {")).lstrip("# ")
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(json.loads(row))}\n", encoding="utf-8")
    reading = read_groups(tmp_path / "rows.jsonl")
    format = {"dpo": "preference", "kto": "rating", "sft": "completion"}[TASKS[name].loss]
    assert (reading.schema.format, reading.schema.unused) == (format, ())


def test_a_value_with_a_special_meaning_in_yaml_stays_what_it_is():
    own = (Setting("odd", "no", "Words.", "text"), Setting("small", 1e-05, "Words.", "a number"))
    values = yaml.safe_load(write_starter(TASKS["dpo"], own))
    assert values["loss"]["odd"] == "no" and values["loss"]["small"] == 1e-05
