"""The model card: what it says, that it is valid, and that what it says to load loads."""

import re

import pytest
import yaml
from planted import config_for, pairs, train

from prefsmith.report import read_run, write
from prefsmith.report.card import card, code, escaped


def front_of(text):
    found = re.match(r"---\n(.*?)---\n", text, re.S)
    return yaml.safe_load(found[1])


def test_a_card_says_what_is_known_and_no_licence(record):
    folder = record()
    write(folder)
    text = (folder / "model" / "README.md").read_text()
    assert front_of(text) == {
        "base_model": "org/base",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["prefsmith", "dpo"],
    }
    kl = "KL to the starting model: 0.50 nats an answer [0.50, 0.50]"
    for words in ("58.5 % [50.1, 66.5]", "135 held-out pairs", "`pairs.jsonl`", "ab" * 32, "in 30 steps", kl):
        assert words in text, words
    assert "| loss.beta | `0.2` |" in text and "samples.jsonl" in text


def test_only_what_the_hub_has_is_named_to_it(record, settings, tmp_path, monkeypatch):
    local = card(read_run(record("one", {"model.json": {"origin": "/models/base"}})))
    assert "base_model" not in front_of(local) and "datasets" not in front_of(local)
    (tmp_path / "org" / "base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert "base_model" not in front_of(card(read_run(record("relative"))))  # the model of the record is this folder
    changes = {"run.yaml": settings(data={"train": "hub:org/pairs,split=train", "eval": "hub:org/pairs,split=test"})}
    assert front_of(card(read_run(record("two", changes))))["datasets"] == ["org/pairs"]


@pytest.mark.parametrize(
    "hostile",
    [
        "a: b\n---\nlicense: mit",
        "`code` `` more",
        "<script>x</script>",
        "| a | b |",
        "\u202e\x00\ud800",
        "[x](javascript:y)",
        "'\"#",
    ],
)
def test_names_of_any_kind_keep_the_card_valid(record, settings, hostile):
    changes = {
        "model.json": {"origin": hostile, "sha256": hostile, "reference": hostile},
        "data.json": {
            "train": {"path": hostile, "rows": 1, "recognised": hostile},
            "train_encoded": {hostile: 3, "groups": 3},
        },
        "run.yaml": settings(data={"train": hostile.encode("utf-8", "replace").decode()}),
    }
    text = card(read_run(record("x" if "/" in hostile or "\x00" in hostile else hostile, changes)))
    front = front_of(text)
    assert set(front) == {"library_name", "pipeline_tag", "tags"}
    outside = re.sub(r"(`+) ?.*? ?\1(?!`)", "", re.sub(r"```+python.*?```+", "", text, flags=re.S))
    assert "<script>" not in outside and "](javascript" not in outside and "\x00" not in text and "\u202e" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows and all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in rows)
    text.encode()


def test_code_spans_hold_what_they_hold():
    assert code("a") == "`a`" and code("a`b") == "`` a`b ``" and code("``") == "``` `` ```" and code("") == "` `"
    assert escaped("*a* _b_ c_d [50.1, 66.5] <i> [x](y)") == r"\*a\* \_b\_ c_d [50.1, 66.5] \<i\> \[x\](y)"


def test_no_card_is_written_without_a_finished_run_or_a_model(record):
    stopped, bare = record("stopped", {"outcome.json": None}), record("bare", model=False)
    write(stopped), write(bare)
    assert not (stopped / "model" / "README.md").exists() and not (bare / "model").exists()


@pytest.mark.parametrize("adapter", [{}, {"kind": "lora", "target_modules": "all-linear"}])
def test_what_the_card_says_to_run_loads_the_trained_model(tmp_path, adapter):
    config = config_for(tmp_path, pairs(40), adapter=adapter, train={"pairs_per_step": 16, "max_steps": 2})
    folder = train(config).folder
    write(folder)
    text = (folder / "model" / "README.md").read_text()
    assert front_of(text)["library_name"] == ("peft" if adapter else "transformers")
    assert "lora" in front_of(text)["tags"] if adapter else "lora" not in front_of(text)["tags"]
    space = {}
    exec(re.search(r"```python\n(.*?)```", text, re.S)[1], space)
    answer = space["model"].generate(**space["tokenizer"]("red", return_tensors="pt"), max_new_tokens=2)
    assert answer.shape[1] > 1


def test_a_page_of_a_real_run_has_everything(tmp_path):
    sampled = {"samples": 2, "sample_tokens": 8}
    config = config_for(tmp_path, pairs(60), train={"pairs_per_step": 8, "max_steps": 5}, evaluate=sampled)
    text = write(train(config).folder).read_text()
    assert "The run is too short to judge." in text and "Finished" in text and "cannot be read" not in text
    assert "What is missing from this page" not in text and text.count("<figure>") == 6
    assert text.count('class="sample"') == 2
