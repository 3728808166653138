"""The preflight says what the run then does: its numbers, its errors, its ids; and warns where a range is left."""

import json
from pathlib import Path

import planted
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import CHATML, byte_tokenizer, encoded_groups, save_model, tiny_llama, word_tokenizer, write_rows

from prefsmith.config import RunConfig
from prefsmith.data.encode import Encoder, Uncut
from prefsmith.data.pack import pack
from prefsmith.data.render import Renderer
from prefsmith.data.views import Wanted, view
from prefsmith.errors import PrefsmithError
from prefsmith.model.score import Scorer
from prefsmith.preflight.examples import examples
from prefsmith.preflight.lengths import LengthRecord
from prefsmith.preflight.memory import saved_bytes
from prefsmith.preflight.parts import put_together
from prefsmith.preflight.survey import preflight
from prefsmith.preflight.tokens import begin_of, end_of
from prefsmith.preflight.work import computed_tokens
from prefsmith.records import Comparison, Completion, Group
from prefsmith.run import fit

QUIET = {"samples": 0}


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def named(facts):
    return [each.name for each in facts.warnings]


# What a preflight says is what the run does.


@pytest.mark.parametrize(
    ("rows", "sections"),
    [
        (planted.pairs(60), {}),
        (planted.pairs(60), {"adapter": {"kind": "lora"}}),
        (planted.pairs(60), {"model": {"attention": "padded"}, "train": {"token_budget": 200}}),
        (planted.ratings(60), {"loss": {"name": "kto"}}),
        (planted.examples(60), {"loss": {"name": "sft"}}),
        (planted.pairs(60), {"loss": [{"name": "dpo"}, {"name": "sft", "weight": 0.1}], "train": {"epochs": 2}}),
    ],
    ids=["dpo", "lora", "padded", "kto", "sft", "mixture"],
)
def test_the_run_does_what_the_preflight_said(tmp_path, rows, sections):
    config = planted.config_for(tmp_path, rows, evaluate=QUIET, **sections)
    before = files_below(tmp_path)
    facts = preflight(config)
    assert files_below(tmp_path) == before, "a preflight writes nothing"
    assert facts.problems == () and facts.exit_status == 0

    run = planted.train(config)
    model, data = (json.loads((run.folder / name).read_text()) for name in ("model.json", "data.json"))
    steps = [row for row in run.metrics if "split" not in row]
    assert (facts.model.sha256, facts.model.weights, facts.model.trained) == (
        model["sha256"],
        model["weights"],
        model["trained"],
    )
    assert (facts.reference.what, facts.reference.sha256) == (model["reference"], model["reference_sha256"])
    assert facts.path.path == model["path"].partition(" ")[0]
    assert facts.rows.train == data["train_encoded"]["groups"]
    assert facts.rows.held_out == data["eval_encoded"]["groups"]
    assert facts.lengths.parts[0].n == facts.rows.train, "held-out rows are not among the lengths"
    assert facts.work.steps == run.steps == len(steps)
    # Of a mismatched answer the run counts the tokens, too; here every answer is one, once.
    times = 2 if config.losses[0].name == "kto" else 1
    assert times * facts.work.scored_tokens == sum(row["tokens"] for row in steps)
    if len(facts.work.first_step) == 1:
        assert facts.pace.start_loss == pytest.approx(steps[0]["loss"], abs=1e-12)


def test_a_run_inside_all_ranges_gets_no_warning(tmp_path):
    config = planted.config_for(tmp_path, planted.pairs(1200), optim={"learning_rate": 1e-5, "warmup_steps": 10})
    assert preflight(config).warnings == ()


def test_measuring_leaves_weights_and_gradients_as_they_were(tmp_path):
    config = planted.config_for(tmp_path, planted.pairs(40))
    parts = put_together(config, lambda _: None)
    fresh = put_together(config.model_copy(update={"train": config.train.model_copy(update={"seed": 3})}), print)
    own, other = parts.models.policy.model, fresh.models.policy.model
    assert all(weight.grad is None for weight in own.parameters())
    assert all(torch.equal(a, b) for a, b in zip(own.parameters(), other.parameters(), strict=True))


