"""The model's folder: there whole, whatever the disk does, and nothing of an earlier one beside it."""

from pathlib import Path

import pytest
from tiny import tiny_llama, word_tokenizer

from prefsmith.errors import TrainingError
from prefsmith.model.export import export, save_tokenizer


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk here that is always full")
def test_a_disk_that_is_full_when_the_tokenizer_is_written_is_told_as_one(tmp_path):
    """`tokenizers` raises a plain Exception, which is no class to catch by."""
    (tmp_path / "tokenizer.json").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        save_tokenizer(word_tokenizer([]), tmp_path)


def test_a_bug_while_the_tokenizer_is_written_stays_one(tmp_path, monkeypatch):
    tokenizer = word_tokenizer([])

    def fail(folder):
        raise KeyError("a bug")

    monkeypatch.setattr(tokenizer, "save_pretrained", fail)
    with pytest.raises(KeyError):
        export(tiny_llama(), tokenizer, tmp_path, template=None)
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_that_cannot_be_written_leaves_the_model_that_was_there(tmp_path, monkeypatch):
    tokenizer = word_tokenizer([])
    export(tiny_llama(), tokenizer, tmp_path, template=None)

    def fail(folder):
        raise Exception("File too large (os error 27)")

    monkeypatch.setattr(tokenizer, "save_pretrained", fail)
    with pytest.raises(TrainingError, match="File too large") as caught:
        export(tiny_llama(), tokenizer, tmp_path, template=None)
    assert caught.value.code == "run.export"
    assert [each.name for each in tmp_path.iterdir()] == ["model"] and (tmp_path / "model/tokenizer.json").is_file()


def test_what_a_kill_between_two_renames_left_is_removed(tmp_path):
    for name in (".old-model-abc", ".model-def"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"old")
    export(tiny_llama(), word_tokenizer([]), tmp_path, template=None)
    assert [each.name for each in tmp_path.iterdir()] == ["model"]
