"""What stands more than once: copies, near copies, leaked prompts, constant answers; and what only looks like it."""

import pytest
from planted_faults import clean_rows, nearly, write

from prefsmith.audit.repeated import Repeated
from prefsmith.audit.run import audit


def found_in(*files):
    result = audit(list(files), [Repeated()])
    return {finding.code.partition(".")[2]: finding for finding in result.findings}


def train(tmp_path, rows):
    return found_in((write(tmp_path / "train.jsonl", rows), "train"))


def test_copies_within_a_part_and_not_between_parts(tmp_path):
    rows = clean_rows(10)
    files = [(write(tmp_path / "a.jsonl", rows), "train"), (write(tmp_path / "b.jsonl", rows[:3]), "train")]
    found = found_in(*files)
    assert found["rows"].proposal.rows.tolist() == [10, 11, 12], "over all files to train on"
    files[1] = (files[1][0], "eval")
    assert set(found_in(*files)) == {"leaked"}


def test_a_row_is_what_it_teaches(tmp_path):
    row = {**clean_rows(1)[0], "prob": 1.0}
    turned = {**row, "chosen": row["rejected"], "rejected": row["chosen"]}
    same = {**turned, "prob": 0.0}  # the same label the other way round
    assert train(tmp_path, [row, turned]).keys() == {"prompts"}
    assert "rows" not in train(tmp_path, [row, {**row, "prob": 0.7}])
    assert train(tmp_path, [row, same])["rows"].count == 1


def test_lists_in_another_order_and_ratings(tmp_path):
    first = {"prompt": "p", "completions": ["a", "b", "c"], "scores": [3, 2, 1]}
    other = {"prompt": "p", "completions": ["c", "a", "b"], "scores": [1, 3, 2]}
    assert train(tmp_path, [first, other])["rows"].count == 1
    assert "rows" not in train(tmp_path, [first, {**other, "scores": [3, 1, 2]}])
    rated = {"prompt": "p", "completion": "a b c d", "label": True}
    assert train(tmp_path, [rated, rated, {**rated, "label": False}])["rows"].proposal.rows.tolist() == [1]


def test_the_same_pair_with_votes_of_others_is_no_copy(tmp_path):
    def voted(**votes):
        listed = [{"annotator": name, "vote": side} for name, side in votes.items()]
        return {"prompt": "which one?", "a": "the first of them", "b": "and the second", "votes": listed}

    assert "rows" not in train(tmp_path, [voted(ann="a", bob="b"), voted(cy="a", dan="b")])
    assert train(tmp_path, [voted(ann="a", bob="b"), voted(bob="b", ann="a")])["rows"].count == 1


def test_a_tie_and_votes_with_their_sides_swapped_say_the_same(tmp_path):
    tie = {**clean_rows(1)[0], "prob": 0.5}
    swapped = {**tie, "chosen": tie["rejected"], "rejected": tie["chosen"]}
    assert train(tmp_path, [tie, swapped])["rows"].count == 1

    def voted(first, second, **votes):
        listed = [{"annotator": name, "vote": side, "order": order} for name, (side, order) in votes.items()]
        return {"prompt": "which one?", "a": first, "b": second, "votes": listed}

    one, two = "the first of them", "and the second"
    row = voted(one, two, ann=("a", None), bob=("tie", None), cy=("a", 0))
    assert train(tmp_path, [row, voted(two, one, ann=("b", None), bob=("tie", None), cy=("b", 1))])["rows"].count == 1
    for other in (("a", None), ("tie", None), ("b", 1)):
        said = {"ann": ("b", None), "bob": ("tie", None), "cy": ("b", 1)} | {"ann": other}
        assert "rows" not in train(tmp_path, [row, voted(two, one, **said)])