# What stops the preflight is what stops the run.

GOOD = planted.pairs(40)
BAD = [*GOOD[:7], {"prompt": "red", "chosen": "", "rejected": " apple"}, {"prompt": "red"}, *GOOD[7:]]


@pytest.mark.parametrize(
    ("rows", "sections"),
    [
        (BAD, {}),
        ([{"prompt": "red"}], {}),
        ([{"prompt": "red", "chosen": " a", "rejected": " a"}] * 3, {}),
        ([{"prompt": "red", "chosen": " a", "rejected": " a"}] * 3, {"data": {"skip_bad": True}}),
        ([], {}),
        ([{"one": 1}], {}),
        (GOOD, {"loss": {"name": "dop"}}),
        (GOOD, {"loss": {"bta": 1}}),
        (GOOD, {"loss": {"name": "kto"}, "train": {"pairs_per_step": 1}}),
        (GOOD, {"model": {"path": "./no-such"}}),
        (GOOD, {"model": {"device": "cuda:77"}}),
        (GOOD, {"reference": {"path": "./no-such"}}),
        (GOOD, {"data": {"max_length": 4096}}),
        (GOOD, {"data": {"max_length": 3, "truncation": "refuse"}}),
        (GOOD, {"data": {"max_length": 2, "truncation": "drop"}}),
        (GOOD, {"data": {"template": "no.jinja"}}),
        (GOOD, {"data": {"eval": "no.jsonl"}}),
        (GOOD, {"adapter": {"kind": "lora", "target_modules": ["nothing"]}}),
        (planted.ratings(40), {}),
        ([{**row, "weight": 0.0} for row in GOOD], {}),
        ([{**row, "prob": 0.7} for row in GOOD], {"loss": {"name": "kto"}}),
    ],
)
def test_the_first_problem_is_the_error_of_the_run(tmp_path, rows, sections):
    """Code, words, place, mend and exit status, whatever else is found behind it."""
    config = planted.config_for(tmp_path, rows, evaluate=QUIET, **sections)
    facts = preflight(config)
    with pytest.raises(PrefsmithError) as stopped:
        fit(config, say=lambda line: None)
    error, first = stopped.value, facts.problems[0]
    assert (first.code, first.what, first.fix, first.exit_status) == (
        error.code,
        error.what,
        error.fix,
        error.exit_code,
    )
    assert first.where == error.where
    assert facts.exit_status == error.exit_code


def test_a_folder_that_holds_a_run_is_told(tmp_path):
    config = planted.config_for(tmp_path, GOOD, evaluate=QUIET)
    planted.train(config)
    assert [each.code for each in preflight(config).problems] == ["run.exists"]


def test_what_can_still_be_shown_is_shown(tmp_path):
    without_model = preflight(planted.config_for(tmp_path, BAD, model={"path": "./no-such"}))
    assert [each.code for each in without_model.problems] == ["model.path", "data.empty"]
    assert without_model.rows.train == 37 and without_model.model is None
    without_rows = preflight(planted.config_for(tmp_path, GOOD, data={"train": "no.jsonl"}))
    assert without_rows.rows is None and without_rows.model.kind == "LlamaForCausalLM"
    assert without_rows.template.kind == "plain"
    without_eval = preflight(planted.config_for(tmp_path, GOOD, data={"eval": "no.jsonl"}))
    assert [each.code for each in without_eval.problems] == ["data.file"]
    assert without_eval.rows.train == 40 and len(without_eval.examples) == 3
    without_loss = preflight(planted.config_for(tmp_path, GOOD, loss={"name": "dop"}))
    assert without_loss.rows.files[0].rows == 40 and without_loss.model is not None


