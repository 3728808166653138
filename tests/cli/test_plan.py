"""`prefsmith plan`: what it prints, with which status it ends, and that every change it names does what it says."""

import json

import pytest
from tiny import save_model, write_rows
from transformers import LlamaConfig

from prefsmith.cli import main
from prefsmith.cli.quantities import lengths_of, memory_of, rate_of
from prefsmith.errors import ConfigError

SIZES = {"hidden_size": 64, "intermediate_size": 160, "num_attention_heads": 4, "num_key_value_heads": 2}
FEW = ("train.pairs_per_step=4", "train.token_budget=200", "--tokens", "20,30", "--gpus", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A configuration and nothing else."""
    path = tmp_path_factory.mktemp("shape")
    LlamaConfig(vocab_size=300, num_hidden_layers=6, max_position_embeddings=256, **SIZES).save_pretrained(path)
    return str(path)


def planned(capsys, *words):
    status = main(["plan", *words, "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("text", "size"), [("80GB", 80 * 10**9), ("79.1GiB", round(79.1 * 2**30)), ("0.5 tb", 5 * 10**11)]
)
def test_memory_has_a_unit(text, size):
    assert memory_of(text) == size


@pytest.mark.parametrize("text", ["80", "GB", "-1GB", "0GB", "80 bananas", "1e3GB", "\u0668GB", ""])
def test_what_is_no_memory_is_refused(text):
    with pytest.raises(ConfigError) as error:
        memory_of(text)
    assert error.value.code == "plan.memory"


def test_rates_and_lengths():
    assert rate_of("400TFLOPS") == 400e12 and rate_of("here") == "here" and lengths_of(" 512, 256") == (512, 256)
    for wrong in ("fast", "0TFLOPS", "400"):
        with pytest.raises(ConfigError, match=r"plan\.rate"):
            rate_of(wrong)
    for wrong in ("512", "0,5", "a,b", "1,2,3"):
        with pytest.raises(ConfigError, match=r"plan\.lengths"):
            lengths_of(wrong)


def test_a_plan_in_words_says_parts_time_and_verdict(capsys, folder):
    words = ("--memory", "80GB", "--rate", "2GFLOPS", "--pairs", "10")
    assert main(["plan", "--model", folder, *FEW, *words]) == 0
    printed = capsys.readouterr().out
    for word in ("parameters", "AdamW", "activations", "drawn out to 6", "as stated", "3 steps in all", "It fits"):
        assert word in printed


def test_changes_are_true_and_the_last_one_fits(capsys, folder):
    status, whole = planned(capsys, "--model", folder, *FEW)
    assert status == 0 and whole["fits"] is None
    standing = sum(whole["memory"][part] for part in ("parameters", "gradients", "optimizer"))
    room = int((standing + 0.3 * (whole["memory"]["total"] - standing)) / 0.9)
    status, found = planned(capsys, "--model", folder, *FEW, "--memory", f"{room / 1e6:.3f}MB")
    assert status == 4 == found["exit_status"] and found["fits"] is False and found["remedies"]
    totals = [found["memory"]["total"], *(each["total"] for each in found["remedies"])]
    assert totals == sorted(totals, reverse=True)
    assert [each["fits"] for each in found["remedies"]] == [False] * (len(found["remedies"]) - 1) + [True]
    changed = dict(word.split("=") for each in found["remedies"] for word in each["change"].split())
    more = [f"{key}={value}" for key, value in changed.items()]
    few = [word for word in FEW if word.split("=")[0] not in changed]
    status, again = planned(capsys, "--model", folder, *few, *more, "--memory", f"{room / 1e6:.3f}MB")
    assert status == 0 and again["memory"]["total"] == totals[-1] and again["remedies"] == []


def test_rows_that_are_there_tell_their_lengths(capsys, tmp_path):
    words = [f"w{number}" for number in range(20)]
    save_model(tmp_path / "MODEL", words)
    rows = [{"prompt": "w1 w2", "chosen": f"w{n} w3 w4", "rejected": "w5"} for n in range(6, 16)]
    data = write_rows(tmp_path / "pairs.jsonl", rows)
    given = ("--model", str(tmp_path / "MODEL"), "--data", str(data), "data.eval_fraction=0", "train.pairs_per_step=5")
    main(["check", *given, "--json"])
    looked = json.loads(capsys.readouterr().out)["work"]
    for file in (tmp_path / "MODEL").glob("*.safetensors"):
        file.unlink()  # a configuration and a tokenizer are enough
    status, found = planned(capsys, *given, "--gpus", "1")
    assert status == 0 and "10 rows" in found["rows"]
    assert found["micro_batch"]["tokens"] == looked["largest"] > 0
    assert 2 * found["micro_batch"]["scored"] == looked["scored_tokens"]


def test_an_epoch_and_the_references_pass_are_of_all_rows_however_short_the_run(capsys, tmp_path):
    """The run scores all rows before its first step, held out ones too, and `train.max_steps` cuts steps alone."""
    words = [f"w{number}" for number in range(60)]
    save_model(tmp_path / "MODEL", words)
    rows = [{"prompt": f"w{n} w2", "chosen": "w4 w3", "rejected": "w5"} for n in range(60)]
    data, held = (write_rows(tmp_path / f"{n}.jsonl", rows[n : n + 40]) for n in (0, 40))
    given = ("--model", str(tmp_path / "MODEL"), "--data", str(data), "--gpus", "1", "--rate", "1GFLOPS")
    given += ("reference.kind=cached", "train.pairs_per_step=10", "train.epochs=2")
    times = [
        planned(capsys, *given, *more)[1]["time"]
        for more in (
            ["data.eval_fraction=0"],
            ["data.eval_fraction=0", "train.max_steps=1"],
            [f"data.eval={held}", "train.max_steps=1"],
        )
    ]
    assert [each["epoch"] / each["step"] for each in times] == pytest.approx([4, 4, 4])
    assert [each["run"] / each["step"] for each in times] == pytest.approx([8, 1, 1])
    once = times[0]["reference_pass"]
    assert [each["reference_pass"] for each in times] == pytest.approx([once, once, 1.5 * once])


def test_of_stated_rows_as_many_are_held_out_as_the_settings_expect(capsys, folder):
    words = ("--model", folder, *FEW, "--pairs", "40", "--rate", "1GFLOPS", "reference.kind=cached")
    none, a_fifth = (
        planned(capsys, *words, f"data.eval_fraction={each}")[1]["time"]["reference_pass"] for each in (0, 0.2)
    )
    assert a_fifth == pytest.approx(1.25 * none)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--gpus", "0"), "plan.gpus"),
        (("--gpus", "8", "--nodes", "3"), "plan.gpus"),
        (("--gpus", "1", "--memory", "80"), "plan.memory"),
        (("--gpus", "1", "--rate", "quick"), "plan.rate"),
        (("--gpus", "1", "--tokens", "300,300"), "plan.lengths"),
        (("--gpus", "1", "--pairs", "0"), "plan.lengths"),
        (("--gpus", "1", "--tokens", "100,100", "train.token_budget=200"), "train.token_budget"),
        (("--gpus", "1", "reference.kind=ema"), "plan.setting"),
        (("--gpus", "1", "train.token_budget=auto"), "plan.setting"),
        (("--gpus", "1", "--resume"), "config.argument"),
        ((), "cli.usage"),
    ],
)
def test_what_is_wrong_is_said_and_ends_with_2(capsys, folder, words, code):
    assert main(["plan", "--model", folder, *words]) == 2
    error = capsys.readouterr().err
    assert f"[{code}]" in error and "Traceback" not in error


def test_a_model_that_is_not_there_or_of_no_known_kind(capsys, tmp_path):
    assert main(["plan", "--model", str(tmp_path / "nowhere"), "--gpus", "1"]) == 2
    assert "[model.path]" in capsys.readouterr().err
    (tmp_path / "config.json").write_text('{"model_type": "strange"}')
    assert main(["plan", "--model", str(tmp_path), "--gpus", "1"]) == 2
    assert "[plan.model]" in capsys.readouterr().err
