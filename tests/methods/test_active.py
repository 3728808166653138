"""A file of pairs goes out, votes come back, and what was asked is not asked again."""

import json
from pathlib import Path

import numpy as np
import pytest

from prefsmith.cli.main import main
from prefsmith.data.groups import read_groups
from prefsmith.data.pool import pair_key, read_pool
from prefsmith.data.votes.read import read_judgements
from prefsmith.errors import ConfigError, DataError
from prefsmith.feedback.choice.answers import read_answers
from prefsmith.feedback.choice.estimate import sigmoid
from prefsmith.methods.active import Asked, label_next

WORDS = ["red", "blue", "green", "small", "large", "old", "new", "fast", "slow", "warm", "cold", "dry"]


def written(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pool_of(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Pairs of answers of a few words, each pair of others."""
    rng = np.random.default_rng(seed)
    return [
        {
            "id": f"p{number}",
            "prompt": f"question {number}",
            "response_a": " ".join(rng.choice(WORDS, 3)) + " a",
            "response_b": " ".join(rng.choice(WORDS, 5)) + " b",
        }
        for number in range(count)
    ]


def voted(rows: list[dict[str, object]], vote: str = "a") -> list[dict[str, object]]:
    return [{**row, "votes": [{"annotator": "ann", "vote": vote}]} for row in rows]


def test_half_a_character_in_an_id_or_a_tag_is_written_as_it_was(tmp_path):
    row = {**pool_of(1)[0], "id": "\ud83d", "tags": ["\ude00"]}
    asked = [
        "label",
        "next",
        written(tmp_path / "pool.jsonl", [row]),
        "--budget",
        "1",
        "--out",
        f"{tmp_path}/ask.jsonl",
    ]
    assert main(asked) == 0
    (found,) = rows_of(tmp_path / "ask.jsonl")
    assert (found["id"], found["tags"]) == (row["id"], row["tags"])


def test_a_limit_reads_no_row_beyond_it(tmp_path):
    pool = written(tmp_path / "pool.jsonl", pool_of(2))
    with open(pool, "a", encoding="utf-8") as file:
        file.write("no JSON\n")
    assert read_pool(pool, limit=2).rows == 2


def test_rounds_of_labels_never_ask_for_a_pair_twice(tmp_path):
    """Batch by batch until the pool is empty; the last round takes what is left and says so."""
    pool = written(tmp_path / "pool.jsonl", pool_of(23))
    asked, out = [], []
    for number in range(5):
        chosen = label_next(Asked(pool, 5, labelled=tuple(map(str, out))), tmp_path / f"ask-{number}.jsonl")
        rows = rows_of(tmp_path / f"ask-{number}.jsonl")
        assert [row["id"] for row in rows] == list(chosen.ids) and chosen.labels == len(asked)
        assert all(row["votes"] == [] for row in rows)
        asked += [row["id"] for row in rows]
        out.append(tmp_path / f"voted-{number}.jsonl")
        written(out[-1], voted(rows))
    assert sorted(asked) == sorted(f"p{number}" for number in range(23)) and len(rows) == 3
    with pytest.raises(DataError) as caught:
        label_next(Asked(pool, 5, labelled=tuple(map(str, out))))
    assert caught.value.code == "label.pool"


def test_a_file_that_is_still_out_is_not_asked_for_again(tmp_path):
    pool = written(tmp_path / "pool.jsonl", pool_of(8))
    label_next(Asked(pool, 4), tmp_path / "ask.jsonl")
    chosen = label_next(Asked(pool, 8, labelled=(str(tmp_path / "ask.jsonl"),)))
    assert chosen.waiting == 4 and chosen.labels == 0
    assert {*chosen.ids} == {f"p{number}" for number in range(8)} - {
        row["id"] for row in rows_of(tmp_path / "ask.jsonl")
    }
    half = rows_of(tmp_path / "ask.jsonl")
    mixed = written(tmp_path / "half.jsonl", [*voted(half[:2]), *half[2:]])
    chosen = label_next(Asked(pool, 8, labelled=(mixed,)))
    assert (chosen.waiting, chosen.labels, len(chosen.ids)) == (2, 2, 4)


def test_a_label_counts_for_its_pair_in_whatever_order_and_form_it_comes(tmp_path):
    row = pool_of(1)[0]
    turned = {**row, "response_a": row["response_b"], "response_b": row["response_a"]}
    (candidate,) = read_pool(written(tmp_path / "pool.jsonl", [row])).candidates
    one, other = candidate.group.completions
    forms = {
        "votes": voted([row], "a"),
        "turned": voted([turned], "b"),
        "winner": [{**row, "winner": "response_a"}],
        "label": [{"prompt": row["prompt"], "chosen": row["response_a"], "rejected": row["response_b"]}],
        "doubt": [{"prompt": row["prompt"], "chosen": row["response_b"], "rejected": row["response_a"], "prob": 0.0}],
        "turns": [{"prompt": [{"role": "user", "content": row["prompt"]}], "chosen": one.text, "rejected": other.text}],
    }
    for name, rows in forms.items():
        answers = read_answers([written(tmp_path / f"{name}.jsonl", rows)], skip_bad=False)
        assert answers.labels == {candidate.key: 0.0 if candidate.turned else 1.0}, name


@pytest.mark.parametrize("votes", [[{"annotator": "x", "vote": "a"}], []])
def test_a_bad_first_row_of_what_came_back_is_skipped_as_any_other(tmp_path, votes):
    """Fault: the look at the first row stops there, and a file without any vote is read to its first bad row."""
    good, *_ = pool_of(1)
    back = tmp_path / "back.jsonl"
    back.write_text("".join(["{bad\n", json.dumps({**good, "votes": votes}) + "\n", "{bad\n"]))
    found = read_answers([str(back)], skip_bad=True)
    assert (len(found.labels), len(found.waiting)) == (len(votes), 1 - len(votes))
    assert (found.rows, found.refused) == (3, 2)
    with pytest.raises(DataError) as caught:
        read_answers([str(back)], skip_bad=False)
    assert caught.value.where.endswith(":1")


def test_votes_are_shared_and_invalid_ones_wait(tmp_path):
    row = pool_of(1)[0]
    key, turned = pair_key(read_pool(written(tmp_path / "pool.jsonl", [row])).candidates[0].group)
    votes = [{"annotator": name, "vote": vote} for name, vote in zip("abcd", ["a", "a", "tie", "invalid"], strict=True)]
    more = voted([{**row}], "b")
    files = [written(tmp_path / "one.jsonl", [{**row, "votes": votes}]), written(tmp_path / "two.jsonl", more)]
    found = read_answers(files, skip_bad=False).labels[key]
    assert found == pytest.approx(1 - 2.5 / 4 if turned else 2.5 / 4)
    lone = [{**row, "votes": votes[3:]}, {**pool_of(2)[1], "votes": votes[:1]}]
    answers = read_answers([written(tmp_path / "lone.jsonl", lone)], skip_bad=False)
    assert answers.waiting == {key} and len(answers.labels) == 1


def test_what_came_back_trains_and_aggregates(tmp_path):
    """The rows are a file of votes, and with a winner a file of preferences."""
    pool = written(tmp_path / "pool.jsonl", pool_of(6))
    label_next(Asked(pool, 3), tmp_path / "ask.jsonl")
    rows = rows_of(tmp_path / "ask.jsonl")
    assert len(read_judgements(written(tmp_path / "votes.jsonl", voted(rows))).pairs) == 3
    groups = read_groups(written(tmp_path / "won.jsonl", [{**row, "winner": "response_b"} for row in rows])).groups
    assert [group.completions[0].text for group in groups] == [row["response_b"] for row in rows]


def test_d_optimal_finds_what_a_planted_pool_hides(tmp_path):
    """Through the command, with features of the file: few pairs differ in most directions, and they are asked for."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((200, 10))
    rare = rng.random(200) < 0.15
    features[~rare, 2:] = 0
    rows = [{**row, "x": list(numbers)} for row, numbers in zip(pool_of(200), features.tolist(), strict=True)]
    pool, files = written(tmp_path / "pool.jsonl", rows), []
    weights = rng.standard_normal(10)
    found = {}
    for method in ("d-optimal", "random"):
        files = []
        for batch in range(4):
            command = ["label", "next", pool, "--budget", "5", "--features", "x", "--method", method]
            out = tmp_path / f"{method}-{batch}.jsonl"
            assert main([*command, *(word for file in files for word in ("--labelled", file)), "--out", str(out)]) == 0
            by_id = {row["id"]: (row, odds) for row, odds in zip(rows, features @ weights, strict=True)}
            asked = rows_of(out)
            votes = []
            for row in asked:
                mine, odds = by_id[row["id"]]
                first = sigmoid(np.array([odds]))[0] > 0.5
                votes.append("a" if first == (row["response_a"] == mine["response_a"]) else "b")
            back = [
                {**row, "votes": [{"annotator": "s", "vote": vote}]} for row, vote in zip(asked, votes, strict=True)
            ]
            files.append(written(tmp_path / f"{method}-{batch}-back.jsonl", back))
        ids = [row["id"] for file in files for row in rows_of(Path(file))]
        assert len(set(ids)) == 20
        found[method] = sum(rare[int(name[1:])] for name in ids)
    assert found["d-optimal"] >= 15 and found["random"] <= 8


def test_which_answer_stands_first_says_nothing_of_the_label(tmp_path):
    rows = [{"prompt": f"q {number}", "chosen": f"good {number}", "rejected": f"bad {number}"} for number in range(60)]
    label_next(Asked(written(tmp_path / "pool.jsonl", rows), 60, method="random"), tmp_path / "ask.jsonl")
    first = sum(row["response_a"].startswith("good") for row in rows_of(tmp_path / "ask.jsonl"))
    assert 15 <= first <= 45 and "chosen" not in (tmp_path / "ask.jsonl").read_text()


def test_pools_of_every_form_are_read(tmp_path):
    texts = {"prompt": "Name one.", "response_a": "one", "response_b": "two"}
    forms = [
        (texts, 1), ({"prompt": "Name one.", "a": "one", "b": "two", "human": "a"}, 1),
        ({"prompt": "Name one.", "chosen": "one", "rejected": "two", "prob": 0.3, "weight": 2}, 1),
        ({**texts, "winner": "tie", "score_chosen": 1}, 1),
        ({"prompt": "Name one.", "completions": ["one", "two", "three"]}, 3),
        ({"prompt": "Name one.", "completions": ["one", "two", "three"], "scores": [1, 1, 0]}, 3),
        ({"instruction": "Name", "input": "one.", "output_1": "one", "output_2": "two"}, 1),
        ({"chosen": "\n\nHuman: Hi\n\nAssistant: one", "rejected": "\n\nHuman: Hi\n\nAssistant: two"}, 1),
    ]  # fmt: skip
    for number, (row, pairs) in enumerate(forms):
        pool = read_pool(written(tmp_path / f"{number}.jsonl", [row]))
        assert len(pool.candidates) == pairs, row
        assert all(not each.group.comparisons and not each.group.votes for each in pool.candidates)
        assert all(completion.score is None for each in pool.candidates for completion in each.group.completions)


def test_turns_go_out_as_text_that_is_read_as_the_same_turns(tmp_path):
    prompt = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Go"},
    ]
    row = {"id": "p", "prompt": prompt, "response_a": "one", "response_b": "two"}
    pool = written(tmp_path / "pool.jsonl", [row])
    label_next(Asked(pool, 1), tmp_path / "ask.jsonl")
    (out,) = rows_of(tmp_path / "ask.jsonl")
    assert isinstance(out["prompt"], str)
    answers = read_answers([written(tmp_path / "back.jsonl", voted([out]))], skip_bad=False)
    assert set(answers.labels) == {read_pool(pool).candidates[0].key}
    (group,) = read_groups(written(tmp_path / "won.jsonl", [{**out, "winner": "response_a"}])).groups
    assert [(each.role, each.content) for each in group.prompt] == [(each["role"], each["content"]) for each in prompt]
    assert {each.content for each in group.completions} == {"one", "two"}


def test_repeated_pairs_are_counted_and_asked_for_once(tmp_path):
    row = {key: value for key, value in pool_of(1)[0].items() if key != "id"}
    turned = {**row, "response_a": row["response_b"], "response_b": row["response_a"]}
    chosen = label_next(Asked(written(tmp_path / "pool.jsonl", [row, row, turned]), 5))
    assert (chosen.pool, chosen.repeated, len(chosen.ids)) == (1, 2, 1)


@pytest.mark.parametrize("method", ["d-optimal", "entropy", "disagreement", "confidently-wrong"])
def test_pairs_that_nothing_tells_apart_are_refused_but_for_random(tmp_path, method):
    rows = [{**row, "x": [0.5, 1]} for row in pool_of(4)]
    turned = [row | {"x": [0.5, 1]} for row in rows]
    pool = written(tmp_path / "pool.jsonl", [{**row, "response_a": "a", "response_b": "b"} for row in turned])
    with pytest.raises(DataError) as caught:
        label_next(Asked(pool, 2, method=method, features="x"))
    assert caught.value.code == "label.features" and "random" in caught.value.fix
    assert len(label_next(Asked(pool, 2, method="random")).ids) == 2


@pytest.mark.parametrize(
    ("rows", "changed", "code"),
    [
        ([{"prompt": "q", "completion": "a", "label": True}], {}, "data.no_pairs"),
        ([{"prompt": "q", "response_a": "a", "response_b": "a"}], {}, "data.identical"),
        ([], {}, "data.no_rows"),
        ([*pool_of(1), *pool_of(2)[1:], {**pool_of(3)[2], "id": "p0"}], {}, "data.id"),
        (pool_of(2), {"features": "x"}, "label.features"),
        ([{**pool_of(1)[0], "x": [1]}, {**pool_of(2)[1], "x": [1, 2]}], {"features": "x"}, "label.features"),
        ([{**pool_of(1)[0], "x": [1, "2"]}], {"features": "x"}, "label.features"),
        ([{**pool_of(1)[0], "x": [float("nan")]}], {"features": "x"}, "label.features"),
    ],
)  # fmt: skip
def test_pools_that_cannot_be_used_are_refused(tmp_path, rows, changed, code):
    with pytest.raises(DataError) as caught:
        label_next(Asked(written(tmp_path / "pool.jsonl", rows), 2, **changed))
    assert caught.value.code == code and caught.value.fix


@pytest.mark.parametrize(
    "changed",
    [{"budget": 0}, {"limit": 0}, {"seed": -1}, {"token_budget": 0},
     {"members": ("runs/a",)}, {"members": ("runs/a",), "method": "disagreement"}],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(changed):
    with pytest.raises(ConfigError) as caught:
        Asked(**{"pool": "pool.jsonl", "budget": 2, **changed})
    assert caught.value.code == "label.value" and caught.value.fix


def test_a_file_with_votes_in_it_is_never_written_over(tmp_path):
    pool = written(tmp_path / "pool.jsonl", pool_of(3))
    for name in ("pool.jsonl", "ask.json"):
        with pytest.raises(ConfigError) as caught:
            label_next(Asked(pool, 1), tmp_path / name)
        assert caught.value.code == "label.out"


def test_the_command_says_what_it_knows_and_how_many_are_left(tmp_path, capsys):
    pool = written(tmp_path / "pool.jsonl", [*pool_of(3), {"prompt": "q", "response_a": "a", "response_b": "a"}])
    assert main(["label", "next", pool, "--budget", "9", "--skip-bad", "--out", str(tmp_path / "ask.jsonl")]) == 0
    printed = capsys.readouterr().out
    assert "left out: data.identical 1" in printed and "told apart by words and length" in printed
    assert "chosen by d-optimal: 3, since no more of the 9 wanted are left" in printed
    assert main(["label", "next", pool, "--budget", "2", "--skip-bad", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["out"] is None and len(found["chosen"]) == 2 and found["refused"] == {"data.identical": 1}
    assert main(["label", "next", pool, "--budget", "2"]) == 3