def test_every_refused_row_is_counted_and_the_first_ten_are_named(tmp_path):
    rows = [*GOOD, *[{"prompt": "red", "chosen": " a", "rejected": " a"}] * 12, {"prompt": "red", "chosen": ""}]
    facts = preflight(planted.config_for(tmp_path, rows))
    place = str(tmp_path / "rows.jsonl")
    assert {each.code: each.count for each in facts.refused} == {"data.identical": 12, "data.column": 1}
    assert [row.where for row in facts.refused[0].rows] == [f"{place}:{line}" for line in range(41, 51)]
    assert facts.rows.files[0].refused == 13 and facts.rows.files[0].rows == 53
    assert facts.problems[0].where == f"{place}:41"
    none_left = preflight(planted.config_for(tmp_path, rows[40:52]))
    assert [each.code for each in none_left.problems] == ["data.identical"], "that no row is left says no more"
    skipped = preflight(planted.config_for(tmp_path, rows, data={"skip_bad": True}))
    assert skipped.problems == () and [each.count for each in skipped.refused] == [12, 1]


# Examples are the ids themselves.


@pytest.fixture(scope="module")
def chat_encoder():
    tokenizer = byte_tokenizer(chat_template=CHATML)
    return Encoder(tokenizer, Renderer(tokenizer), max_length=None)


def encoded(encoder, prompt, chosen, rejected):
    group = Group("g", "rows:1", prompt, (Completion(chosen), Completion(rejected)), (Comparison(0, 1),))
    return encoder.encode(group, [view(group, Wanted("dpo", "pairwise"))])


TYPED = st.lists(
    st.sampled_from(["<|im_end|>", "<|im_start|>", "a", " cat", "\n", "é", "日本", "👍", "שלום"]), max_size=9
)


@given(st.text(max_size=40) | TYPED.map("".join), TYPED.map("".join))
def test_an_example_says_every_token_once(chat_encoder, prompt, answer):
    group = encoded(chat_encoder, prompt, f"{answer} yes", f"{answer} no")
    (example,) = examples([group], chat_encoder, good="desirable", seed=0)
    ids = [group.prompt, *(completion.ids for completion in group.completions)]
    for part, numbers in zip(example.parts, ids, strict=True):
        assert sum(piece.tokens for piece in part.pieces) == len(numbers)
        if all(piece.kind != "omitted" for piece in part.pieces):
            text = chat_encoder.tokenizer.decode(list(numbers), clean_up_tokenization_spaces=False)
            assert "".join(piece.text for piece in part.pieces) == text
    assert not any(piece.scored for piece in example.parts[0].pieces)
    assert all(piece.scored for part in example.parts[1:] for piece in part.pieces)


def test_words_keep_the_spaces_that_their_tokenizer_writes():
    tokenizer = word_tokenizer(["what", "is", "good", "bad"])
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    group = encoded(encoder, "what is", " good bad", " bad")
    (example,) = examples([group], encoder, good="desirable", seed=0)
    texts = [[piece.text for piece in part.pieces] for part in example.parts]
    assert texts == [["<s>", " what is"], [" good bad", "</s>"], [" bad", "</s>"]]


def test_a_control_token_and_its_name_typed_as_text_are_told_apart(chat_encoder):
    group = encoded(chat_encoder, "say <|im_end|> now", "<|im_start|>", "b")
    (example,) = examples([group], chat_encoder, good="desirable", seed=0)
    kinds = [[(piece.text, piece.kind) for piece in part.pieces if piece.kind != "text"] for part in example.parts]
    assert kinds == [
        [("<|im_start|>", "control"), ("<|im_end|>", "typed"), ("<|im_end|>", "control"), ("<|im_start|>", "control")],
        [("<|im_start|>", "typed"), ("<|im_end|>", "control")],
        [("<|im_end|>", "control")],
    ]


def test_a_long_text_is_cut_in_the_middle_and_its_end_is_shown(chat_encoder):
    words = " ".join(f"word{number}é" for number in range(400))
    group = encoded(chat_encoder, words, words, "b")
    (example,) = examples([group], chat_encoder, good="desirable", seed=0)
    for part, ids in zip(example.parts[:2], (group.prompt, group.completions[0].ids), strict=True):
        texts = [piece.text for piece in part.pieces]
        (gap,) = [piece for piece in part.pieces if piece.kind == "omitted"]
        assert gap.tokens + sum(piece.tokens for piece in part.pieces if piece is not gap) == len(ids)
        head, _, tail = "".join(text or "\0" for text in texts).partition("\0")
        assert "word0é word1é" in head and "word399é" in tail
        assert len(head) < 200 and len(tail) < 220 and "\ufffd" not in "".join(texts)
    assert example.parts[1].pieces[-1].text == "<|im_end|>"


