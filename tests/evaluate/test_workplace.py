"""What a program keeps: found again, cut off where a crash tore it, and refused where it is somebody else's."""

import json

import pytest

from prefsmith.errors import ConfigError, DataError, TrainingError
from prefsmith.evaluate.workplace import Workplace

SETTINGS = {"seed": 0, "judge": {"name": "longer"}}


def begun(folder, **changes):
    with Workplace(folder) as place:
        place.claim({**SETTINGS, **changes})
        place.keep("rows.jsonl", [{"prompt": 0}, {"prompt": 1}])
    return folder


def test_rows_are_there_again(tmp_path):
    with Workplace(begun(tmp_path / "new" / "folder")) as place:
        place.claim(SETTINGS)
        assert place.rows("rows.jsonl") == [{"prompt": 0}, {"prompt": 1}]
        assert place.rows("others.jsonl") == []
        place.keep("rows.jsonl", [{"prompt": 2}])
        assert len(place.rows("rows.jsonl")) == 3


def test_a_line_that_was_torn_is_cut_off_and_the_next_one_is_whole(tmp_path):
    path = begun(tmp_path) / "rows.jsonl"
    path.write_bytes(path.read_bytes() + b'{"prompt": 2, "answ')
    with Workplace(tmp_path) as place:
        assert len(place.rows("rows.jsonl")) == 2
        place.keep("rows.jsonl", [{"prompt": 2}])
    assert [json.loads(line)["prompt"] for line in path.read_text().splitlines()] == [0, 1, 2]


@pytest.mark.parametrize("line", [b"{broken", b"[1]", b"\xff\xfe"])
def test_a_damaged_line_before_the_last_is_named(tmp_path, line):
    path = begun(tmp_path) / "rows.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    with Workplace(tmp_path) as place, pytest.raises(DataError, match=r"evaluate\.damaged") as caught:
        place.rows("rows.jsonl")
    assert caught.value.where == f"{path}:1"


def test_other_settings_are_refused_by_name(tmp_path):
    begun(tmp_path)
    with Workplace(tmp_path) as place, pytest.raises(ConfigError, match=r"other settings: seed, judge\.name, more"):
        place.claim({"seed": 1, "judge": {"name": "shorter"}, "more": 1})


def test_a_folder_of_an_older_form_is_refused_even_where_its_settings_are_the_same(tmp_path):
    (begun(tmp_path) / "settings.json").write_text(json.dumps({"settings": SETTINGS}))
    with Workplace(tmp_path) as place, pytest.raises(ConfigError, match=r"evaluate\.changed.*another version"):
        place.claim(SETTINGS)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match=r"evaluate\.folder"), Workplace(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ConfigError, match=r"cannot be made"), Workplace(tmp_path / "thesis.tex" / "below"):
        pass


def test_settings_that_cannot_be_read_are_refused(tmp_path):
    (begun(tmp_path) / "settings.json").write_text("{}")
    with Workplace(tmp_path) as place, pytest.raises(ConfigError, match="cannot be read"):
        place.claim(SETTINGS)


def test_two_programs_do_not_share_a_folder(tmp_path):
    with Workplace(tmp_path), pytest.raises(ConfigError, match=r"run\.locked"), Workplace(tmp_path):
        pass
    with Workplace(tmp_path):  # free again
        pass


def test_a_full_disk_says_how_to_go_on(tmp_path, monkeypatch):
    with Workplace(tmp_path) as place:
        place.claim(SETTINGS)

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(TrainingError, match="No space left on device"):
            place.keep("rows.jsonl", [{"prompt": 0}])
