"""Rows on the disk are to everything that reads them what a list of groups is."""

import numpy as np
import pytest
from tiny import byte_tokenizer, write_rows

from prefsmith.config import DataConfig
from prefsmith.data.encode import Encoder
from prefsmith.data.encoded_rows import Selection, labels_in, longest_of, prompt_key_of, tokens_of
from prefsmith.data.pack import plan, shares
from prefsmith.data.prepare import Preparation, encoded_digest
from prefsmith.data.render import Renderer
from prefsmith.data.stream import Stream, WithMismatched
from prefsmith.data.views import Wanted


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Ranked rows of two or three answers, of which a loss of pairs reads the best and the worst; prompts repeat."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    answers = [" sat", " on the mat", " the"]
    rows = [(f"the cat {n % 7} {'s' * (n % 5)}", 2 + n % 2) for n in range(60)]
    write_rows(path, [{"prompt": p, "completions": answers[:n], "scores": [1, 3, 2][:n]} for p, n in rows])
    config = DataConfig(train=str(path), cache="none", pairs="best_worst", eval_fraction=0.3)
    preparation = Preparation(config, [Wanted("dpo", "pairwise"), Wanted("kto", "unpaired")], lambda _: None)
    tokenizer = byte_tokenizer()
    encoder = Encoder(tokenizer, Renderer(tokenizer), max_length=30)
    return preparation.encode(encoder, preparation.read(None)), encoder


def test_numbers_are_those_of_the_groups(sides):
    rows = sides[0].train
    groups = list(rows)
    assert len(groups) == len(rows) > 10 and rows[-1] == groups[-1] and rows[2:5] == groups[2:5]
    assert rows[0].group.source.endswith(":1") and any(len(each.completions) == 2 for each in groups)
    for count in (tokens_of, longest_of, labels_in):
        assert count(rows).tolist() == count(groups).tolist()
    assert tokens_of(rows).tolist() == [group.tokens for group in groups]
    assert encoded_digest(rows) == encoded_digest(groups) != encoded_digest(groups[::-1])
    with pytest.raises(IndexError):
        rows[len(rows)]


def test_prompts_are_told_apart_as_by_their_text(sides):
    rows = sides[0].train
    texts = [rows[index].group.prompt for index in range(len(rows))]
    keys = [prompt_key_of(rows, index) for index in range(len(rows))]
    for one, first in enumerate(texts):
        assert [key == keys[one] for key in keys] == [text == first for text in texts]


@pytest.mark.parametrize("budget", [1, 60, 10**6])
def test_micro_batches_are_the_same(sides, budget):
    rows = sides[0].train
    assert plan(rows, budget) == plan(list(rows), budget)
    assert shares(rows, max(budget, 60), 2) == shares(list(rows), max(budget, 60), 2)


def test_steps_are_the_same(sides):
    (encoded, encoder), settings = sides, {"pairs_per_step": 7, "epochs": 2, "seed": 1}
    for add in (None, encoder.add_mismatched):
        one, two = (Stream(each, **settings, add_mismatched=add) for each in (encoded.train, list(encoded.train)))
        assert list(one.plan) == list(two.plan) and list(one.steps(2)) == list(two.steps(2))
    held = encoded.held_out
    assert list(WithMismatched(held, encoder.add_mismatched)) == list(
        WithMismatched(list(held), encoder.add_mismatched)
    )


def test_a_selection_is_of_all_sources(sides):
    train, held = sides[0].train, sides[0].held_out
    both = [*train, *held]
    assert list(Selection([train, held])) == both and len(held) > 1
    places = [len(both) - 1, 0, len(train), len(train) - 1]
    chosen = Selection([train, held], places)
    assert list(chosen) == [both[place] for place in places] == chosen[:]
    assert tokens_of(chosen).tolist() == [both[place].tokens for place in places]
    assert plan(chosen, 60) == plan(list(chosen), 60)
    assert len(Selection([train, []], [])) == 0 and np.array_equal(tokens_of(Selection([held])), tokens_of(held))