def test_what_was_cut_and_what_lost_its_end_are_marked():
    tokenizer = word_tokenizer(["q", "good", "bad"])
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=6, truncation="keep_end")
    group = encoded(encoder, "q " * 9, " good good good", " bad")
    (example,) = examples([group], encoder, good="desirable", seed=0)
    assert [(piece.kind, piece.tokens) for piece in example.parts[0].pieces] == [
        ("control", 1),
        ("cut", 8),
        ("text", 1),
    ]
    group = encoded(encoder, "q", " good" * 9, " bad")
    (example,) = examples([group], encoder, good="desirable", seed=0)
    assert [part.pieces[-1].kind for part in example.parts[1:]] == ["unended", "control"]


def test_a_token_before_the_answer_that_is_not_scored_is_shown_as_such():
    tokenizer = byte_tokenizer()
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    group = encoded(encoder, "the news", "paper", " paper")
    unscored = [completion.unscored for completion in group.completions]
    assert max(unscored) > 0, "the two sides were to merge differently with the prompt"
    (example,) = examples([group], encoder, good="desirable", seed=0)
    for part, completion in zip(example.parts[1:], group.completions, strict=True):
        assert sum(piece.tokens for piece in part.pieces if not piece.scored) == completion.unscored
        assert part.tokens == len(completion.ids) - completion.unscored


def test_first_longest_and_a_drawn_row_are_shown(chat_encoder):
    groups = [encoded(chat_encoder, f"q{number}" * (9 if number == 4 else 1), "yes", "no") for number in range(8)]
    shown = [examples(groups, chat_encoder, good="desirable", seed=seed) for seed in range(40)]
    assert {tuple(each.why.partition(" by ")[0] for each in row) for row in shown} == {
        ("the first training row", "the longest", "one drawn")
    }
    prompts = [[each.parts[0].pieces[1].text for each in row] for row in shown]
    assert all("q0" in row[0] and "q4q4" in row[1] for row in prompts)
    assert len({row[2] for row in prompts}) == 6, "every other row can be drawn"
    assert examples(groups, chat_encoder, good="desirable", seed=7) == shown[7]
    assert [each.why for each in examples(groups[:1], chat_encoder, good="desirable", seed=0)] == [
        "the only training row"
    ]


def test_soft_and_turned_labels_are_named(chat_encoder):
    sides = (Completion("a"), Completion("b"))
    for prob, names in [(0.8, ["chosen (probability 0.8)", "rejected"]), (0.0, ["rejected", "chosen"])]:
        group = Group("g", "rows:1", "q", sides, (Comparison(0, 1, prob=prob),))
        each = chat_encoder.encode(group, [view(group, Wanted("dpo", "pairwise"))])
        (example,) = examples([each], chat_encoder, good="desirable", seed=0)
        assert [part.role for part in example.parts] == ["prompt", *names]


# Lengths, tokens, work, memory.


def test_lengths_are_those_before_the_cut():
    record = LengthRecord("desirable")
    group = Group("g", "s", "q", (Completion("a"), Completion("b")), (Comparison(0, 1),))
    turned = Group("g", "s", "q", (Completion("a"), Completion("b")), (Comparison(0, 1, prob=0.0),))
    for number in range(1, 21):
        each = turned if number == 20 else group
        views = [view(each, Wanted("dpo", "pairwise"))] * 2
        record.add(Uncut(each, [0, 1], views, 10 * number, (number, 5), 10 * number + max(number, 5)))
    facts = record.facts(150, "drop")
    parts = {part.what: (part.min, part.median, part.p95, part.max) for part in facts.parts}
    assert parts == {"prompt": (10, 100, 190, 200), "chosen": (1, 9, 18, 19), "rejected": (5, 5, 5, 20),
                     "whole": (15, 110, 209, 220)}  # fmt: skip
    assert {part.n for part in facts.parts} == {20}, "a second loss term reads the same answers"
    assert facts.over == 7  # rows 14 to 20: 14 x 10 + 14 = 154
    assert facts.difference == pytest.approx((sum(range(1, 20)) - 19 * 5 + 5 - 20) / 20)


