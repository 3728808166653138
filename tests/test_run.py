"""A whole run: what it leaves behind loads, and every way of giving it models, rows and references works."""

import json
import math
import os

import pytest
import torch
from peft import PeftModel
from planted import WORDS, config_for, examples, pairs, ranked, ratings, train
from tiny import CHATML, byte_tokenizer, save_model, tiny_llama, word_tokenizer, write_rows
from transformers import AutoModelForCausalLM, AutoTokenizer

from prefsmith.data.groups import read_groups
from prefsmith.errors import ConfigError, DataError
from prefsmith.files import file_digest
from prefsmith.run import fit
from prefsmith.settings import load_settings

SHORT = {"pairs_per_step": 16, "max_steps": 3}


def logits(model):
    with torch.no_grad():
        return model(input_ids=torch.tensor([[1, 4, 6, 5]])).logits


def test_the_model_loads_with_its_tokenizer_and_is_what_was_trained(tmp_path):
    model = tiny_llama(len(word_tokenizer(WORDS)))
    config = config_for(tmp_path, pairs(60), train=SHORT)
    run = train(config, model=(model, word_tokenizer(WORDS)))
    loaded = AutoModelForCausalLM.from_pretrained(run.folder / "model")
    assert torch.equal(logits(loaded), logits(model))
    assert not torch.equal(logits(loaded), logits(tiny_llama(len(word_tokenizer(WORDS)))))
    assert AutoTokenizer.from_pretrained(run.folder / "model")("red apple").input_ids == [1, 3, 5]
    assert "prefsmith" not in (run.folder / "model" / "config.json").read_text()  # no trace of our attention


def test_weights_below_float32_are_refused(tmp_path):
    model = tiny_llama(len(word_tokenizer(WORDS))).to(torch.bfloat16)
    with pytest.raises(ConfigError, match="weights are bfloat16") as caught:
        train(config_for(tmp_path, pairs(60), train=SHORT), model=(model, word_tokenizer(WORDS)))
    assert caught.value.code == "model.precision" and "float()" in caught.value.fix


def test_an_adapter_loads_on_its_base_and_leaves_it_alone(tmp_path):
    config = config_for(tmp_path, pairs(60), train=SHORT, adapter={"kind": "lora"})
    before = file_digest(tmp_path / "base" / "model.safetensors")
    run = train(config)
    assert {each.name for each in (run.folder / "model").iterdir()} >= {"adapter_config.json", "tokenizer.json"}
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    plain = logits(base)
    adapted = PeftModel.from_pretrained(base, run.folder / "model")
    assert not torch.equal(logits(adapted), plain)
    with adapted.disable_adapter():
        assert torch.equal(logits(adapted), plain)
    assert file_digest(tmp_path / "base" / "model.safetensors") == before


def chat_rows(count):
    def side(text):
        return [{"role": "assistant", "content": text}]

    return [
        {"prompt": [{"role": "user", "content": f"the cat {n}"}], "chosen": side("sat"), "rejected": side("the mat")}
        for n in range(count)
    ]


