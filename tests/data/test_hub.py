"""Folders that `datasets` saved, and datasets of the hub: which split, which revision, and what goes wrong."""

import json
import shutil

import datasets
import pytest

from prefsmith.config import DataConfig
from prefsmith.data.containers import open_container
from prefsmith.data.groups import read_groups
from prefsmith.data.prepare import Preparation
from prefsmith.data.rejects import Rejects
from prefsmith.data.views import Wanted
from prefsmith.errors import DataError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def some(count, word="q"):
    rows = [{"prompt": f"{word} {number}", "chosen": "yes", "rejected": "no"} for number in range(count)]
    return datasets.Dataset.from_list(rows)


def prompts(reading):
    return [group.prompt for group in reading.groups]


@pytest.fixture(autouse=True)
def quiet():
    datasets.disable_progress_bars()


def test_a_saved_dataset_is_read_in_batches_with_its_place(tmp_path):
    some(200).save_to_disk(tmp_path / "saved", num_shards=3)
    reading = read_groups(tmp_path / "saved")
    assert prompts(reading) == [f"q {number}" for number in range(200)]
    assert [reading.groups[index].source for index in (0, 199)] == [
        f"{tmp_path / 'saved'}:row 1",
        f"{tmp_path / 'saved'}:row 200",
    ]


def test_messages_of_a_saved_dataset_have_no_fields_that_are_null(tmp_path):
    ask, answer = {"role": "user", "content": "q"}, {"role": "assistant", "content": "yes"}
    row = {"prompt": [ask], "chosen": [{**answer, "name": "x"}], "rejected": [{**answer, "content": "no"}]}
    datasets.Dataset.from_list([row]).save_to_disk(tmp_path / "saved")
    group = read_groups(tmp_path / "saved").groups[0]
    assert [each.messages[0].extra for each in group.completions] == [{"name": "x"}, {}]
    assert group.prompt[0].extra == {}


@pytest.mark.parametrize(
    ("splits", "side", "chosen"),
    [
        (["train", "test"], "train", "train"),
        (["train", "test"], "eval", "test"),
        (["train", "validation", "extra"], "eval", "validation"),
        (["only"], "train", "only"),
        (["only"], "eval", "only"),
        (["train_prefs", "test_prefs"], "train", None),
        (["train_prefs", "test_prefs"], "eval", None),
        (["train", "test", "validation"], "eval", None),
        (["train", "train_sft"], "eval", None),
    ],
)
def test_the_split_is_the_obvious_one_or_none(tmp_path, splits, side, chosen):
    folder = tmp_path / "saved"
    datasets.DatasetDict({name: some(3, name) for name in splits}).save_to_disk(folder)
    if chosen is not None:
        reading = read_groups(folder, side=side)
        assert prompts(reading)[0] == f"{chosen} 0" and reading.container.describe() == f"split {chosen}"
        return
    with pytest.raises(DataError) as caught:
        read_groups(folder, side=side)
    assert (caught.value.code, caught.value.where) == ("data.split", str(folder))
    assert all(name in caught.value.what for name in splits) and f"{folder}/{sorted(splits)[0]}" in caught.value.fix
    assert prompts(read_groups(folder / splits[0], side=side))[0] == f"{splits[0]} 0"


def test_a_run_says_which_split_it_took_and_keeps_its_digest(tmp_path):
    datasets.DatasetDict({"train": some(9), "test": some(4, "t")}).save_to_disk(tmp_path / "saved")
    said = []
    config = DataConfig(train=str(tmp_path / "saved"), eval=str(tmp_path / "saved"))
    preparation = Preparation(config, [Wanted("dpo", "pairwise")], said.append)
    sides = preparation.read(None)
    assert (len(sides.train), len(sides.held_out)) == (9, 4)
    assert f"{tmp_path / 'saved'} (split train): 9 rows" in said[0]
    assert preparation.record["train"]["split"] == "train" and preparation.record["eval"]["split"] == "test"
    digests = {side: preparation.record[side]["sha256"] for side in ("train", "eval")}
    assert digests["train"] != digests["eval"]
    assert open_container(tmp_path / "saved").digest()["sha256"] == digests["train"]


@pytest.mark.parametrize("file", ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_folder_is_one_clear_error(tmp_path, file, damage):
    some(50).save_to_disk(tmp_path / "saved")
    path = tmp_path / "saved" / file
    if damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.unlink()
    with pytest.raises(DataError) as caught:
        read_groups(tmp_path / "saved", rejects=Rejects(skip=True))
    assert (caught.value.code, caught.value.where) == ("data.folder", str(tmp_path / "saved"))
    assert "\n" not in caught.value.what and caught.value.fix


def test_damaged_offsets_are_an_error_and_not_the_end_of_the_process(tmp_path):
    """Arrow files are mapped into memory and not checked: without a check a flipped bit reads anywhere."""
    some(50).save_to_disk(tmp_path / "saved")
    path = tmp_path / "saved" / "data-00000-of-00001.arrow"
    content = bytearray(path.read_bytes())
    offsets = content.index((0).to_bytes(4, "little") + (3).to_bytes(4, "little") + (6).to_bytes(4, "little"))
    content[offsets + 8 : offsets + 12] = (2**30).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"data\.folder"):
        read_groups(tmp_path / "saved")