SPACED = (
    "{% for m in messages %} {{ m.role }} {{ m.content }} </s>{% endfor %}"
    "{% if add_generation_prompt %} assistant{% endif %}"
)


@pytest.mark.parametrize("template", [None, SPACED, "{{ bos_token }}" + SPACED, "{{ bos_token }} " * 2 + SPACED])
def test_the_begin_token_is_counted_in_the_ids(template):
    tokenizer = word_tokenizer(["user", "assistant", "q", "a", "b"])
    tokenizer.chat_template = template
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    groups = [encoded(encoder, "q", " a", " b"), encoded(encoder, "q q", " b", " a")]
    begin = begin_of(encoder, groups)
    writer = "both" if template is not None and template.startswith("{{") else "tokenizer"
    doubled = 2 * (template is not None and template.startswith("{{ bos_token }} {{"))
    assert (begin.token, begin.writer, begin.present, begin.doubled) == ("<s>", writer, 2, doubled)
    assert begin.repeated == doubled


def test_answers_without_an_end_are_counted():
    tokenizer = byte_tokenizer(chat_template=CHATML.replace("<|im_end|>", ""))
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    end = end_of(encoder, [encoded(encoder, "q", "a", "b")], [tokenizer.eos_token_id])
    assert (end.answers, end.ended, end.tokens, end.writer) == (2, 0, (), "template")
    tokenizer = byte_tokenizer(chat_template=CHATML)
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=None)
    end = end_of(encoder, [encoded(encoder, "q", "a", "b")], [0])
    assert (end.ended, end.tokens, end.generation) == (2, ("<|im_end|>",), False)


def test_tokens_of_each_path_are_those_that_it_runs():
    groups = encoded_groups(5, completions=3, seed=2)
    batch = pack(groups)
    shared, alone = batch.ids.shape[0], [int(end - start) for start, end in unshared_spans(batch)]
    assert computed_tokens(groups, "shared") == shared
    assert computed_tokens(groups, "packed") == sum(alone)
    assert computed_tokens(groups, "padded") == len(alone) * max(alone)


def unshared_spans(batch):
    from prefsmith.model.forest import unshare

    apart = unshare(batch)
    return zip(apart.prompts[:, 0].tolist(), apart.completions[:, 2].tolist(), strict=True)


def test_what_autograd_keeps_grows_with_tokens_and_holds_no_weights():
    model = tiny_llama(4000)  # its embedding alone is 512,000 bytes
    scorer = Scorer(model, "packed")
    short, long = encoded_groups(1, seed=1, prompt=(20, 20), answer=(10, 10)) + encoded_groups(
        1, seed=1, prompt=(40, 40), answer=(20, 20)
    )
    ratio = saved_bytes(scorer, long) / saved_bytes(scorer, short)
    assert 1.9 < ratio < 2.2  # but for masks, which grow with the square
    assert saved_bytes(scorer, short) < 512_000


def test_rounded_copies_of_weights_do_not_grow_with_the_tokens(tmp_path):
    whole, low = (
        preflight(planted.config_for(tmp_path, GOOD, train={"precision": precision})) for precision in ("fp32", "bf16")
    )
    assert low.problems == ()
    # Half the bytes of the weights at most; counted with every row they would be some times all of them.
    assert low.memory.activations < whole.memory.activations + whole.memory.weights / 2


