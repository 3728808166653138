"""Signatures and bands find what is nearly the same, and nothing else."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_faults import WORDS

from prefsmith.audit import near
from prefsmith.audit.near import NEAR, Clusters, Signer, banded, near_clusters, shared, shingles

TEXTS = st.lists(st.sampled_from(WORDS[:9]), max_size=12).map(" ".join)


def triples(text):
    words = text.lower().split()
    return {tuple(words[n : n + 3]) for n in range(len(words) - 2)} if len(words) > 2 else {tuple(words)} - {()}


@given(TEXTS, TEXTS)
def test_what_two_texts_share_is_the_jaccard_index_of_their_triples(first, second):
    one, other = triples(first), triples(second)
    expected = len(one & other) / len(one | other) if one | other else 1.0
    assert shared(shingles(first), shingles(second)) == pytest.approx(expected)


def test_order_of_words_counts_and_capitals_and_marks_do_not():
    assert shared(shingles("one two three"), shingles("three two one")) == 0
    assert shared(shingles("yes no"), shingles("no yes")) == 0
    assert shared(shingles("One, two: THREE!"), shingles("one two three")) == 1


def test_texts_without_spaces_have_words_too():
    first = "\u4eca\u5929\u5929\u6c14\u5f88\u597d\u6211\u4eec\u53bb\u516c\u56ed\u73a9\u5427"
    assert len(shingles(first)) == len(first) - 2
    assert shared(shingles(first), shingles(first[:-1] + "\u561b")) > 0.7


def test_the_signature_of_two_texts_is_the_smaller_of_both():
    signer = Signer()
    one, other = shingles("a b c d e f"), shingles("u v w x y z")
    both = signer.sign(np.union1d(one, other))
    assert np.array_equal(np.minimum(signer.sign(one), signer.sign(other)), both)
    assert not np.array_equal(signer.sign(one), both)


def clusters_of(texts):
    signer, sets = Signer(), [shingles(text) for text in texts]
    bands, sketches = banded([signer.sign(each) for each in sets])
    asked = []

    def same(first, second):
        asked.append((first, second))
        return shared(sets[first], sets[second]) >= NEAR

    found = near_clusters(lambda band: bands[:, band], sketches, same)
    assert found.estimated == 0
    return found.roots, asked


def test_all_pairs_of_real_neighbours_are_found_and_few_others_are_looked_at():
    draw = random.Random(0)
    texts, expected = [], []
    for number in range(300):
        words = draw.choices(WORDS, k=40)
        texts += [" ".join(words)]
        expected += [len(texts) - 1]
        if number % 5 == 0:
            words[draw.randrange(40)] = "changed"  # shares 35 of 41 triples
            texts += [" ".join(words)]
            expected += [expected[-1]]
    found, asked = clusters_of(texts)
    assert found.tolist() == expected
    assert len(asked) < 2 * 60, "of 64,620 pairs"


def test_many_equal_texts_are_one_set_without_all_pairs():
    found, asked = clusters_of(["the very same words again"] * 500)
    assert set(found) == {0} and len(asked) == 499


def test_texts_of_one_template_are_told_apart_by_signatures_when_there_are_too_many(monkeypatch):
    draw = random.Random(1)
    template = draw.choices(WORDS, k=40)
    texts = [" ".join([*template, *draw.choices(WORDS, k=9)]) for _ in range(150)]  # two of them share 38 of 56 triples
    sets = [shingles(text) for text in texts]
    assert max(shared(sets[0], other) for other in sets[1:]) < NEAR
    monkeypatch.setattr(near, "MOST_COMPARED", 20)
    signer, asked = Signer(), []
    bands, sketches = banded([signer.sign(each) for each in sets])
    found = near_clusters(lambda band: bands[:, band], sketches, lambda *pair: asked.append(pair) or False)
    assert len(asked) == 20
    assert found.estimated == 150 - len(set(found.roots)), "each that is joined is counted"


def test_texts_without_words_are_no_trouble():
    found, _ = clusters_of(["", "...", "one two three four"])
    assert found.tolist() == [0, 0, 2]
    assert clusters_of([])[0].tolist() == [] and clusters_of(["alone"])[0].tolist() == [0]


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20))
def test_sets_join_as_a_graph_does(pairs):
    clusters, expected = Clusters(12), list(range(12))
    for first, second in pairs:
        clusters.join(first, second)
        low, high = sorted((expected[first], expected[second]))
        expected = [low if each == high else each for each in expected]
    assert clusters.roots().tolist() == expected
