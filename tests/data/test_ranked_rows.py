"""Rows that hold several answers to a prompt: the forms they come in, what is said of them, and how they are broken."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import write_rows

from prefsmith.data.groups import read_groups
from prefsmith.data.prompts import read_prompts
from prefsmith.data.rejects import Rejects
from prefsmith.errors import DataError
from prefsmith.records import Completion, Message

SCORED = {"prompt": "q", "completions": ["a", "b", "c"], "scores": [1, 3.5, 3.5]}
RANKED = {"prompt": "q", "completions": ["a", "b", "c"], "ranks": [1, 2, 2]}
# As they are published: UltraFeedback before it was made pairs, and Nectar.
ULTRAFEEDBACK = {
    "source": "evol_instruct", "instruction": "q", "models": ["m", "n"], "correct_answers": ["None"],
    "completions": [
        {"annotations": {"helpfulness": {"Rating": "4"}}, "custom_system_prompt": "s", "model": "m", "principle": "p",
         "response": "a", "critique": "good", "fine-grained_score": 2.0, "overall_score": 6.5},
        {"annotations": {}, "custom_system_prompt": "s", "model": "n", "principle": "p",
         "response": "b", "critique": "bad", "fine-grained_score": 4.0, "overall_score": 2.0},
    ],
}  # fmt: skip
NECTAR = {
    "prompt": "\n\nHuman: q\n\nAssistant: ", "source": ["lmsys"], "good_natured": True, "turns": 1, "num_responses": 2,
    "answers": [{"answer": "a", "model": "m", "rank": 2.0}, {"answer": "b", "model": "n", "rank": 1.0}],
}  # fmt: skip


def read(path, *rows, **options):
    return read_groups(write_rows(path / "rows.jsonl", rows), **options)


def refused(path, *rows, **options):
    with pytest.raises(DataError) as caught:
        read(path, *rows, **options)
    assert caught.value.fix
    return caught.value


def told(row):
    """The answers of the only group with their scores, and its tiers."""
    group = row.groups[-1]
    return [(each.content, each.score) for each in group.completions], group.ranking


@pytest.mark.parametrize(
    ("row", "answers", "ranking", "described"),
    [
        (SCORED, [("a", 1.0), ("b", 3.5), ("c", 3.5)], ((1, 2), (0,)),
         "ranked rows (prompt, completions, scores); larger scores are better"),
        (RANKED, [("a", None), ("b", None), ("c", None)], ((0,), (1, 2)),
         "ranked rows (prompt, completions, ranks); rank 1 is the best"),
        (ULTRAFEEDBACK, [("a", 6.5), ("b", 2.0)], ((0,), (1,)),
         "ranked rows (prompt, completions); prompt from instruction; answers from completions[].response; "
         "scores from completions[].overall_score; larger scores are better; not read in completions: annotations, "
         "custom_system_prompt, principle, critique, fine-grained_score; "
         "not read: source, models, correct_answers"),
        (NECTAR, [("a", None), ("b", None)], ((1,), (0,)),
         "ranked rows (prompt, completions); completions from answers; answers from answers[].answer; "
         "ranks from answers[].rank; rank 1 is the best; "
         "not read: source, good_natured, turns, num_responses"),
        ({"prompt": "q", "drafts": [{"text": "a", "rating": 2}, {"text": "b", "rating": 5}]},
         [("a", 2.0), ("b", 5.0)], ((1,), (0,)),
         "ranked rows (prompt, completions); completions from drafts; answers from drafts[].text; "
         "scores from drafts[].rating; larger scores are better"),
    ],
    ids=["scores", "ranks", "UltraFeedback", "Nectar", "any column"],
)  # fmt: skip
def test_forms_are_recognised_and_said(tmp_path, row, answers, ranking, described):
    reading = read(tmp_path, row)
    assert told(reading) == (answers, ranking)
    assert reading.schema.describe() == described
    assert not reading.groups[0].comparisons and not reading.groups[0].ratings and reading.groups[0].weight == 1.0


def test_keys_that_nothing_reads_are_counted(tmp_path):
    noted = [{**each, "note": "n"} for each in NECTAR["answers"]]
    row = {**NECTAR, "answers": noted}
    assert read(tmp_path, row, row).notes["entries of answers have keys that are not read"] == 4
    assert not read(tmp_path, SCORED).notes


def test_the_fine_grained_score_counts_where_there_is_no_other(tmp_path):
    entries = [{key: value for key, value in each.items() if key != "overall_score"}
               for each in ULTRAFEEDBACK["completions"]]  # fmt: skip
    assert told(read(tmp_path, {"instruction": "q", "completions": entries}))[1] == ((1,), (0,))


def test_a_row_has_a_weight(tmp_path):
    assert read(tmp_path, {**SCORED, "weight": 2.5}).groups[0].weight == 2.5


def test_nectar_is_read_as_turns(tmp_path):
    """Its prompts are dialogues in text, and end with the space that stands in front of each answer."""
    reading = read(tmp_path, NECTAR)
    assert reading.groups[0].prompt == (Message("user", "q"),)
    assert reading.groups[0].completions == tuple(
        Completion(messages=(Message("assistant", text),), writer=writer) for text, writer in ("am", "bn")
    )
    assert reading.notes["dialogues in text split into turns"] == 1


ASK, A, B = {"role": "user", "content": "q"}, *({"role": "assistant", "content": text} for text in "ab")
CHAT = ((Message("user", "q"),), [Completion(messages=(Message("assistant", text),), score=score)
                                  for text, score in (("a", 2.0), ("b", 1.0))])  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [ASK], "completions": [[A], [B]], "scores": [2, 1]},
        {"prompt": [ASK], "completions": [[ASK, A], [ASK, B]], "scores": [2, 1]},
        {"prompt": "q", "completions": [A, B], "scores": [2, 1]},
        {"prompt": [ASK], "completions": ["a", "b"], "scores": [2, 1]},
        {"prompt": [ASK], "answers": [{"content": [A], "score": 2}, {"content": [B], "score": 1}]},
        {"prompt": [ASK], "answers": [{**A, "score": 2}, {**B, "score": 1}]},
    ],
    ids=["lists", "with the prompt", "messages", "texts", "lists in objects", "scored messages"],
)
def test_answers_may_be_messages(tmp_path, row):
    group = read(tmp_path, row).groups[0]
    assert (group.prompt, list(group.completions)) == CHAT


def as_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(
            {key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items()} for row in rows
        )
    return path


def as_parquet(path, rows):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def as_dataset(path, rows):
    from datasets import Dataset

    Dataset.from_list(rows).save_to_disk(path)
    return path


@pytest.mark.parametrize(("name", "write"), [("a.csv", as_csv), ("a.parquet", as_parquet), ("a", as_dataset)])
@pytest.mark.parametrize("row", [SCORED, RANKED, {"prompt": "q", "answers": NECTAR["answers"]}])
def test_every_container_holds_lists(tmp_path, name, write, row):
    expected = read(tmp_path, row, row).groups[0]
    reading = read_groups(write(tmp_path / name, [row, row]))
    assert [(each.completions, each.ranking) for each in reading.groups] == [
        (expected.completions, expected.ranking)
    ] * 2
    assert ("cells of answers are JSON text, read as lists" in reading.notes) == (name == "a.csv" and "answers" in row)


def test_a_pair_that_holds_all_drafts_stays_a_pair_unless_the_list_is_named(tmp_path):
    row = {"prompt": "q", "chosen": "a", "rejected": "b", "drafts": ["a", "c", "b"], "rewards": [3, 2, 1]}
    assert read(tmp_path, row).schema.format == "preference"
    names = {"completions": "drafts", "scores": "rewards"}
    assert read(tmp_path, row, columns=names).groups[0].ranking == ((0,), (1,), (2,))
    assert read(tmp_path, row, columns=names, format="preference").schema.format == "preference"


@pytest.mark.parametrize(
    ("row", "columns", "ranking"),
    [
        ({**SCORED, "ranks": [1, 2, 3]}, {"scores": "scores"}, ((1, 2), (0,))),
        ({**SCORED, "ranks": [1, 2, 3]}, {"ranks": "ranks"}, ((0,), (1,), (2,))),
        ({"prompt": "q", "answers": [{"text": "a", "score": 2, "rank": 2}, {"text": "b", "score": 1, "rank": 1}]},
         {"ranks": "rank"}, ((1,), (0,))),
        (ULTRAFEEDBACK, {"scores": "fine-grained_score"}, ((1,), (0,))),
        ({"prompt": "q", "answers": [{"text": "a", "stars": 2}, {"text": "b", "stars": 5}]},
         {"completions": "answers", "scores": "stars"}, ((1,), (0,))),
    ],
    ids=["scores", "ranks", "a key of two", "another key", "an unknown key"],
)  # fmt: skip
def test_the_numbers_that_are_meant_can_be_named(tmp_path, row, columns, ranking):
    assert read(tmp_path, row, columns=columns).groups[0].ranking == ranking


@pytest.mark.parametrize(
    ("row", "code", "says", "fix"),
    [
        ({**SCORED, "ranks": [1, 2, 3]}, "data.ranking", "scores, ranks may each say the order",
         "data.columns.scores=scores or data.columns.ranks=ranks"),
        ({"prompt": "q", "answers": [{"text": "a", "score": 2, "rank": 1}]}, "data.ranking", "score, rank may each",
         "data.columns.scores=score or data.columns.ranks=rank"),
        ({"prompt": "q", "answers": [{"text": "a", "answer": "b", "score": 2}]}, "data.ranking",
         "have answer, text, and each may be the answer", "keep one"),
        ({"prompt": "q", "answers": [{"text": "a", "score": 2}], "outputs": [{"text": "a", "score": 2}]},
         "data.ranking", "answers, outputs may each be the list of answers", "data.columns.completions=answers or"),
        ({"prompt": "q", "completions": ["a", "b"]}, "data.column", "missing scores or ranks; the row has prompt",
         "data.columns.scores=<your column>"),
        ({"completions": ["a", "b"], "scores": [1, 2]}, "data.column", "missing prompt; the row has completions",
         "data.columns.prompt=<your column>"),
        ({**ULTRAFEEDBACK, "completions": []}, "data.ranking", "completions is empty in the first row", "begin the"),
    ],
    ids=["scores and ranks", "two numbers", "two texts", "two lists", "no numbers", "no prompt", "no answers"],
)  # fmt: skip
def test_a_first_row_that_is_not_clear_is_refused(tmp_path, row, code, says, fix):
    error = refused(tmp_path, row)
    assert (error.code, error.where) == (code, f"{tmp_path / 'rows.jsonl'}:1")
    assert says in error.what and fix in error.fix


def test_a_text_in_the_place_of_the_list_is_named(tmp_path):
    error = refused(tmp_path, {"prompt": "q", "completions": "a", "scores": [1]}, format="ranked")
    assert error.code == "data.type" and "completions is no list: 'a'" in error.what


def test_a_key_that_is_nowhere_is_refused(tmp_path):
    error = refused(tmp_path, SCORED, columns={"scores": "stars"})
    assert error.code == "data.column" and "missing stars, which data.columns.scores names" in error.what


ENTRIES = {"prompt": "q", "answers": [{"text": "a", "score": 2}, {"text": "b", "score": 1}]}
BROKEN = [
    (SCORED, {"completions": ["a"], "scores": [1]}, "data.ranking", "completions has 1 answer, and a list ranks"),
    (SCORED, {"completions": [], "scores": []}, "data.ranking", "completions has 0 answers"),
    (SCORED, {"scores": [1, 2]}, "data.ranking", "scores has 2 numbers for 3 answers"),
    (SCORED, {"completions": ["a", "b", "a"]}, "data.identical", "completions[0] and completions[2] are the same"),
    (SCORED, {"completions": ["a", " ", "c"]}, "data.empty", "completions[1] is empty"),
    (SCORED, {"completions": ["a", None, "c"]}, "data.type", "completions[1] is null, not a text"),
    (SCORED, {"completions": ["a", [B], "c"]}, "data.type", "some answers are texts and others lists of messages"),
    (SCORED, {"completions": ["a", [{"role": "x"}], "c"]}, "data.role", "completions[1][0] has the role 'x'"),
    (SCORED, {"completions": "a b c"}, "data.type", "completions is the text 'a b c', not a list"),
    (SCORED, {"scores": 3}, "data.type", "scores is the number 3, not a list"),
    (SCORED, {"scores": [1, None, 2]}, "data.type", "scores[1] is None, not a number"),
    (SCORED, {"scores": [1, "2", 2]}, "data.type", "scores[1] is '2', not a number"),
    (SCORED, {"scores": [1, True, 2]}, "data.type", "scores[1] is True, not a number"),
    (SCORED, {"scores": [1, float("nan"), 2]}, "data.type", "scores[1] is nan, not a finite number"),
    (SCORED, {"scores": [1, 10**400, 2]}, "data.type", "scores[1] is inf, not a finite number"),
    (SCORED, {"weight": -1}, "data.column", "the row has weight, which the first row lacks"),
    (RANKED, {"ranks": [0, 1, 2]}, "data.ranking", "ranks[0] is 0, and ranks count from 1"),
    (ENTRIES, {"answers": [{"text": "a", "score": 2}, {"text": "b"}]}, "data.ranking", "answers[1] has no score"),
    (ENTRIES, {"answers": [{"score": 2}, {"text": "b", "score": 1}]}, "data.ranking", "answers[0] has no text"),
    (ENTRIES, {"answers": ["a", "b"]}, "data.ranking", "answers[0] is no object, and those of the first row are"),
    (ENTRIES, {"answers": [{"text": "a", "score": "high"}, {"text": "b", "score": 1}]}, "data.type",
     "answers[0].score is 'high', not a number"),
    (ENTRIES, {"answers": [{"text": 3, "score": 2}, {"text": "b", "score": 1}]}, "data.type",
     "answers[0].text is the number 3, not a text"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "changes", "code", "says"), BROKEN, ids=[case[3] for case in BROKEN])
def test_a_broken_row_is_refused_with_its_place_and_the_place_in_its_list(tmp_path, good, changes, code, says):
    bad = {**good, **changes}
    error = refused(tmp_path, good, bad)
    assert (error.code, error.where) == (code, f"{tmp_path / 'rows.jsonl'}:2") and says in error.what
    rejects = Rejects(skip=True)
    reading = read(tmp_path, good, bad, good, rejects=rejects)
    assert (reading.rows, len(reading.groups), rejects.counts()) == (3, 2, {code: 1})


def test_a_list_in_python_form_is_refused_in_a_table(tmp_path):
    (tmp_path / "a.csv").write_text(
        'prompt,completions,scores\nq,"[""a"", ""b""]","[1, 2]"\nq,"[\'a\', \'b\']","[1, 2]"\n'
    )
    with pytest.raises(DataError, match=r"completions is the text .* not a list") as caught:
        read_groups(tmp_path / "a.csv")
    assert caught.value.where.endswith("a.csv:3") and "json.dumps" in caught.value.fix


def test_prompts_of_ranked_rows_are_read(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [SCORED, {**SCORED, "prompt": "r"}, SCORED])
    assert [(group.prompt, group.completions) for group in read_prompts(path)] == [("q", ()), ("r", ())]


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=6), st.randoms())
def test_scores_say_the_order_wherever_they_stand(tmp_path_factory, values, random):
    """As columns and as objects, in any order of the file: the tiers hold the same answers."""
    path = tmp_path_factory.mktemp("rows")
    texts = [f"y{place}" for place in range(len(values))]
    entries = [{"text": text, "score": value} for text, value in zip(texts, values, strict=True)]
    random.shuffle(entries)
    columns = read(path, {"prompt": "q", "completions": texts, "scores": values}).groups[0]
    objects = read(path, {"prompt": "q", "answers": entries}).groups[0]

    def tiers(group):
        return [{group.completions[index].content for index in tier} for tier in group.ranking]

    assert tiers(columns) == tiers(objects)
    best = [text for text, value in zip(texts, values, strict=True) if value == max(values)]
    assert tiers(columns)[0] == set(best)