@pytest.mark.parametrize("origin", ["tokenizer", "file"])
def test_the_chat_template_comes_along(tmp_path, origin):
    tokenizer = byte_tokenizer(chat_template=CHATML if origin == "tokenizer" else None)
    tiny_llama(len(tokenizer)).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    (tmp_path / "chat.jinja").write_text(CHATML)
    template = "auto" if origin == "tokenizer" else str(tmp_path / "chat.jinja")
    run = train(config_for(tmp_path, chat_rows(20), train=SHORT, data={"template": template}))
    loaded = AutoTokenizer.from_pretrained(run.folder / "model")
    text = loaded.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_groups_in_memory_give_what_the_file_gives(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    from_file = train(config_for(tmp_path / "a", pairs(60), train=SHORT))
    groups = read_groups(tmp_path / "a" / "rows.jsonl").groups
    config = config_for(tmp_path / "b", pairs(1), train=SHORT)
    in_memory = train(config, groups=groups)
    assert [row["loss"] for row in in_memory.metrics] == [row["loss"] for row in from_file.metrics]


def test_another_model_as_reference_does_not_start_at_log_two(tmp_path):
    save_model(tmp_path / "other", WORDS, seed=5)
    run = train(config_for(tmp_path, pairs(60), train=SHORT, reference={"path": str(tmp_path / "other")}))
    assert run.metrics[0]["loss"] != pytest.approx(math.log(2), abs=1e-3)
    assert run.metrics[0]["margin"] != 0


def test_an_adapter_may_have_a_frozen_copy_as_reference(tmp_path):
    """The copy is taken before the first step, adapter and all, so the run is the one with the adapter off."""
    runs = []
    for kind in ("frozen", "adapter_off"):
        (tmp_path / kind).mkdir()
        settings = {"train": SHORT, "adapter": {"kind": "lora"}, "reference": {"kind": kind}}
        runs.append(train(config_for(tmp_path / kind, pairs(60), **settings)))
    losses = [[row["loss"] for row in run.metrics] for run in runs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_held_out_file_is_used_and_leaks_are_told(tmp_path):
    write_rows(tmp_path / "eval.jsonl", [*pairs(30, seed=9), pairs(60)[0]])
    config = config_for(tmp_path, pairs(60), train=SHORT, data={"eval": str(tmp_path / "eval.jsonl")})
    lines = []
    run = fit(config, say=lines.append)
    record = json.loads((run.folder / "data.json").read_text())
    assert record["train_encoded"]["groups"] == 60 and record["eval_encoded"]["groups"] == 31
    assert record["eval_prompts_in_train"] >= 1
    assert any("held-out rows have a prompt that is trained on" in line for line in lines)
    assert run.evaluation["accuracy_n"] == 31


@pytest.mark.parametrize("path", ["shared", "packed", "padded"])
def test_every_path_trains_the_same(tmp_path, path):
    losses = {}
    for attention in ("auto", path):
        (tmp_path / attention).mkdir()
        run = train(config_for(tmp_path / attention, pairs(60), train=SHORT, model={"attention": attention}))
        losses[attention] = [row["loss"] for row in run.metrics]
    assert losses["auto"] == pytest.approx(losses[path], rel=1e-5)


def test_folders_are_named_where_nobody_names_them(tmp_path, monkeypatch):
    config = config_for(tmp_path, pairs(40), train=SHORT).model_copy(update={"out": None})
    monkeypatch.chdir(tmp_path)
    assert [str(train(config).folder) for _ in range(2)] == ["runs/dpo-1", "runs/dpo-2"]


@pytest.mark.parametrize(
    ("rows", "sections", "error", "code"),
    [
        (ratings(40), {}, DataError, "data.no_pairs"),
        ([{**row, "prob": 0.7} for row in pairs(40)], {"loss": {"name": "kto"}}, DataError, "data.soft_label"),
        (pairs(40), {"data": {"max_length": 4000}}, ConfigError, "data.max_length"),
        (pairs(40), {"data": {"max_length": 2, "truncation": "drop"}}, DataError, "data.no_rows"),
        (pairs(40), {"reference": {"kind": "none"}}, ConfigError, "reference.none"),
        (pairs(40), {"reference": {"path": "base"}, "loss": {"name": "sft"}}, ConfigError, "reference.none"),
        (pairs(40), {"model": {"device": "cuda:77"}}, ConfigError, "model.device"),
        ([{**row, "weight": 0} for row in pairs(40)], {}, DataError, "data.weight"),
        (pairs(40), {"loss": {"name": "kto"}, "train": {"pairs_per_step": 1}}, ConfigError, "train.lonely_prompt"),
        (
            pairs(40),
            {"loss": {"name": "kto"}, "adapter": {"kind": "lora", "dropout": 0.1}},
            ConfigError,
            "adapter.dropout",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_trained_is_refused(tmp_path, rows, sections, error, code):
    with pytest.raises(error) as caught:
        train(config_for(tmp_path, rows, **{"train": {"pairs_per_step": 16, "epochs": 8}, **sections}))
    assert caught.value.code == code and caught.value.fix


def test_run_yaml_has_every_setting_in_force(tmp_path):
    """Defaults of the loss and the learning rate too, as numbers: what it says repeats the run."""
    run = train(config_for(tmp_path, pairs(40), train=SHORT, loss={"name": "dpo", "beta": "0.20"}))
    stored = load_settings(run.folder / "run.yaml")
    assert stored.loss.settings == {"beta": 0.2, "label_smoothing": 0.0}
    adapter = config_for(tmp_path, pairs(40), adapter={"kind": "lora"}, optim={"learning_rate": None}, out="x")
    assert adapter.learning_rate == 1e-4


def test_files_of_the_result_are_readable_by_others(tmp_path):
    mask = os.umask(0o022)
    try:
        run = train(config_for(tmp_path, pairs(40), train=SHORT))
    finally:
        os.umask(mask)
    assert {each.stat().st_mode & 0o777 for each in (run.folder / "model").iterdir()} == {0o644}


def test_an_adapter_is_not_taken_for_a_model(tmp_path):
    run = train(config_for(tmp_path, pairs(40), train=SHORT, adapter={"kind": "lora"}))
    with pytest.raises(ConfigError, match="this is an adapter") as caught:
        train(config_for(tmp_path, pairs(40), model={"path": str(run.folder / "model")}, out=str(tmp_path / "next")))
    assert "merge" in caught.value.fix


def test_a_file_of_weights_that_is_cut_off_is_refused(tmp_path):
    config = config_for(tmp_path, pairs(40))
    place = tmp_path / "base" / "model.safetensors"
    place.write_bytes(place.read_bytes()[:2000])
    with pytest.raises(ConfigError) as caught:
        train(config)
    assert caught.value.code == "model.load" and caught.value.where == str(tmp_path / "base")


def test_kto_without_two_held_out_prompts_trains_and_says_that_it_does_not_evaluate(tmp_path):
    lines = []
    config = config_for(tmp_path, pairs(40), train=SHORT, loss={"name": "kto"}, data={"eval_fraction": 0.0})
    assert fit(config, say=lines.append).evaluation is None
    assert any("no evaluation" in line for line in lines)


def test_a_warm_up_longer_than_the_run_is_told(tmp_path):
    lines = []
    fit(config_for(tmp_path, pairs(40), train=SHORT, optim={"warmup_steps": 9}), say=lines.append)
    assert any("optim.warmup_steps=9" in line for line in lines)


def test_the_accounts_add_up(tmp_path):
    """Every row of the file is trained on, held out, refused or counted as dropped."""
    bad = [{"prompt": "red", "chosen": " x", "rejected": " x"}, {"prompt": "red", "chosen": "", "rejected": " y"}]
    long = [{"prompt": " ".join(["w1"] * 30), "chosen": f" w{n}", "rejected": " w5"} for n in range(4)]
    data = {"skip_bad": True, "max_length": 16, "truncation": "drop"}
    run = train(config_for(tmp_path, [*pairs(60), *bad, *long], train=SHORT, data=data))
    record = json.loads((run.folder / "data.json").read_text())
    encoded = [record["train_encoded"], record["eval_encoded"]]
    used = sum(side["groups"] for side in encoded)
    dropped = sum(side.get("dropped for their length", 0) for side in encoded)
    rejected = [json.loads(line) for line in (run.folder / "rejected.jsonl").read_text().splitlines()]
    assert record["train"]["rows"] == 66 == used + dropped + len(rejected)
    assert (dropped, [row["code"] for row in rejected]) == (4, ["data.identical", "data.empty"])


def test_real_pairs_on_a_real_model(tmp_path, shared_data):
    """Two steps on real pairs, for each loss: the first value is the declared one."""
    starts = {"dpo": math.log(2), "ipo": 25.0, "kto": 0.5}
    for name, start in starts.items():
        config = config_for(
            tmp_path,
            [],
            model={"path": str(shared_data / "weights" / "stories260K")},
            data={"train": str(shared_data / "hh_harmless.jsonl.gz"), "skip_bad": True, "limit": 60, "max_length": 128},
            train={"pairs_per_step": 8, "max_steps": 2},
            loss={"name": name},
            out=str(tmp_path / name),
        )
        run = train(config)
        assert run.metrics[0]["loss"] == pytest.approx(start, rel=1e-9)
        assert AutoModelForCausalLM.from_pretrained(run.folder / "model").config.model_type == "llama"


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [("dpo", pairs, "comparisons"), ("kto", ratings, "ratings"), ("sft", examples, "completions"),
     ("plackett_luce", ranked, "ranked lists")],
)  # fmt: skip
def test_steps_are_of_what_the_loss_reads(tmp_path, name, rows, words):
    lines = []
    fit(
        config_for(tmp_path, rows(20), loss={"name": name}, train={"max_steps": 1, "pairs_per_step": 8}),
        say=lines.append,
    )
    assert f"1 step of 8 {words}" in lines


def test_what_is_left_to_train_is_said(tmp_path):
    lines = []
    config = config_for(tmp_path, pairs(20), train={"pairs_per_step": 32, "max_steps": 5})
    fit(config, say=lines.append)
    assert any(line.startswith("1 step of 32 comparisons; the rows end before train.max_steps=5") for line in lines)
    lines.clear()
    fit(config, resume=True, say=lines.append)
    assert "step 1 was the last: nothing is left to train" in lines
    assert not any("step of" in line for line in lines)
