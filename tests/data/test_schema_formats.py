"""What is recognised in a file, how it is said, and what becomes of a row."""

import gzip
import json

import pytest
from tiny import word_tokenizer, write_rows

from prefsmith.data.groups import read_groups
from prefsmith.data.prompts import read_prompts
from prefsmith.data.rejects import Rejects
from prefsmith.data.render import Renderer
from prefsmith.errors import ConfigError
from prefsmith.records import Comparison, Completion, Message, Rating

ASK, YES, NO = (
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": "yes"},
    {"role": "assistant", "content": "no"},
)
USER = (Message("user", "q"),)
PAIR = (Comparison(0, 1),)
GOOD = (Rating(0, 1.0),)


def one(path, row, **options):
    reading = read_groups(write_rows(path / "rows.jsonl", [row]), **options)
    return reading, reading.groups[0]


def said(text):
    return Completion(messages=(Message("assistant", text),))


@pytest.mark.parametrize(
    ("row", "described", "prompt", "completions"),
    [
        (
            {"prompt": "q", "chosen": "yes", "rejected": "no"},
            "preference rows (prompt, chosen, rejected)",
            "q",
            (Completion("yes"), Completion("no")),
        ),
        (
            {"prompt": [ASK], "chosen": [YES], "rejected": [NO]},
            "preference rows (prompt, chosen, rejected)",
            USER,
            (said("yes"), said("no")),
        ),
        (
            {"prompt": [ASK], "chosen": YES, "rejected": NO},
            "preference rows (prompt, chosen, rejected)",
            USER,
            (said("yes"), said("no")),
        ),
        (
            {"prompt": [ASK], "chosen": "yes", "rejected": "no"},
            "preference rows (prompt, chosen, rejected)",
            USER,
            (said("yes"), said("no")),
        ),
        (
            {"prompt": "q", "chosen": [ASK, YES], "rejected": [ASK, NO]},
            "preference rows (prompt, chosen, rejected)",
            USER,
            (said("yes"), said("no")),
        ),
        (
            {"chosen": [ASK, YES], "rejected": [ASK, NO], "score": 3},
            "dialogue rows (chosen, rejected); not read: score",
            USER,
            (said("yes"), said("no")),
        ),
        (
            {"chosen": "\n\nHuman: q\n\nAssistant: yes", "rejected": "\n\nHuman: q\n\nAssistant: no"},
            "dialogue rows (chosen, rejected)",
            USER,
            (said("yes"), said("no")),
        ),
        (
            {"conversations": [{"from": "human", "value": "q"}], "chosen": YES, "rejected": NO},
            "preference rows (prompt, chosen, rejected); prompt from conversations",
            USER,
            (said("yes"), said("no")),
        ),
        (
            {"question": "q", "chosen": "yes", "rejected": "no"},
            "preference rows (prompt, chosen, rejected); prompt from question",
            "q",
            (Completion("yes"), Completion("no")),
        ),
    ],
    ids=["text", "messages", "objects", "text sides", "repeated", "dialogue", "hh", "sharegpt", "synonym"],
)
def test_a_pair_is_recognised(tmp_path, row, described, prompt, completions):
    reading, group = one(tmp_path, row)
    assert reading.schema.describe() == described
    assert (group.prompt, group.completions, group.comparisons, group.ratings) == (prompt, completions, PAIR, ())


@pytest.mark.parametrize(
    ("row", "described", "prompt", "completion", "ratings"),
    [
        (
            {"prompt": "q", "completion": "yes", "label": True},
            "rating rows (prompt, completion, label)",
            "q",
            Completion("yes"),
            GOOD,
        ),
        (
            {"prompt": [ASK], "completion": [NO], "label": 0},
            "rating rows (prompt, completion, label)",
            USER,
            said("no"),
            (Rating(0, 0.0),),
        ),
        ({"messages": [ASK, YES], "label": 1.0}, "rating rows (messages, label)", USER, said("yes"), GOOD),
        (
            {"prompt": "q", "completion": "yes"},
            "completion rows (prompt, completion)",
            "q",
            Completion("yes"),
            GOOD,
        ),
        (
            {"instruction": "q", "answer": "yes"},
            "completion rows (prompt, completion); prompt from instruction, completion from answer",
            "q",
            Completion("yes"),
            GOOD,
        ),
        ({"messages": [ASK, YES]}, "completion rows (messages)", USER, said("yes"), GOOD),
        (
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "yes"}]},
            "completion rows (messages); messages from conversations",
            USER,
            said("yes"),
            GOOD,
        ),
    ],
    ids=["kto", "kto messages", "kto dialogue", "sft", "synonyms", "messages", "sharegpt"],
)
def test_an_answer_on_its_own_is_recognised(tmp_path, row, described, prompt, completion, ratings):
    reading, group = one(tmp_path, row)
    assert reading.schema.describe() == described
    assert (group.prompt, group.completions, group.ratings) == (prompt, (completion,), ratings)
    assert group.comparisons == ()


TEXTS = {"prompt": "q", "chosen": "yes", "rejected": "no"}


@pytest.mark.parametrize("name", ["prob", "probability", "preference_prob", "preference_probability"])
def test_a_probability_column_becomes_the_label(tmp_path, name):
    reading, group = one(tmp_path, {**TEXTS, name: 0.25, "weight": 2})
    assert group.comparisons == (Comparison(0, 1, prob=0.25, weight=2.0),)
    assert "prob" in reading.schema.columns and not reading.schema.unused


