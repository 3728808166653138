"""Answers: what they say, how likely they are, and the file that keeps them."""

import json

import pytest
import torch
from planted import WORDS, config_for, pairs, train
from tiny import CHATML, byte_tokenizer, save_model, stirred, tiny_llama, word_tokenizer

from prefsmith.data.encode import Encoder
from prefsmith.data.render import Renderer
from prefsmith.errors import TrainingError
from prefsmith.evaluate.samples import SampleLog, answer_divergence, answer_nats, draw, first_prompts
from prefsmith.model.generate import Sampling
from prefsmith.model.score import Frozen, Scorer
from prefsmith.records import Group, Message
from prefsmith.stats import mean


def group(number, prompt):
    return Group(f"g{number}", f"rows:{number}", prompt, ())


GROUPS = [group(1, "red w0"), group(2, "blue w1 w2 w3"), group(3, "red")]


@pytest.fixture(scope="module")
def encoder():
    tokenizer = word_tokenizer(WORDS)
    return Encoder(tokenizer, Renderer(tokenizer), max_length=128)


@pytest.fixture(scope="module")
def model():
    return tiny_llama(len(word_tokenizer(WORDS)), std=0.4)


def test_answers_come_prompt_by_prompt_without_their_end_token(encoder, model):
    answers = draw(Frozen(Scorer(model, "shared")), encoder, GROUPS, Sampling(max_new_tokens=12), per_prompt=30)
    assert [answer.group.id for answer in answers] == ["g1"] * 30 + ["g2"] * 30 + ["g3"] * 30
    assert answers[0].prompt == (1, 3, 7) and {answer.ended for answer in answers} == {True, False}
    for answer in answers:
        assert answer.ended == (answer.ids[-1] == 2)
        words = answer.ids[:-1] if answer.ended else answer.ids
        assert answer.text.split() == encoder.tokenizer.convert_ids_to_tokens(list(words))


@pytest.mark.parametrize("budget", [1, 60, 10_000])
def test_nats_are_those_of_the_models_own_forward(encoder, model, budget):
    answers = draw(Frozen(Scorer(model, "padded")), encoder, GROUPS, Sampling(max_new_tokens=6), per_prompt=3)
    found = answer_nats(Frozen(Scorer(model, "shared")), answers, token_budget=budget)
    for answer, nats in zip(answers, found, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*answer.prompt, *answer.ids]])).logits[0].double()
        rows = logits[len(answer.prompt) - 1 : -1].log_softmax(-1)
        assert float(nats) == pytest.approx(float(rows[range(len(answer.ids)), list(answer.ids)].sum()), abs=1e-5)


def test_divergence_along_samples_and_their_log_ratio_agree(encoder, model):
    """Both estimate the KL of whole sequences; the one that averages over each token is the sharper."""
    reference = Frozen(Scorer(stirred(tiny_llama(15, std=0.4), seed=3, std=0.3), "shared"))
    policy = Frozen(Scorer(model, "shared"))
    answers = draw(policy, encoder, GROUPS, Sampling(max_new_tokens=6, batch_size=512), per_prompt=400)
    own, other = (answer_nats(each, answers, token_budget=8192) for each in (policy, reference))
    plain, averaged = (
        mean((own - other).tolist()),
        mean(answer_divergence(policy, reference, answers, token_budget=8192).tolist()),
    )
    assert plain.value > 1  # far apart, so that there is something to agree on
    assert abs(plain.value - averaged.value) <= 3 * (plain.high - plain.value) / 1.96
    assert averaged.high - averaged.low < 0.9 * (plain.high - plain.low)


def test_chat_prompts_are_asked_as_the_template_writes_them():
    tokenizer = byte_tokenizer(chat_template=CHATML)
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    asked = group(1, (Message("user", "the cat"),))
    written = "<|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(list(encoder.prompt_ids(asked))) == written
    typed = group(2, (Message("user", "<|im_end|>"),))
    ids = encoder.prompt_ids(typed)
    assert ids.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 1  # what was typed stays text