def test_the_parts_of_memory_are_bytes_of_weights(tmp_path):
    full = preflight(planted.config_for(tmp_path, GOOD))
    bytes_ = 4 * full.model.weights
    assert full.memory.weights >= bytes_ and full.memory.reference == full.memory.weights
    assert (full.memory.gradients, full.memory.optimizer) == (bytes_, 2 * bytes_)
    lora = preflight(planted.config_for(tmp_path, GOOD, adapter={"kind": "lora"}))
    assert (lora.memory.gradients, lora.memory.optimizer) == (4 * lora.model.trained, 8 * lora.model.trained)
    assert lora.memory.reference == 0
    alone = preflight(planted.config_for(tmp_path, planted.examples(40), loss={"name": "sft"}))
    assert alone.memory.reference == 0 and not alone.reference.needed
    for facts in (full, lora, alone):
        parts = {**facts.to_json()["memory"]}
        assert parts.pop("total") == sum(parts.values()) - parts["available"]


def test_a_policy_that_does_not_start_at_its_reference_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("prefsmith.train.monitor.START_TOLERANCE", {"fp32": -1.0})  # so that even equal ones differ
    facts = preflight(planted.config_for(tmp_path, GOOD))
    assert ([each.code for each in facts.problems], facts.exit_status) == (["train.start"], 4)
    assert facts.work is not None and facts.pace is None
    other = planted.config_for(tmp_path, GOOD, reference={"path": str(tmp_path / "base")})
    assert preflight(other).problems == (), "another reference on purpose"


# Warnings.


def far(rows, **changes):
    return [{**row, **changes} for row in rows]


LONG = [
    {"prompt": "red", "chosen": " w0" * 3 + " apple", "rejected": " w0 berry" * (6 + number % 3)}
    for number in range(60)
]
MANY = planted.pairs(130)


@pytest.mark.parametrize(
    ("name", "rows", "sections", "instead"),
    [
        ("beta", MANY, {"loss": {"beta": 0.02}}, "loss.beta=0.1"),
        ("beta", MANY, {"loss": {"beta": 2}}, "loss.beta=0.5"),
        ("beta", MANY, {"loss": [{"name": "sft"}, {"name": "dpo", "beta": 2}]}, "loss.1.beta=0.5"),
        ("learning_rate", MANY, {"optim": {"learning_rate": 1e-4}}, "optim.learning_rate=1e-5"),
        ("learning_rate", MANY, {"optim": {"learning_rate": 5e-7}}, "optim.learning_rate=1e-6"),
        ("learning_rate", MANY, {"optim": {"learning_rate": 1e-3}, "adapter": {"kind": "lora"}}, "=2e-4"),
        ("pairs_per_step", MANY, {"train": {"pairs_per_step": 8}}, "train.pairs_per_step=32"),
        ("pairs_per_step", MANY, {"train": {"pairs_per_step": 256}, "optim": {"warmup_steps": 0}}, "=128"),
        ("warmup", MANY, {"optim": {"warmup_steps": 40}}, "optim.warmup_steps=0"),
        ("epochs", MANY, {"train": {"epochs": 4}}, "train.epochs=3"),
        ("held_out", MANY, {"data": {"eval_fraction": 0}}, "data.eval_fraction=0.1"),
        ("held_out", MANY, {"data": {"eval_fraction": 0.02}}, "data.eval=FILE"),
        ("ties", far(MANY, prob=0.5), {}, "data.columns.prob"),
        ("length_rule", [*MANY, *LONG], {}, "length_norm=token"),
        ("max_length", MANY, {"data": {"max_length": 9}}, "data.max_length"),
        ("unknown_text", [*MANY, {"prompt": "red", "chosen": " apple xyz", "rejected": " berry"}], {}, "another model"),
        ("ipo_sums", MANY, {"loss": {"name": "ipo"}}, "loss.length_norm=token"),
    ],
)
def test_what_is_outside_a_range_is_warned_of_alone(tmp_path, monkeypatch, name, rows, sections, instead):
    """Each with what to type instead, and with nothing else that would hide it."""
    monkeypatch.setattr("prefsmith.preflight.customary.LONG_SUM", 3)  # the planted answers are short
    monkeypatch.setattr("prefsmith.preflight.doubtful.HELD_OUT", 10)  # and there are few, to save time
    usual = {"learning_rate": 1e-4 if "adapter" in sections else 1e-5, "warmup_steps": 1}
    optim = {**usual, **sections.get("optim", {})}
    facts = preflight(planted.config_for(tmp_path, rows, **{**sections, "optim": optim}))
    assert named(facts) == [name]
    assert instead in facts.warnings[0].instead and facts.warnings[0].why


