"""`prefsmith merge`: what it writes, what it says, and what it refuses."""

import json
import re
import shutil

import pytest
import torch
from planted import WORDS, config_for, pairs, train
from tiny import save_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from prefsmith.cli import main
from prefsmith.config import ModelConfig
from prefsmith.model import adapters


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, a run of an adapter on it, and a run of all weights."""
    folder = tmp_path_factory.mktemp("merge")
    save_model(folder / "MODEL", WORDS)
    fast = {"learning_rate": 0.02, "warmup_steps": 0}
    for name, sections in (("full", {}), ("lora", {"adapter": {"kind": "lora", "target_modules": "all-linear"}})):
        (folder / name).mkdir()
        config = config_for(
            folder / name, pairs(60), model={"path": str(folder / "MODEL")}, optim=fast,
            train={"pairs_per_step": 16, "max_steps": 3}, evaluate={"samples": 3, "sample_tokens": 8}, **sections,
        )  # fmt: skip
        train(config)
    return folder


def merged(capsys, *words):
    status = main(["merge", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refused(capsys, out, *words):
    """Status and message of a call that leaves nothing behind."""
    before = sorted(out.parent.iterdir())
    status, printed, err = merged(capsys, *words, "--out", out)
    assert printed == "" and "Traceback" not in err and sorted(out.parent.iterdir()) == before
    return status, err


@torch.no_grad()
def logits(model):
    return model(input_ids=torch.tensor([[1, 5, 9, 4, 11, 7, 3]])).logits


def test_a_run_becomes_a_model_that_needs_no_adapter(folder, capsys, tmp_path):
    out = tmp_path / "merged"
    status, printed, _ = merged(capsys, folder / "lora" / "run", "--out", out)
    assert status == 0 and printed.splitlines()[-1] == f"the model is in {out}"
    assert f"{folder / 'MODEL'} with lora, rank 8, alpha 32, in float32" in printed
    assert "compared on 6 texts" in printed and "samples of the run" in printed
    _, adapted = adapters.load_adapted(ModelConfig(path=str(folder / "lora" / "run" / "model"), device="cpu"))
    with adapters.adapter_off(adapted):
        base = logits(adapted)
    torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(out)), logits(adapted), rtol=0, atol=1e-4)
    assert (logits(adapted) - base).abs().max() > 0.1
    theirs = AutoTokenizer.from_pretrained(folder / "lora" / "run" / "model")
    assert AutoTokenizer.from_pretrained(out)("red w0")["input_ids"] == theirs("red w0")["input_ids"]


def test_the_card_says_what_was_merged_trained_and_compared(folder, capsys, tmp_path):
    out = tmp_path / "merged"
    merged(capsys, folder / "lora" / "run", "--out", out)
    text = (out / "README.md").read_text()
    assert "library_name: transformers" in text and "- lora" in text and "peft import" not in text
    assert "merged into its weights by prefsmith, trained on preferences with `dpo` in 3 steps" in text
    assert "| adapter | `lora, rank 8, alpha 32` |" in text and "largest change of a log-probability" in text
    assert "held-out pairs" in text and "## Limits" in text
    space = {}
    exec(re.search(r"```python\n(.*?)```", text, re.S)[1], space)
    assert space["model"].generate(**space["tokenizer"]("red", return_tensors="pt"), max_new_tokens=2).shape[1] > 1


def test_an_adapters_folder_is_compared_on_random_ids(folder, capsys, tmp_path):
    out = tmp_path / "merged"
    status, printed, _ = merged(capsys, folder / "lora" / "run" / "model", "--out", out, "--json")
    facts = json.loads(printed)
    assert status == 0 and facts["texts"] == "random ids" and facts["out"] == str(out)
    assert (facts["drift"]["texts"], facts["drift"]["tokens"]) == (8, 512)
    assert 0 < facts["drift"]["nats"] < 1e-4 and facts["tolerance"] == 1e-3
    assert f"The model `{folder / 'MODEL'}` with the adapter of" in (out / "README.md").read_text()


def test_the_precision_of_the_files_is_the_bases_unless_another_is_asked(folder, capsys, tmp_path):
    shutil.copytree(folder / "lora" / "run" / "model", tmp_path / "adapter")
    half = AutoModelForCausalLM.from_pretrained(folder / "MODEL").bfloat16()
    half.save_pretrained(tmp_path / "half")
    AutoTokenizer.from_pretrained(folder / "MODEL").save_pretrained(tmp_path / "half")
    words = (tmp_path / "adapter", "--model", tmp_path / "half", "--json")
    rounded = json.loads(merged(capsys, *words, "--out", tmp_path / "a")[1])
    whole = json.loads(merged(capsys, *words, "--out", tmp_path / "b", "--dtype", "float32")[1])
    assert (rounded["dtype"], rounded["tolerance"], whole["dtype"]) == ("bfloat16", 0.1, "float32")
    assert whole["drift"]["nats"] < 1e-4 < rounded["drift"]["nats"]
    assert rounded["base"] == str(tmp_path / "half")
    assert next(AutoModelForCausalLM.from_pretrained(tmp_path / "a").parameters()).dtype is torch.bfloat16


def test_drift_beyond_the_tolerance_stops_it(folder, capsys, tmp_path):
    words = (folder / "lora" / "run", "--dtype", "bfloat16", "--tolerance", "1e-6")
    status, err = refused(capsys, tmp_path / "out", *words)
    assert status == 4 and "[merge.drift]" in err and "1e-06 are allowed" in err
    assert merged(capsys, *words[:-1], "10", "--out", tmp_path / "out")[0] == 0


def test_nothing_is_written_where_one_only_looks(folder, capsys, tmp_path):
    status, printed, _ = merged(capsys, folder / "lora" / "run", "--out", tmp_path / "out", "--dry-run")
    assert status == 0 and "nothing is written: --dry-run" in printed and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "code"),
    [("full/run", "merge.adapter"), ("MODEL", "merge.adapter"), ("none", "merge.adapter"),
     ("unfinished", "model.unfinished")],
)  # fmt: skip
def test_what_is_no_adapter_is_refused(folder, capsys, tmp_path, name, code):
    (folder / "unfinished").mkdir(exist_ok=True)
    (folder / "unfinished" / "run.yaml").write_text("version: 1\n")
    status, err = refused(capsys, tmp_path / "out", folder / name)
    assert status == 2 and f"[{code}]" in err


def test_a_folder_that_is_there_is_left_alone(folder, capsys, tmp_path):
    (tmp_path / "out").mkdir()
    status, err = refused(capsys, tmp_path / "out", folder / "lora" / "run")
    assert status == 2 and "[merge.out]" in err and list((tmp_path / "out").iterdir()) == []


def test_a_run_is_merged_into_nothing_but_what_it_began_with(folder, capsys, tmp_path):
    save_model(tmp_path / "other", WORDS, seed=1)
    run = folder / "lora" / "run"
    status, err = refused(capsys, tmp_path / "out", run, "--model", tmp_path / "other")
    assert status == 2 and "[merge.base]" in err
    shutil.copytree(folder / "MODEL", tmp_path / "moved")
    assert merged(capsys, run, "--model", tmp_path / "moved", "--out", tmp_path / "out")[0] == 0


def test_a_base_that_is_gone_is_named(folder, capsys, tmp_path):
    status, err = refused(capsys, tmp_path / "out", folder / "lora" / "run", "--model", tmp_path / "gone")
    assert status == 2 and "[model.path]" in err and str(tmp_path / "gone") in err
