"""Topics, tags, turns and languages that were planted, and what evaluation holds and training does not."""

import random

import pytest
from planted_bias import finding, looked_at, write

from prefsmith.audit.topics import topics
from prefsmith.audit.uncovered import Uncovered
from prefsmith.errors import ConfigError

TOPICS = {
    "cooking": "bread butter oven flour recipe sugar dough baking kitchen yeast",
    "sailing": "boat harbour anchor wind sail mast tide captain rope deck",
    "coding": "python function loop variable compiler bug pointer array string class",
}


def prompt(rng, topic):
    return " ".join(rng.sample(TOPICS[topic].split(), 6))


def rows(counts, seed=0, **more):
    rng = random.Random(seed)
    made = []
    for topic, count in counts.items():
        for _ in range(count):
            text = f"{prompt(rng, topic)} number{len(made)}"
            made.append({"prompt": text, "chosen": f"yes {len(made)}", "rejected": f"no {len(made)}", **more})
    return made


def uncovered(tmp_path, train, evaluated=None):
    files = [(write(tmp_path / "train.jsonl", train), "train")]
    files += [(write(tmp_path / "eval.jsonl", evaluated), "eval")] if evaluated else []
    return looked_at(Uncovered(), *files)


def test_topics_are_told_apart_and_named(tmp_path):
    found = finding(uncovered(tmp_path, rows({"cooking": 100, "sailing": 100})), "uncovered.topics")
    topics_of = found.numbers["topics"]
    assert sum(each["prompts"] for each in topics_of) == 200
    for each in topics_of:
        homes = {name for name, words in TOPICS.items() for term in each["terms"] if term in words.split()}
        assert len(homes) == 1
    assert found.severity == "note" and found.count == 0


def test_the_same_seed_gives_the_same_topics():
    texts = [row["prompt"] for row in rows({"cooking": 80, "sailing": 80, "coding": 80})]
    assert [each.to_json() for each in topics(texts, [], 3)] == [each.to_json() for each in topics(texts, [], 3)]


def test_a_topic_of_the_evaluation_that_training_lacks_is_a_warning(tmp_path):
    train = rows({"cooking": 300, "sailing": 300, "coding": 6})
    evaluated = rows({"cooking": 20, "coding": 60}, seed=1)
    found = finding(uncovered(tmp_path, train, evaluated), "uncovered.evaluated")
    assert found.severity == "warning" and (found.count, found.of) == (60, 80)
    assert all(term in TOPICS["coding"].split() for each in found.numbers["missing"] for term in each["terms"][:3])
    assert found.examples[0].where.startswith(str(tmp_path / "eval.jsonl"))


def test_an_evaluation_like_training_is_none(tmp_path):
    train = rows({"cooking": 200, "sailing": 200})
    found = finding(uncovered(tmp_path, train, rows({"cooking": 50, "sailing": 50}, seed=1)), "uncovered.evaluated")
    assert found.severity == "note" and found.count == 0


def test_few_or_equal_prompts_have_no_topics(tmp_path):
    assert topics(["one two three"] * 99, [], 0) == []
    assert topics([f"x{number}" for number in range(200)], [], 0) == []  # no word is in two of them
    result = uncovered(tmp_path, [{"prompt": "same", "chosen": f"a {n}", "rejected": f"b {n}"} for n in range(150)])
    assert {each.code for each in result.findings} == {"uncovered.turns", "uncovered.languages"}


def test_thin_tags_are_named(tmp_path):
    made = rows({"cooking": 60}, tags=["safety"]) + rows({"cooking": 5}, seed=2, tags=["style", "style"])
    found = finding(uncovered(tmp_path, [{**row, "prompt": f"{row['prompt']} {n}"} for n, row in enumerate(made)]),
                    "uncovered.tags")  # fmt: skip
    assert (found.count, found.of) == (1, 2) and found.title == "Thin tags"
    assert [(each["tag"], each["rows"], each["thin"]) for each in found.numbers["tags"]] == [
        ("safety", 60, False), ("style", 5, True),
    ]  # fmt: skip
    assert found.numbers["rows_without"] == 0


def test_turns_of_the_user_are_counted(tmp_path):
    def dialogue(turns, number):
        said = [{"role": role, "content": f"{role} {number} {turn}"} for turn in range(turns)
                for role in ("user", "assistant")]  # fmt: skip
        return {"prompt": said[:-1], "chosen": f"a {number}", "rejected": f"b {number}"}

    made = [dialogue(1 if number < 7 else 3, number) for number in range(10)]
    found = finding(uncovered(tmp_path, made), "uncovered.turns")
    assert (found.count, found.of) == (3, 10)
    assert [(each["turns"], each["rows"]) for each in found.numbers["turns"]] == [("1", 7), ("3", 3)]


def test_languages_are_told(tmp_path):
    german = "Wie backe ich ein gutes Brot mit viel Butter und ohne Hefe in meinem alten Ofen, Nummer {}?"
    english = "How do I bake a good loaf of bread with butter and without yeast in my old oven, number {}?"
    made = [{"prompt": (german if n % 5 == 0 else english).format(n), "chosen": f"a {n}", "rejected": f"b {n}"}
            for n in range(50)] + [{"prompt": "42", "chosen": "c", "rejected": "d"}]  # fmt: skip
    found = finding(uncovered(tmp_path, made), "uncovered.languages")
    assert {each["language"]: each["rows"] for each in found.numbers["languages"]} == {
        "en": 40,
        "de": 10,
        "not sure": 1,
    }
    assert (found.count, found.of) == (10, 51) and found.examples[0].text.startswith("de: Wie backe")


@pytest.mark.parametrize("package", ["sklearn.cluster", "py3langid.langid"])
def test_the_extra_is_named_where_it_is_absent(tmp_path, monkeypatch, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ConfigError, match=r"prefsmith\[audit\]"):
        uncovered(tmp_path, rows({"cooking": 120}))