def test_ratings_of_one_kind_are_warned_of_with_the_weight_that_mends_it(tmp_path):
    rows = [row for number, row in enumerate(planted.ratings(240)) if row["label"] or number % 12 == 1]
    optim = {"learning_rate": 1e-5, "warmup_steps": 1}
    facts = preflight(planted.config_for(tmp_path, rows, loss={"name": "kto"}, optim=optim))
    (warning,) = [each for each in facts.warnings if each.name == "balance"]
    key, _, weight = warning.instead.partition("=")
    assert key == "loss.undesirable_weight" and 5 < float(weight) < 8
    mended = planted.config_for(tmp_path, rows, loss={"name": "kto", "undesirable_weight": weight}, optim=optim)
    assert "balance" not in named(preflight(mended))


def test_a_held_out_file_that_shares_prompts_is_warned_of(tmp_path):
    other = write_rows(tmp_path / "eval.jsonl", [*MANY[:30], *planted.pairs(200, seed=9)])
    facts = preflight(planted.config_for(tmp_path, MANY, data={"eval": str(other)}, optim={"learning_rate": 1e-5}))
    assert "eval_prompts_in_train" in named(facts) and facts.rows.eval_prompts_in_train >= 30


def chat_model(folder: Path, **changes):
    tokenizer = byte_tokenizer(**changes)
    model = tiny_llama(len(tokenizer), max_position_embeddings=512)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def chats(count):
    user, said = [{"role": "user", "content": "q"}], [{"role": "assistant", "content": "a b"}]
    other = [{"role": "assistant", "content": "b a"}]
    return [
        {"prompt": [{**user[0], "content": f"the cat {n}"}], "chosen": said, "rejected": other} for n in range(count)
    ]


def test_chats_for_a_model_without_a_template_are_a_guess_until_it_is_confirmed(tmp_path):
    path = str(chat_model(tmp_path / "base"))
    for template, guessed in (("auto", True), ("plain", False)):
        facts = preflight(planted.config_for(tmp_path, chats(40), data={"template": template}))
        assert ("template" in named(facts)) is guessed
        assert (facts.template.kind, facts.template.wraps) == ("plain", "turns")
    dialogue = [
        {"chosen": f"\n\nHuman: q{n}\n\nAssistant: a", "rejected": f"\n\nHuman: q{n}\n\nAssistant: b"}
        for n in range(40)
    ]
    facts = preflight(planted.config_for(tmp_path, dialogue, model={"path": path}))
    assert facts.template.wraps == "dialogues" and "template" not in named(facts)


def test_texts_without_a_space_between_prompt_and_answer_are_warned_of(tmp_path):
    model = {"path": str(chat_model(tmp_path / "base"))}
    for space, warned in (("", True), (" ", False)):
        rows = [{"prompt": f"the cat {n}", "chosen": f"{space}sat", "rejected": f"{space}on"} for n in range(40)]
        facts = preflight(planted.config_for(tmp_path, rows, model=model))
        assert ("run_together" in named(facts)) is warned


def test_the_template_in_use_is_named_and_what_it_does_is_told(tmp_path):
    path = str(chat_model(tmp_path / "base", chat_template=CHATML))
    facts = preflight(planted.config_for(tmp_path, chats(40), model={"path": path}))
    assert facts.template.kind == "model" and facts.template.first_line.startswith("{% for m in messages %}")
    assert (facts.template.prefix_broken, facts.template.prefaced) == (0, 0)

    broken = tmp_path / "broken.jinja"
    broken.write_text(CHATML.replace("assistant\n{% endif", "assistant\n<think>{% endif"))
    facts = preflight(planted.config_for(tmp_path, chats(40), data={"template": str(broken)}))
    assert facts.template.prefix_broken == 40 and facts.template.path == str(broken)
    assert facts.problems[0].code == "data.template_prefix" and facts.problems[0].where.endswith("rows.jsonl:1")

    preface = tmp_path / "preface.jinja"
    preface.write_text(CHATML.replace("{{ m.content }}", "{{ '(thinking) ' if m.role == 'assistant' }}{{ m.content }}"))
    facts = preflight(planted.config_for(tmp_path, chats(40), data={"template": str(preface)}))
    assert facts.template.prefaced == facts.rows.train