def test_a_set_of_near_copies_counts_once(tmp_path):
    rows = clean_rows(5)
    near = {**rows[0], "chosen": nearly(rows[0]["chosen"])}
    again = {**rows[0], "rejected": nearly(rows[0]["rejected"])}
    found = train(tmp_path, [*rows, near, again])["near_rows"]
    assert (found.count, found.numbers) == (2, {"sets": 1, "largest": 3, "by_signature_alone": 0})
    assert found.proposal.rows.tolist() == [0, 5, 6]
    assert found.proposal.weights.sum() == pytest.approx(1)


def test_a_shared_prompt_or_a_turned_pair_is_no_near_copy(tmp_path):
    first, second, third = clean_rows(3, words=30)
    long = {**second, "prompt": first["prompt"]}
    turned = {**third, "chosen": nearly(third["rejected"]), "rejected": nearly(third["chosen"])}
    assert train(tmp_path, [first, long, third, turned]).keys() == {"prompts"}


def test_leaks_are_told_for_each_file(tmp_path):
    rows = clean_rows(20)
    held_out = [*clean_rows(5, 1), {**clean_rows(1, 2)[0], "prompt": rows[3]["prompt"]}]
    bench = [{"prompt": rows[4]["prompt"], "completion": "something else here", "label": True},
             {"prompt": nearly(rows[5]["prompt"]), "completion": "and else again", "label": False}]  # fmt: skip
    files = [(write(tmp_path / "train.jsonl", [*rows, {**clean_rows(1, 3)[0], "prompt": rows[3]["prompt"]}]), "train"),
             (write(tmp_path / "eval.jsonl", held_out), "eval"), (write(tmp_path / "bench.jsonl", bench), "other"),
             (write(tmp_path / "clean.jsonl", clean_rows(4, 4)), "other")]  # fmt: skip
    found = found_in(*files)
    assert found.keys() == {"leaked", "leaked_other", "near_leaked_other", "prompts"}
    assert (found["leaked"].count, found["leaked"].of) == (1, 6)
    assert found["leaked"].proposal.rows.tolist() == [3, 20], "both rows with the prompt"
    assert found["leaked_other"].title == "Rows of bench.jsonl have a prompt that is trained on"
    assert found["leaked_other"].proposal.rows.tolist() == [4]
    assert found["near_leaked_other"].proposal.rows.tolist() == [5]
    assert (found["leaked"].severity, found["near_leaked_other"].severity) == ("error", "warning")


def test_prompts_of_benchmarks_without_answers_are_read(tmp_path):
    rows = clean_rows(5)
    bench = write(tmp_path / "bench.jsonl", [{"instruction": rows[2]["prompt"]}, {"instruction": "another question?"}])
    found = found_in((write(tmp_path / "train.jsonl", rows), "train"), (bench, "other"))
    assert found["leaked_other"].proposal.rows.tolist() == [2] and found["leaked_other"].of == 2


@pytest.mark.parametrize(
    ("answer", "side", "share", "severity"),
    [
        ("I can only say this", "rejected", 0.06, "warning"),
        ("I can only say this", "chosen", 0.06, "warning"),
        ("I can only say this", "chosen", 0.6, "error"),
        ("I can only say this", "rejected", 0.6, "warning"),
        ("Yes.", "chosen", 0.6, "note"),
    ],
)
def test_constant_answers(tmp_path, answer, side, share, severity):
    rows = clean_rows(100)
    for row in rows[: round(100 * share)]:
        row[side] = answer
    found = train(tmp_path, rows)["constant"]
    assert (found.severity, found.count) == (severity, 100 * share)
    (told,) = found.numbers["answers"]
    assert (told["answer"], told["prompts"], told["share"]) == (answer, 100 * share, share)
    assert (told["won"], told["lost"])[side == "rejected"] == 100 * share


def test_an_answer_to_few_prompts_is_none(tmp_path):
    rows = clean_rows(100)
    for row in rows[:4]:
        row["chosen"] = "I can only say this"
    assert train(tmp_path, rows) == {}
    same = [{**row, "prompt": rows[0]["prompt"], "chosen": "I can only say this"} for row in clean_rows(30, 1)]
    assert "constant" not in train(tmp_path, [*clean_rows(100), *same]), "many rows of one prompt"