def test_columns_are_named_by_the_user(tmp_path):
    row = {"ask": "q", "a": "no", "b": "yes", "chosen": "a trap", "sure": 0.9}
    columns = {"prompt": "ask", "chosen": "b", "rejected": "a", "prob": "sure"}
    reading, group = one(tmp_path, row, columns=columns)
    assert group.prompt == "q" and [each.text for each in group.completions] == ["yes", "no"]
    assert group.comparisons[0].prob == 0.9
    assert reading.schema.describe().endswith(
        "prompt from ask, chosen from b, rejected from a, prob from sure; not read: chosen"
    )


def test_a_column_we_do_not_have_is_refused(tmp_path):
    with pytest.raises(ConfigError) as caught:
        one(tmp_path, TEXTS, columns={"choosen": "a"})
    assert (caught.value.code, caught.value.where) == ("data.columns", "data.columns.choosen")
    assert "'chosen'" in caught.value.fix


def test_the_format_may_be_named(tmp_path):
    reading, group = one(tmp_path, {**TEXTS, "completion": "well", "label": False}, format="rating")
    assert reading.schema.format == "rating" and group.ratings == (Rating(0, 0.0),)


def test_system_id_tags_and_tools_come_along(tmp_path):
    tool = {"name": "clock"}
    _, group = one(tmp_path, {**TEXTS, "system": "be brief", "id": 7, "tags": ["math", 3], "tools": [tool]})
    assert group.prompt == (Message("system", "be brief"), Message("user", "q"))
    assert (group.id, group.tags, group.tools) == ("7", ("math", "3"), (tool,))


def test_without_an_id_the_place_names_the_row(tmp_path):
    _, group = one(tmp_path, TEXTS)
    assert group.id == group.source == f"{tmp_path / 'rows.jsonl'}:1"


def test_a_message_that_only_calls_tools_is_an_answer(tmp_path):
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "clock"}]}
    _, group = one(tmp_path, {"prompt": [ASK], "chosen": [call], "rejected": [NO]})
    assert group.completions[0].messages[0].as_dict() == {**call, "content": ""}


def test_a_dialogue_is_split_at_its_last_answer(tmp_path):
    start = "\n\nHuman: q\n\nAssistant: first\n\nHuman: more\n\nAssistant:"
    _, group = one(tmp_path, {"chosen": start + " yes", "rejected": start + " no"})
    assert group.prompt == (*USER, Message("assistant", "first"), Message("user", "more"))
    assert group.completions == (said("yes"), said("no"))


def test_a_dialogue_that_is_not_regular_stays_text_and_is_counted(tmp_path):
    """Read as messages it could not be written again as it was: a character would change."""
    start = "\n\nHuman:no space\n\nAssistant:"
    reading, group = one(tmp_path, {"chosen": start + " yes", "rejected": start + " no"})
    assert group.prompt == start and [each.text for each in group.completions] == [" yes", " no"]
    assert reading.notes == {"dialogues kept as plain text": 1}


START = "\n\nHuman: q\n\nAssistant:"


@pytest.mark.parametrize(("prompt", "space"), [(START, " "), (START + " ", "")], ids=["before answers", "after prompt"])
@pytest.mark.parametrize(
    "answers", [{"chosen": "yes", "rejected": "no"}, {"completion": "yes", "label": True}, {"completion": "yes"}]
)
def test_a_prompt_that_is_a_dialogue_in_text_becomes_turns(tmp_path, prompt, space, answers):
    """A chat template would otherwise write all of it as one turn of the user."""
    row = {name: space + each if isinstance(each, str) else each for name, each in answers.items()}
    reading, group = one(tmp_path, {"prompt": prompt, **row})
    assert group.prompt == USER and group.completions == tuple(map(said, (("yes", "no")[: len(group.completions)])))
    assert reading.notes == {"dialogues in text split into turns": 1}


@pytest.mark.parametrize(
    ("prompt", "answers"),
    [(START, ("yes", " no")), (START, ("yes", "no")), (START + "  ", ("yes", "no")), (START + " I say", (" a", " b")),
     ("\n\nHuman:q\n\nAssistant:", (" a", " b"))],
    ids=["one space", "no space", "two spaces", "words behind", "irregular"],
)  # fmt: skip
def test_a_prompt_that_turns_would_not_write_again_stays_text_and_is_counted(tmp_path, prompt, answers):
    reading, group = one(tmp_path, {"prompt": prompt, "chosen": answers[0], "rejected": answers[1]})
    assert group.prompt == prompt and tuple(each.text for each in group.completions) == answers
    assert reading.notes == {"dialogues kept as plain text": 1}


def test_a_prompt_alone_becomes_the_same_turns(tmp_path):
    """Answers are generated behind the prompt that training saw."""
    path = write_rows(tmp_path / "prompts.jsonl", [{"prompt": START}, {"prompt": "q"}])
    assert [group.prompt for group in read_prompts(path)] == [USER, "q"]


def test_real_dialogues_keep_every_character(shared_data):
    """Counts that another program made: 3 pairs diverge, 1 has an empty answer."""
    path, rejects = shared_data / "hh_harmless.jsonl.gz", Rejects(skip=True)
    reading = read_groups(path, rejects=rejects)
    assert (reading.rows, len(reading.groups)) == (1381, 1377)
    assert rejects.counts() == {"data.diverge": 3, "data.empty": 1}

    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    renderer = Renderer(word_tokenizer([]), "plain")
    rendered = [renderer.render(group).texts for group in reading.groups]
    places = [int(group.source.rpartition(":")[2]) - 1 for group in reading.groups]
    assert rendered == [(lines[place]["chosen"], lines[place]["rejected"]) for place in places]