class Hub:
    """What `datasets` does with the hub, without one."""

    def __init__(self, monkeypatch, splits):
        self.asked, self.splits = [], datasets.DatasetDict(splits)
        monkeypatch.setattr(datasets, "load_dataset_builder", self.builder)
        monkeypatch.setattr(datasets, "load_dataset", self.load)

    def builder(self, path, name=None, **options):
        self.asked.append((path, name, options))
        return type("ParquetName", (), {"hash": COMMIT})()

    def load(self, path, name=None, **options):
        self.asked.append((path, name, options))
        return self.splits


@pytest.mark.parametrize(
    ("name", "config", "asked", "split"),
    [
        ("hub:org/name", None, None, "train"),
        ("hub:org/name,split=test_prefs", None, None, "test_prefs"),
        ("hub:or-g/na.me_2,config=main,split=train,revision=v1", "main", "v1", "train"),
    ],
)
def test_a_name_of_the_hub_is_taken_apart(tmp_path, monkeypatch, name, config, asked, split):
    saved = {}
    for each in ("train", "test_prefs"):
        some(3, each).save_to_disk(tmp_path / each)
        saved[each] = datasets.load_from_disk(tmp_path / each)
    hub = Hub(monkeypatch, saved)
    container = open_container(name)
    place = f"hf://datasets/{name.removeprefix('hub:').split(',')[0]}"
    assert hub.asked == [(place, config, {"revision": asked}), (place, config, {"revision": COMMIT})]
    digest = container.digest()
    assert digest["revision"] == COMMIT and digest["split"] == split and digest.get("config") == config
    assert [row.values["prompt"] for row in container.rows(Rejects())] == [f"{split} {number}" for number in range(3)]
    assert next(container.rows(Rejects())).source == f"{name}:row 1"


@pytest.mark.parametrize(
    "name", ["hub:", "hub:name", "hub:a/b/c", "hub:org/name,x=1", "hub:org/name,split", "hub:org/name,split=",
             "hub:../name/x", "hub:org/name,split=a,split=b", "hub:org/na me"],
)  # fmt: skip
def test_a_name_of_another_form_is_refused_before_anybody_is_asked(monkeypatch, name):
    hub = Hub(monkeypatch, {"train": some(1)})
    with pytest.raises(DataError) as caught:
        read_groups(name)
    assert caught.value.code == "data.hub" and "hub:org/name" in caught.value.fix and not hub.asked


def test_splits_of_the_hub_are_listed_where_none_is_meant(monkeypatch):
    Hub(monkeypatch, {"train_prefs": some(1), "test_prefs": some(1)})
    with pytest.raises(DataError) as caught:
        read_groups("hub:org/name")
    assert caught.value.code == "data.split" and "test_prefs, train_prefs" in caught.value.what
    assert "hub:org/name,split=test_prefs" in caught.value.fix
    with pytest.raises(DataError, match="there is no split train; the dataset has test_prefs, train_prefs"):
        read_groups("hub:org/name,split=train")


def test_a_dataset_with_configurations_asks_for_one(monkeypatch):
    def choose(*_arguments, **_options):
        raise ValueError("Config name is missing.\nPlease pick one among the available configs: ['main', 'socratic']")

    monkeypatch.setattr(datasets, "load_dataset_builder", choose)
    with pytest.raises(DataError) as caught:
        read_groups("hub:org/name")
    assert "'main', 'socratic'" in caught.value.what and "hub:org/name,config=" in caught.value.fix


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache of a machine that fetched a dataset once and is off-line now."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "q", "chosen": "yes", "rejected": "no"}\n')
    made = datasets.load_dataset_builder("json", data_files={"train": str(tmp_path / "rows.jsonl")},
                                         cache_dir=str(tmp_path / "made"))  # fmt: skip
    made.download_and_prepare()
    place = tmp_path / "cache" / "org___name" / "default" / "0.0.0" / COMMIT
    shutil.copytree(made.cache_dir, place)
    (place / "json-train.arrow").rename(place / "name-train.arrow")
    info = json.loads((place / "dataset_info.json").read_text())
    info |= {"builder_name": "parquet", "dataset_name": "name"}
    info["splits"]["train"]["dataset_name"] = "name"
    (place / "dataset_info.json").write_text(json.dumps(info))
    return place


def test_off_line_the_cache_is_read_and_said(cache):
    reading = read_groups("hub:org/name")
    assert prompts(reading) == ["q"]
    assert reading.container.describe() == f"split train, revision {COMMIT}, source cache"
    assert prompts(read_groups(f"hub:org/name,revision={COMMIT}")) == ["q"]


@pytest.mark.parametrize("revision", ["f" * 40, "v2"])
def test_off_line_another_revision_is_not_taken_for_the_one_that_is_asked_for(cache, revision):
    with pytest.raises(DataError, match=f"the cache has another revision: {COMMIT}"):
        read_groups(f"hub:org/name,revision={revision}")


def test_off_line_what_is_not_there_is_one_clear_error(cache):
    with pytest.raises(DataError) as caught:
        read_groups("hub:org/other")
    assert (caught.value.code, caught.value.where) == ("data.hub", "hub:org/other")
    assert "Couldn't reach" in caught.value.what and "network" in caught.value.fix


def test_a_folder_of_the_same_name_is_not_taken_for_the_hub(cache, tmp_path, monkeypatch):
    """`datasets` itself would read the folder."""
    (tmp_path / "here" / "org" / "other").mkdir(parents=True)
    (tmp_path / "here" / "org" / "other" / "a.jsonl").write_text('{"prompt": "local"}\n')
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DataError, match=r"data\.hub"):
        read_groups("hub:org/other")
