"""Labels of ratings: words for thumbs, and rows without any label, which must never pass for good answers."""

import pytest
from planted import config_for, examples, ratings, train
from tiny import write_rows

from prefsmith.data.groups import read_groups
from prefsmith.errors import DataError


def test_thumbs_up_and_down_are_labels_in_any_container(tmp_path):
    rows = [
        {"prompt": "a", "completion": "b", "label": word} for word in ("up", "down", "Up", "desirable", "undesirable")
    ]
    groups = read_groups(write_rows(tmp_path / "thumbs.jsonl", rows)).groups
    assert [group.ratings[0].value for group in groups] == [1.0, 0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("word", ["true", "1", "thumb", ""])
def test_other_words_are_refused_in_json(tmp_path, word):
    rows = [{"prompt": "a", "completion": "b", "label": word}]
    with pytest.raises(DataError) as caught:
        read_groups(write_rows(tmp_path / "thumbs.jsonl", rows))
    assert caught.value.code == "data.label" and caught.value.fix == "give true or false, or up or down"


def test_rows_without_a_label_are_no_ratings_for_kto(tmp_path):
    rows = [{"prompt": row["prompt"], "completion": row["completion"], "thumb": "down"} for row in ratings(40)]
    with pytest.raises(DataError, match=r"kto learns from good and bad answers.*not read: thumb") as caught:
        train(config_for(tmp_path, rows, loss={"name": "kto"}))
    assert caught.value.code == "data.label" and "data.columns.label=" in caught.value.fix


def test_examples_train_sft_as_before(tmp_path):
    assert train(config_for(tmp_path, examples(40), loss={"name": "sft"}, train={"max_steps": 1})).steps == 1
