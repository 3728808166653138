"""What contradicts what: pairs, cycles, ties, ratings and lists; and what does not."""

from itertools import combinations, permutations
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_faults import write

from prefsmith.audit.contradictory import Contradictory
from prefsmith.audit.cycles import find_cycles
from prefsmith.audit.run import audit


def found_in(tmp_path, rows, part="train"):
    files = [(write(tmp_path / "rows.jsonl", rows), part)]
    if part == "other":
        files.insert(0, (write(tmp_path / "train.jsonl", [pair("p", "x", "y")]), "train"))
    result = audit(files, [Contradictory()])
    return {finding.code.partition(".")[2]: finding for finding in result.findings}


def counts(found):
    return {code: finding.count for code, finding in found.items()}


def pair(prompt, chosen, rejected, **more):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


def test_the_minority_is_left_out_and_both_where_there_is_none(tmp_path):
    rows = [pair("p", "a", "b"), pair("p", "a", "b"), pair("p", "b", "a"), pair("q", "a", "b"), pair("q", "b", "a")]
    found = found_in(tmp_path, rows)
    assert counts(found) == {"both_ways": 5}
    assert found["both_ways"].numbers == {"pairs": 2, "without_majority": 1}
    assert found["both_ways"].proposal.rows.tolist() == [2, 3, 4]


def test_other_prompts_and_the_same_label_again_are_no_contradiction(tmp_path):
    assert found_in(tmp_path, [pair("p", "a", "b"), pair("q", "b", "a"), pair("p", "a", "b")]) == {}


def test_a_probability_below_one_half_turns_a_pair_round(tmp_path):
    assert found_in(tmp_path, [pair("p", "a", "b", prob=0.2), pair("p", "b", "a", prob=0.9)]) == {}
    assert counts(found_in(tmp_path, [pair("p", "a", "b", prob=0.8), pair("p", "b", "a", prob=0.9)])) == {
        "both_ways": 2
    }
    assert counts(found_in(tmp_path, [pair("p", "a", "b", prob=0.5), pair("p", "b", "a", prob=0.9)])) == {
        "tie_and_win": 2
    }


def test_a_cycle_needs_three_and_one_prompt(tmp_path):
    round_ = [pair("p", "a", "b"), pair("p", "b", "c"), pair("p", "c", "a")]
    found = found_in(tmp_path, [*round_, pair("p", "a", "d"), pair("q", "a", "b")])
    assert counts(found) == {"cycle": 3, "both_sides": 3}
    assert found["cycle"].numbers["cyclic_triples"] == 1 and found["cycle"].numbers["of_comparisons"] == 5
    ordered = [pair("p", "a", "b"), pair("p", "b", "c"), pair("p", "a", "c"), pair("q", "c", "a")]
    assert counts(found_in(tmp_path, ordered)) == {"both_sides": 1}


def test_an_edge_with_a_majority_counts_once_in_a_cycle(tmp_path):
    rows = [pair("p", "a", "b"), pair("p", "a", "b"), pair("p", "b", "a"), pair("p", "b", "c"), pair("p", "c", "a")]
    found = found_in(tmp_path, rows)
    assert (found["cycle"].count, found["cycle"].numbers["comparisons"]) == (5, 3)
    even = [pair("p", "a", "b"), pair("p", "b", "a"), pair("p", "b", "c"), pair("p", "c", "a")]
    assert "cycle" not in found_in(tmp_path, even), "nobody is ahead of whom a pair is even"


def test_scores_that_are_equal_or_say_the_opposite(tmp_path):
    def scored(prompt, better, worse):
        return pair(prompt, "a", "b", score_chosen=better, score_rejected=worse)

    rows = [scored("p", 2, 1), scored("q", 1, 1), scored("r", 1, 2), scored("s", 3, 2)]
    assert counts(found_in(tmp_path, rows)) == {"tie_as_win": 1, "against_scores": 1}
    wrong_way = found_in(tmp_path, [scored(str(n), 1, 2) for n in range(5)])["against_scores"]
    assert wrong_way.severity == "error" and wrong_way.proposal is None, "the columns are meant the other way"
    tied = [{**scored("p", 1, 1), "prob": 0.5}]
    assert found_in(tmp_path, tied) == {}


def test_lists_contradict_pairs_and_each_other_and_are_not_left_out(tmp_path):
    def ranked(prompt, *scores):
        return {"prompt": prompt, "completions": ["a", "b", "c"][: len(scores)], "scores": list(scores)}

    assert found_in(tmp_path, [ranked("p", 3, 2, 1), ranked("q", 1, 2, 3)]) == {}, "a list is in order with itself"
    found = found_in(tmp_path, [ranked("p", 3, 2, 1), ranked("p", 2, 3, 1)])
    assert counts(found) == {"both_ways": 2}
    assert len(found["both_ways"].proposal) == 0, "the rest of a list may be right"
    tied = found_in(tmp_path, [ranked("p", 3, 3), ranked("p", 2, 1)])
    assert counts(tied) == {"tie_and_win": 2}


def test_ratings(tmp_path):
    def rated(prompt, label):
        return {"prompt": prompt, "completion": "a", "label": label}

    rows = [rated("p", True), rated("p", True), rated("p", False), rated("q", True)]
    found = found_in(tmp_path, rows)
    assert counts(found) == {"rated_both_ways": 3}
    assert found["rated_both_ways"].proposal.rows.tolist() == [2]


def test_files_that_are_not_trained_on_do_not_count(tmp_path):
    assert found_in(tmp_path, [pair("p", "a", "b"), pair("p", "b", "a")], part="other") == {}


def test_scores_of_other_files_hide_no_columns_that_are_the_wrong_way_round(tmp_path):
    def scored(name, better, worse, many):
        rows = [pair(f"{name}{n}", "a", "b", score_chosen=better, score_rejected=worse) for n in range(many)]
        return write(tmp_path / f"{name}.jsonl", rows)

    files = [(scored("train", 1, 2, 8), "train"), (scored("other", 2, 1, 30), "other")]
    (found,) = [each for each in audit(files, [Contradictory()]).findings if each.code.endswith("against_scores")]
    assert (found.count, found.of, found.severity, found.proposal) == (8, 8, "error", None)


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda edge: edge[0] != edge[1]), max_size=16))
def test_edges_on_cycles_and_triples_are_those_of_a_search(found):
    edges = sorted({edge for edge in found if edge[::-1] not in found or edge < edge[::-1]})
    better, worse = np.array([*zip(*edges, strict=True)] or [[], []], dtype=np.uint64)
    cycles = find_cycles(better, worse, np.zeros(len(edges), dtype=np.uint64))

    def reached(start):
        seen, new = set(), {start}
        while new:
            seen |= new
            new = {worse for better, worse in edges if better in seen} - seen
        return seen

    assert cycles.edges.tolist() == [first in reached(second) for first, second in edges]
    if cycles.edges.any():
        triples = list(combinations(range(7), 3))
        has = set(edges)
        going_round = sum(
            any({(a, b), (b, c), (c, a)} <= has for a, b, c in permutations(triple)) for triple in triples
        )
        compared = sum(all(({each, each[::-1]} & has) for each in combinations(triple, 2)) for triple in triples)
        assert (cycles.cyclic, cycles.transitive) == (going_round, compared - going_round)


@pytest.mark.parametrize("length", [3, 40, 257])
def test_a_long_cycle_is_found(length):
    nodes = np.arange(length, dtype=np.uint64)
    cycles = find_cycles(nodes, np.roll(nodes, -1), np.zeros(length, dtype=np.uint64))
    assert cycles.edges.all(), f"{log2(length):.1f} doublings"