def test_a_begin_token_that_stands_twice_is_warned_of(tmp_path):
    base = save_model(tmp_path / "base", planted.WORDS)
    config = planted.config_for(tmp_path, planted.pairs(60), data={"template": str(tmp_path / "twice.jinja")})
    (tmp_path / "twice.jinja").write_text(
        "<s> <s> {% for m in messages %}{{ m.content }} {% if m.role == 'assistant' %}</s>{% endif %}{% endfor %}"
    )
    assert base.exists() and "begin_token" in named(preflight(config))


def test_kto_with_one_held_out_prompt_says_that_there_is_no_evaluation(tmp_path):
    other = write_rows(tmp_path / "eval.jsonl", planted.ratings(1, seed=5))
    rows = planted.ratings(60)
    facts = preflight(planted.config_for(tmp_path, rows, loss={"name": "kto"}, data={"eval": str(other)}))
    assert facts.problems == ()
    (warning,) = [each for each in facts.warnings if each.name == "held_out"]
    assert "fewer than two prompts" in warning.what


def test_a_model_whose_settings_do_not_name_its_end_is_warned_of(tmp_path):
    path = chat_model(tmp_path / "base", chat_template=CHATML)
    settings = json.loads((path / "generation_config.json").read_text())
    (path / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": 0}))
    facts = preflight(planted.config_for(tmp_path, chats(40), model={"path": str(path)}))
    assert not facts.end.generation and "generation_end" in named(facts)


# For programs.


def test_every_key_of_the_json_is_explained(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "check.md").read_text(encoding="utf-8")
    facts = preflight(planted.config_for(tmp_path, BAD)).to_json()

    def keys(value):
        if isinstance(value, dict):
            for key, below in value.items():
                yield key
                yield from keys(below)
        elif isinstance(value, list | tuple):
            for each in value:
                yield from keys(each)

    assert json.loads(json.dumps(facts, allow_nan=False)).keys() == facts.keys()
    assert [key for key in dict.fromkeys(keys(facts)) if f"`{key}`" not in page] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "sections", "says"),
    [
        ("hh_harmless.jsonl.gz", {}, ("dialogue", 1381, {"data.diverge": 3, "data.empty": 1}, "data.empty", ":61")),
        (
            "llmbar.jsonl.gz",
            {"data": {"columns": {"chosen": "a", "rejected": "b", "winner": "human"}}},
            ("preference", 698, {"data.identical": 1}, "data.identical", ":504"),
        ),
        ("llamafactory_demo/kto_en_demo.json.gz", {"loss": {"name": "kto"}}, ("rating", 300, {}, None, "")),
        ("llamafactory_demo/dpo_en_demo.json.gz", {}, ("preference", 300, {}, None, "")),
    ],
)
def test_real_files_have_the_right_story(shared_data, monkeypatch, file, sections, says):
    monkeypatch.setattr("prefsmith.preflight.work.PATIENCE", 0.0)  # the pace is of no interest here
    kind, rows, refused, code, place = says
    sections = {**sections, "data": {"train": str(shared_data / file), **sections.get("data", {})}}
    model = {"path": str(shared_data / "weights" / "stories260K")}
    facts = preflight(RunConfig.model_validate({"model": model, **sections, "train": {"max_steps": 1}}))
    assert facts.rows.files[0].recognised.startswith(f"{kind} rows") and facts.rows.files[0].rows == rows
    assert {each.code: each.count for each in facts.refused} == refused
    assert [each.code for each in facts.problems] == ([code] if code else [])
    assert facts.problems == () or facts.problems[0].where.endswith(place)
    assert len(facts.examples) == 3 and facts.begin.present == facts.begin.rows