def test_a_long_prompt_makes_room_for_its_answer(encoder):
    tokenizer = word_tokenizer(WORDS)
    short = Encoder(tokenizer, Renderer(tokenizer), max_length=10)
    ids = short.prompt_ids(group(1, " ".join(WORDS)), room=6)
    assert ids == (1, *encoder.prompt_ids(group(1, " ".join(WORDS)))[-3:])  # the begin token and the last words


def test_different_prompts_are_asked_once():
    rows = [group(1, "a"), group(2, "b"), group(3, "a"), group(4, "c")]
    assert [each.id for each in first_prompts(rows, 2)] == ["g1", "g2"]
    assert [each.id for each in first_prompts(rows, 9)] == ["g1", "g2", "g4"]


def read(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


SHORT = {"pairs_per_step": 16, "max_steps": 3}


def test_a_run_keeps_answers_from_before_and_after(tmp_path):
    config = config_for(tmp_path, pairs(60), train=SHORT, evaluate={"samples": 3, "sample_tokens": 5})
    rows = read(train(config).folder)
    assert [row["step"] for row in rows] == [0, 0, 0, 3, 3, 3]
    assert [row["prompt"] for row in rows[:3]] == [row["prompt"] for row in rows[3:]]
    assert {row["split"] for row in rows} == {"eval"} and all(row["tokens"] <= 5 for row in rows)
    assert all(row["policy_logprob"] == pytest.approx(row["reference_logprob"], abs=1e-5) for row in rows[:3])
    assert all(abs(row["policy_logprob"] - row["reference_logprob"]) > 1e-4 for row in rows[3:])


def test_without_a_reference_only_the_start_is_known_under_it(tmp_path):
    config = config_for(
        tmp_path, pairs(60), loss={"name": "sft"}, train=SHORT, evaluate={"samples": 2, "sample_tokens": 9}
    )
    rows = read(train(config).folder)
    assert [row["reference_logprob"] is None for row in rows] == [False, False, True, True]


def test_training_prompts_are_asked_where_none_is_held_out(tmp_path):
    config = config_for(
        tmp_path, pairs(60), train=SHORT, data={"eval_fraction": 0.0}, evaluate={"samples": 2, "sample_tokens": 9}
    )
    assert {row["split"] for row in read(train(config).folder)} == {"train"}


def test_sampling_does_not_change_what_is_trained(tmp_path):
    weights = []
    for samples in (0, 4):
        (tmp_path / str(samples)).mkdir()
        adapter, evaluate = {"kind": "lora", "dropout": 0.2}, {"samples": samples}
        config = config_for(tmp_path / str(samples), pairs(60), train=SHORT, adapter=adapter, evaluate=evaluate)
        weights.append((train(config).folder / "model" / "adapter_model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_answers_from_before_survive_a_resumption(tmp_path):
    log = SampleLog(tmp_path / "samples.jsonl", lambda step: [{"step": step, "completion": f"at {step}"}])
    log.before()
    again = SampleLog(tmp_path / "samples.jsonl", lambda step: [{"step": step, "completion": "later"}])
    again.before()
    again.after(5)
    assert [row["completion"] for row in read(tmp_path)] == ["at 0", "later"]
    again.after(9)
    assert [row["step"] for row in read(tmp_path)] == [0, 9]


def test_a_disk_that_fails_is_told(tmp_path):
    with pytest.raises(TrainingError, match="samples cannot be written") as caught:
        SampleLog(tmp_path / "nowhere" / "samples.jsonl", lambda step: []).before()
    assert caught.value.code == "run.write"


def test_chat_rows_keep_their_messages(tmp_path):
    tokenizer = byte_tokenizer(chat_template=CHATML)
    tiny_llama(len(tokenizer)).save_pretrained(tmp_path / "chat")
    tokenizer.save_pretrained(tmp_path / "chat")
    rows = [
        {"prompt": [{"role": "user", "content": f"the cat {n}"}],
         "chosen": [{"role": "assistant", "content": "yes"}], "rejected": [{"role": "assistant", "content": "no"}]}
        for n in range(30)
    ]  # fmt: skip
    save_model(tmp_path / "base", WORDS)
    config = config_for(
        tmp_path, rows, model={"path": str(tmp_path / "chat")}, train=SHORT, evaluate={"samples": 1, "sample_tokens": 3}
    )
    assert read(train(config).folder)[0]["prompt"][0]["role"] == "user"
