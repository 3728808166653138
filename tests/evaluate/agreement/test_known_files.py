"""Files that others published: every number that was worked out for them by another program."""

import ast
import re
from functools import cache

import pytest

from prefsmith.data.votes.read import read_judgements
from prefsmith.evaluate.agreement import measure
from prefsmith.evaluate.agreement.figure import Gauge

GAUGE = Gauge(draws=20)  # values do not depend on the draws; intervals are tested elsewhere


@cache
def section(file, name):
    """The lines of a section of the list of numbers."""
    text = file.read_text(encoding="utf-8")
    found = re.search(rf"^## {name}\b.*?\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"no section {name}"
    return found[1].splitlines()


@cache
def judgements(folder, name):
    return read_judgements(folder / f"{name}.jsonl.gz")


@cache
def measured(folder, name):
    return measure(judgements(folder, name), GAUGE)


def one(lines, pattern):
    """The groups of the only line that holds the pattern."""
    found = [match for line in lines if (match := re.search(pattern, line))]
    assert len(found) == 1, (pattern, len(found))
    return found[0].groups()


def same(figure, text):
    """As printed there, to its last digit."""
    digits = len(text.partition(".")[2])
    assert figure.value == pytest.approx(float(text), abs=0.501 * 10**-digits), (figure, text)


def counts_of(text, **names):
    """A printed Counter with our names of its labels."""
    found = ast.literal_eval(text.removeprefix("Counter(").removesuffix(")"))
    return {
        names.get(str(key), {"a": "first", "b": "second"}.get(key, str(key))): value for key, value in found.items()
    }


def positive(counts):
    return {name: number for name, number in counts.items() if number}


def same_lengths(lengths, text, pairs):
    """mean, median, 5 % and 95 % of the words, and the most; there a quantile is the next length, here the last one."""
    mean, median, low, high, most = map(
        float, re.search(r"mean ([\d.]+) median (\d+) p05 (\d+) p95 (\d+) max (\d+)", text).groups()
    )
    every = sorted(length for pair in pairs for length in pair.lengths)
    assert (every[int(0.05 * len(every))], every[int(0.95 * len(every))]) == (low, high)
    assert (
        lengths.p05 in every[int(0.05 * len(every)) - 1 :][:2]
        and lengths.p95 in every[int(0.95 * len(every)) - 1 :][:2]
    )
    assert lengths.mean == pytest.approx(mean, abs=0.051) and lengths.answers == len(every)
    assert (lengths.median, lengths.longest) == (pytest.approx(median, abs=0.5), most)


def judge_of(part, name):
    return next(each for each in part.judges if each.name == name)


def test_pandalm(shared_data):
    lines, found = section(shared_data / "ORACLES_dev.txt", "pandalm"), measured(shared_data, "pandalm")
    people = found.whole.people
    items, votes, each = one(lines, r"items (\d+) votes (Counter\(.*?\)) annotators per item Counter\((.*?)\)")
    assert found.whole.pairs == found.rows == int(items) and people.votes_per_pair == ast.literal_eval(each)
    assert positive(people.votes) == counts_of(votes)
    unanimous, split, apart = map(int, one(lines, r"unanimous (\d+) 2-1 (\d+) all different (\d+)"))
    assert (people.unanimous, people.majority["none"]) == (unanimous, apart)
    assert found.whole.pairs - unanimous - apart == split
    agreement, twos, alpha = one(lines, r"pairwise agreement ([\d.]+) over (\d+) krippendorff nominal ([\d.]+)")
    same(people.agreement, agreement)
    same(people.alpha, alpha)
    assert people.agreement.n == int(twos)
    assert positive(people.majority) == counts_of(one(lines, r"^majority (Counter\(.*?\))")[0])


def test_pandalm_two_by_two(shared_data):
    lines, found = section(shared_data / "ORACLES_dev.txt", "pandalm"), measured(shared_data, "pandalm")
    printed = [
        match.groups() for line in lines if (match := re.search(r"annotator (\d) (\d) agree (\S+) kappa (\S+)", line))
    ]
    assert len(printed) == len(found.between_people) == 3
    for (first, second, agreement, kappa), between in zip(printed, found.between_people, strict=True):
        assert (between.first, between.second) == (f"annotator{first}", f"annotator{second}")
        same(between.agreement, agreement)
        same(between.kappa, kappa)


@pytest.mark.parametrize("name", ["gpt-3.5-turbo", "pandalm-7b"])
def test_pandalm_judges(shared_data, name):
    lines, found = section(shared_data / "ORACLES_dev.txt", "pandalm"), measured(shared_data, "pandalm")
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{name} verdicts"))
    head, *below = lines[start : start + 5]
    judge = judge_of(found.whole, name)
    votes, hits, n, share, kappa, low, high = re.search(
        r"verdicts (Counter\(.*?\)) accuracy vs majority (\d+)/(\d+) = (\S+) kappa (\S+) wilson95 ([\d.]+)-([\d.]+)",
        head,
    ).groups()
    assert positive(judge.votes) == counts_of(votes, **{"invalid:garbage": "invalid"})
    assert (judge.majority.hits, judge.majority.n) == (int(hits), int(n))
    same(judge.majority, share)
    same(judge.kappa, kappa)
    assert judge.majority.alone == (pytest.approx(float(low), abs=6e-5), pytest.approx(float(high), abs=6e-5))
    plain = one(below, r"non-tie both: (\d+)/(\d+) = (\S+)")
    assert (judge.majority_without_ties.hits, judge.majority_without_ties.n) == (int(plain[0]), int(plain[1]))
    same(judge.majority_without_ties, plain[2])
    for person, figure in ((each.name, each.agreement) for each in judge.people):
        same(figure, one(below, rf"vs {person} (\S+)")[0])
    assert len(judge.people) == 3


def test_pandalm_lengths(shared_data):
    lines, found = section(shared_data / "ORACLES_dev.txt", "pandalm"), measured(shared_data, "pandalm")
    wins, decided, equal = map(int, one(lines, r"longer wins \(majority a/b\): (\d+)/(\d+), equal length (\d+)"))
    length, strange = found.whole.length, one(lines, r"non-string responses (\[.*?\])")[0]
    unknown = ast.literal_eval(strange)
    assert length.unknown == len(unknown) == 6 and found.whole.lengths.unknown == 6
    assert length.longer == wins and length.longer + length.shorter + length.equal + length.unknown == decided
    # There `true` counts as a word: four of the six stand beside another answer of one word.
    assert equal - length.equal == 4
    words = found.whole.lengths
    mean, prompts = one(lines, r"response words mean ([\d.]+).*unique prompts (\d+)")
    assert (words.mean * words.answers + words.unknown) / (words.answers + words.unknown) == pytest.approx(
        float(mean), abs=0.05
    )
    assert (words.median, words.p05, words.p95, words.longest) == (20, 1, 104, 216)
    assert found.whole.prompts == int(prompts)
    note = next(note for note in found.notes if "JSON values" in note["what"])
    assert note["count"] == 6 and len(note["places"]) == 6 and "is true" in note["places"][0]


def test_pandalm_methods(shared_data):
    lines, found = section(shared_data / "ORACLES_dev.txt", "pandalm"), measured(shared_data, "pandalm")
    printed = {
        ast.literal_eval(match[1]): ast.literal_eval(match[2])
        for line in lines
        if (match := re.match(r"\s+(\('.*?\)) (\{.*\})", line))
    }
    assert len(printed) == len(found.matchups) == 10
    for each in found.matchups:
        names = {"wins": "a", "losses": "b", "ties": "tie", "none": None}
        sides = (each.method, each.against)
        if sides not in printed:
            sides, names = sides[::-1], {**names, "wins": "b", "losses": "a"}
        assert {names[name]: number for name, number in each.majority.items()} == printed[sides]


def test_mtbench(shared_data):
    lines, found = section(shared_data / "ORACLES_dev.txt", "mtbench_multi"), measured(shared_data, "mtbench_multi")
    people = found.whole.people
    items, annotators, each, votes = one(
        lines, r"items (\d+) annotators (\d+) votes per item Counter\((.*?)\) votes (.*)"
    )
    assert (found.whole.pairs, people.annotators) == (int(items), int(annotators))
    assert people.votes_per_pair == ast.literal_eval(each) and positive(people.votes) == counts_of(votes)
    agreement, twos, alpha = one(lines, r"^pairwise agreement (\S+) over (\d+) krippendorff (\S+)")
    same(people.agreement, agreement)
    same(people.alpha, alpha)
    plain, fewer = one(lines, r"^non-tie pairwise agreement (\S+) over (\d+)")
    same(people.without_ties, plain)
    assert (people.agreement.n, people.without_ties.n) == (int(twos), int(fewer))
    assert people.majority == counts_of(one(lines, r"^majority (Counter\(.*?\))")[0], **{"None": "none"})
    assert people.fleiss.value is None and "2, 3" in people.fleiss.why


def test_mtbench_judges(shared_data):
    lines, found = section(shared_data / "ORACLES_dev.txt", "mtbench_multi"), measured(shared_data, "mtbench_multi")
    pattern = (
        r"^\s+(\S+): verdicts (\{.*?\}) acc vs majority (\d+)/(\d+)=(\S+) kappa (\S+); non-tie (\d+)/(\d+)=(\S+); "
        r"vs single votes (\S+) \(n (\d+)\), non-tie (\S+) \(n (\d+)\)"
    )
    printed = [match.groups() for line in lines if (match := re.search(pattern, line))]
    assert len(printed) == len(found.whole.judges) == 6
    for name, votes, hits, n, share, kappa, plain_hits, plain_n, plain, single, votes_n, tieless, tieless_n in printed:
        judge = judge_of(found.whole, name)
        assert positive(judge.votes) == counts_of(votes)
        assert (judge.majority.hits, judge.majority.n) == (int(hits), int(n))
        assert (judge.majority_without_ties.hits, judge.majority_without_ties.n) == (int(plain_hits), int(plain_n))
        assert (judge.single.n, judge.single_without_ties.n) == (int(votes_n), int(tieless_n))
        figures = (judge.majority, judge.kappa, judge.majority_without_ties, judge.single, judge.single_without_ties)
        for figure, text in zip(figures, (share, kappa, plain, single, tieless), strict=True):
            same(figure, text)


def test_autoj(shared_data):
    lines, found = section(shared_data / "ORACLES_dev.txt", "autoj_pairwise"), measured(shared_data, "autoj_pairwise")
    pairs, labels, scenarios = one(lines, r"^(\d+) (Counter\(.*?\)) scenarios (\d+)")
    people = found.whole.people
    assert found.whole.pairs == int(pairs) and len(found.categories) == int(scenarios)
    assert positive(people.votes) == positive(people.majority) == counts_of(labels)
    wins, decided, equal = map(int, one(lines, r"longer \(words\) wins (\d+)/(\d+) equal (\d+)"))
    length = found.whole.length
    assert (length.longer, length.longer + length.shorter + length.equal, length.equal) == (wins, decided, equal)
    same_lengths(found.whole.lengths, one(lines, r"(words mean .*? max \d+)")[0],
                 judgements(shared_data, "autoj_pairwise").pairs)  # fmt: skip
    assert found.whole.prompts == int(one(lines, r"unique prompts (\d+)")[0])
    summaries = {each.value: each.part.pairs for each in found.categories}["post_summarization"]
    assert summaries == int(one(lines, r"summaries (\d+)")[0])
    assert found.whole.judges == () and any("no annotator in this file is a judge" in each for each in found.warnings)


def test_llmbar_labels_and_lengths(shared_data):
    lines, found = section(shared_data / "ORACLES_dev.txt", "llmbar"), measured(shared_data, "llmbar")
    heads = [match.groups() for line in lines if (match := re.match(r"(\S+) (\d+) label (\{.*?\}) (words .*)", line))]
    parts = {each.value: each.part for each in found.categories}
    assert {name for name, *_ in heads} == set(parts) and len(heads) == 13
    for name, pairs, labels, words in heads:
        assert parts[name].pairs == int(pairs)
        assert positive(parts[name].people.majority) == counts_of(labels)
        tag = f"subset={name}"
        same_lengths(
            parts[name].lengths,
            words,
            [pair for pair in judgements(shared_data, "llmbar").pairs if tag in pair.group.tags],
        )


def twice_invalid(pairs, name, subset):
    """Pairs of a subset on which a judge has no verdict in either order."""
    votes = [
        [vote.verdict for vote in pair.group.votes if vote.annotator == name]
        for pair in pairs
        if f"subset={subset}" in pair.group.tags
    ]
    return votes.count(["invalid", "invalid"])


def test_llmbar_judges_in_both_orders(shared_data):
    lines, found = section(shared_data / "ORACLES_dev.txt", "llmbar"), measured(shared_data, "llmbar")
    parts, part_name, compared = {each.value: each.part for each in found.categories}, "", 0
    numbers = r"n (\d+) acc_orig (\S+) acc_swap (\S+) avg (\S+) both (\S+) consistent (\S+) first-position rate (\S+)"
    pattern = rf"^\s+(\S+): {numbers}"
    for line in lines:
        part_name = head if (head := line.partition(" ")[0]) in parts else part_name
        if match := re.match(pattern, line):
            name, n, *texts = match.groups()
            judge = judge_of(parts[part_name], name)
            place = judge.position
            assert judge.pairs == place.consistent.n == int(n)
            *shares, first = texts
            *shares, consistent = shares
            figures = (place.in_order, place.swapped, judge.majority, place.both_right)
            for figure, text in zip(figures, shares, strict=True):
                same(figure, text)
            # There no verdict both ways is consistent too, and the rate is of all verdicts, the invalid ones too.
            none_twice = twice_invalid(judgements(shared_data, "llmbar").pairs, name, part_name)
            assert (place.consistent.hits + none_twice) / int(n) == pytest.approx(float(consistent), abs=6e-5)
            assert place.first_place / (2 * int(n)) == pytest.approx(float(first), abs=6e-5), (line, judge)
            compared += 1
    assert compared == 50 + 75 + 12


def test_llmbar_counts_beside_the_published_ones(shared_data):
    """The list has the counts of judges that are not in its other lines; those of whole sets stand behind them."""
    lines, found = section(shared_data / "ORACLES_dev.txt", "llmbar"), measured(shared_data, "llmbar")
    part = next(each.part for each in found.categories if each.value == "CaseStudy/Base_10")
    printed = [match.groups() for line in lines if (match := re.search(r"MISMATCH (\S+) (\(.*?\)) ", line))]
    assert len(printed) == 7
    for name, counts in printed:
        place = judge_of(part, name).position
        figures = (place.in_order, place.swapped, place.both_right, place.consistent)
        assert [f"{figure.hits:.0f} / {figure.n}" for figure in figures] == list(ast.literal_eval(counts))


@pytest.mark.slow
def test_crowds(shared_data):
    """Thousands of people with a few votes each, and votes without names."""
    lines, found = section(shared_data / "ORACLES_dev.txt", "ukpconvarg"), measured(shared_data, "ukpconvarg_votes")
    people = found.whole.people
    numbers = r"pairs (\d+) arguments \d+ topics (\d+) annotators (\d+) votes (\d+)"
    pattern = rf"{numbers} (Counter\(.*?\)) per pair Counter\((.*?)\)"
    pairs, topics, annotators, votes, counts, each = one(lines, pattern)
    assert (found.whole.pairs, found.whole.prompts, people.annotators) == (int(pairs), int(topics), int(annotators))
    assert sum(people.votes.values()) == int(votes) and positive(people.votes) == counts_of(counts)
    assert people.votes_per_pair == ast.literal_eval(each)
    agreement, twos, alpha = one(lines, r"pairwise agreement (\S+) over (\d+) krippendorff (\S+)")
    same(people.agreement, agreement)
    same(people.alpha, alpha)
    assert people.agreement.n == int(twos)
    labels, unanimous = one(lines, r"majority (Counter\(.*?\)) unanimous (\d+)")
    assert people.majority == counts_of(labels, **{"None": "none"}) and people.unanimous == int(unanimous)
    assert found.between_people == [] and any("not compared two by two" in each for each in found.warnings)


@pytest.mark.slow
def test_crowds_without_names(shared_data):
    lines, found = section(shared_data / "ORACLES_dev.txt", "crowdpareto"), measured(shared_data, "crowdpareto_votes")
    parts = {each.value: each.part for each in found.categories} | {"None": found.whole}
    pattern = (
        r"^(\S+) pairs (\d+) votes (\d+) (\{.*?\}) per pair (\[.*?\]) pairwise agreement (\S+) over (\d+) kripp (\S+) "
        r"majority (\{.*?\})"
    )
    printed = [match.groups() for line in lines if (match := re.match(pattern, line))]
    assert len(printed) == 4
    for name, pairs, votes, counts, each, agreement, twos, alpha, labels in printed:
        people = parts[name].people
        assert (parts[name].pairs, sum(people.votes.values())) == (int(pairs), int(votes))
        assert positive(people.votes) == counts_of(counts) and people.votes_per_pair == dict(ast.literal_eval(each))
        same(people.agreement, agreement)
        same(people.alpha, alpha)
        assert people.agreement.n == int(twos) and people.majority == counts_of(labels, **{"None": "none"})
    assert found.between_people == [] and any("no names" in each for each in found.warnings)


@pytest.mark.slow
def test_alpaca_eval(shared_data):
    """No number of it is known from elsewhere: what its rows say adds up."""
    found = measured(shared_data, "alpaca_eval_judgments")
    total = {
        name: sum(judge.votes[name] for judge in found.whole.judges) for name in ("first", "second", "tie", "invalid")
    }
    assert sum(total.values()) == found.rows == 61178 and total["tie"] >= 124 and total["invalid"] == 25
    assert found.whole.prompts == 805 and found.whole.people.annotators == 0 and found.unit == "characters"
    assert (
        sum(rate.wins + rate.losses + rate.ties + rate.invalid for each in found.matchups for rate in each.judges)
        == 61178
    )
    assert any("nobody in this file is a person" in each for each in found.warnings)
    assert len(found.between_judges) > 0
