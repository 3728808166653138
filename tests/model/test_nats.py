"""The table of log-probabilities and its file: found by what a completion is, trusted only if nothing changed."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny import encoded_groups

from prefsmith.data.pack import pack
from prefsmith.model.nats import NatsTable, key_of, keys_of, read_table, write_table

IDS = st.lists(st.integers(0, 9), min_size=1, max_size=4)
FACTS = {"sha256": "abc", "path": "shared"}


def table(*entries, dtype=torch.float32):
    made = NatsTable()
    for key, nats in entries:
        made.put([key], [len(nats)], torch.tensor(nats, dtype=dtype))
    return made


A, B = (key_of([1], [ids, 2], 0) for ids in (5, 6))


@given(IDS, IDS, IDS, IDS, st.integers(0, 1), st.integers(0, 1))
def test_two_completions_have_one_key_only_if_they_are_the_same(prompt, answer, other_prompt, other, skip, other_skip):
    same = (prompt, answer, skip) == (other_prompt, other, other_skip)
    assert (key_of(prompt, answer, skip) == key_of(other_prompt, other, other_skip)) is same


def test_the_border_between_prompt_and_completion_counts():
    assert key_of([1, 2], [3], 0) != key_of([1], [2, 3], 0) != key_of([1], [2, 3], 1)


def test_a_batch_and_its_groups_name_their_completions_alike():
    groups = encoded_groups(5, kind="pairwise")
    keys = keys_of(pack(groups))
    assert keys == [key_of(group.prompt, each.ids, each.unscored) for group in groups for each in group.completions]
    assert len(set(keys)) == len(keys)


def test_numbers_come_back_in_the_order_they_are_asked_for():
    known = table((A, [-1.0, -2.0]), (B, [-3.0]))
    assert known.get([B, A, B]).tolist() == [-3.0, -1.0, -2.0, -3.0]
    assert known.get([A]).dtype == torch.float64 and known.lengths([B, A]) == [1, 2]
    with pytest.raises(KeyError):
        known.get([key_of([9], [9], 0)])


def test_what_is_known_stays_as_it_is():
    known = table((A, [-1.0, -2.0]))
    known.join(table((A, [-9.0, -9.0]), (B, [-3.0])))
    assert known.get([A, B]).tolist() == [-1.0, -2.0, -3.0]
    known.put([A], [2], torch.tensor([-9.0, -9.0]))
    assert known.get([A]).tolist() == [-1.0, -2.0]


@pytest.mark.parametrize(("nats", "narrow"), [([-1.25], True), ([-0.1], False)])
def test_numbers_lose_nothing_in_memory_nor_in_a_file(tmp_path, nats, narrow):
    known = table((A, nats), dtype=torch.float64)
    assert known.get([A]).tolist() == nats
    write_table(tmp_path / "a.safetensors", known, FACTS)
    assert read_table(tmp_path / "a.safetensors", FACTS).get([A]).tolist() == nats
    assert (load_file(tmp_path / "a.safetensors")["nats"].dtype == torch.float32) is narrow


def test_the_same_completions_have_one_digest_whatever_their_order():
    one, two = (table(*each).only([A, B]) for each in ([(A, [-1.0]), (B, [-3.0])], [(B, [-3.0]), (A, [-1.0])]))
    assert one.digest() == two.digest() != table((A, [-1.0]), (B, [-4.0])).only([A, B]).digest()
    assert len(one.only([A])) == 1 and len(one.only([])) == 0


def test_an_empty_table_is_a_file_too(tmp_path):
    write_table(tmp_path / "none", NatsTable(), FACTS)
    assert len(read_table(tmp_path / "none", FACTS)) == 0


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def flipped(path):
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def foreign(path):
    save_file({"weight": torch.zeros(2)}, path)


def garbage(path):
    path.write_text("not a file of tensors")


@pytest.mark.parametrize(
    ("harm", "message"),
    [(cut, "damaged"), (flipped, "digest"), (foreign, "format None"), (garbage, "damaged")],
)  # fmt: skip
def test_a_file_that_changed_is_not_read(tmp_path, harm, message):
    path = tmp_path / "table.safetensors"
    write_table(path, table((A, [-1.0])), FACTS)
    harm(path)
    with pytest.raises(ValueError, match=message):
        read_table(path, FACTS)


@pytest.mark.parametrize("number", [math.nan, -math.inf])
def test_a_file_with_a_number_that_is_not_finite_is_not_read(tmp_path, number):
    write_table(tmp_path / "table", table((A, [-1.0]), (B, [-2.0, number])), FACTS)
    with pytest.raises(ValueError, match="not finite"):
        read_table(tmp_path / "table", FACTS)


def test_numbers_of_another_model_are_not_read(tmp_path):
    write_table(tmp_path / "table", table((A, [-1.0])), FACTS)
    with pytest.raises(ValueError, match="another model"):
        read_table(tmp_path / "table", {**FACTS, "sha256": "abd"})
