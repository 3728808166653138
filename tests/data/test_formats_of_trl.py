"""Rows as TRL's documentation has them: what docs/from-trl.md says of each, loaded or refused."""

import re
from pathlib import Path

import pytest
from tiny import write_rows

from prefsmith.data.groups import read_groups
from prefsmith.errors import DataError

PAGE = (Path(__file__).parents[2] / "docs" / "from-trl.md").read_text(encoding="utf-8")


def rows_of_the_page():
    """The rows that the page says load as they are, by TRL's name of their format."""
    (block,) = (text for text in re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S) if "ROWS = {" in text)
    names = {}
    exec(block.partition("for name, row")[0], names)
    return names["ROWS"]


@pytest.mark.parametrize(
    ("name", "row"), rows_of_the_page().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_said_to_load_does_and_is_taken_for_what_it_is(tmp_path, name, row):
    (group,) = read_groups(write_rows(tmp_path / "rows.jsonl", [row])).groups
    if name.startswith("preference"):
        assert len(group.completions) == 2
        assert [(each.better, each.worse) for each in group.comparisons] == [(0, 1)]
    else:
        (rating,) = group.ratings
        assert len(group.completions) == 1 and rating.value == 1.0
    assert "sky" in str(group.prompt)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"chosen": "The sky is blue.", "rejected": "The sky is green."}, "data.dialogue"),
        ({"text": "The sky is blue."}, "data.column"),
        ({"prompt": "The sky is"}, "data.column"),
        ({"prompt": "Which is larger?", "completions": ["A.", "B."], "labels": [True, False]}, "data.column"),
    ],
    ids=["implicit prompt in text", "text", "prompt alone", "steps"],
)
def test_what_is_said_not_to_load_is_refused(tmp_path, row, code):
    with pytest.raises(DataError) as caught:
        read_groups(write_rows(tmp_path / "rows.jsonl", [row]))
    assert caught.value.code == code and caught.value.fix
