"""All rows are looked at once, in order, whoever looks; files are read as training and agreement read them."""

import json
from dataclasses import dataclass

import pytest
from planted_faults import clean_rows, write

from prefsmith.audit import run
from prefsmith.audit.broken import Broken
from prefsmith.audit.contradictory import Contradictory
from prefsmith.audit.finding import Finding, Proposal
from prefsmith.audit.judged import share_of
from prefsmith.audit.proposals import as_yaml, proposed, within_reason
from prefsmith.audit.reading import HowToRead
from prefsmith.audit.repeated import Repeated
from prefsmith.audit.run import audit
from prefsmith.data.audited import AuditFile
from prefsmith.data.processes import Pool
from prefsmith.data.votes.texts import read_texts
from prefsmith.errors import DataError
from prefsmith.records import Vote


@dataclass(frozen=True)
class Seen:
    """A check that remembers what it saw."""

    kind: str = "seen"

    def look(self, groups):
        return [group.source for group in groups]

    def findings(self, blocks, data):
        everything = [source for block in blocks for source in block]
        numbers = {"sources": everything, "blocks": list(data.blocks), "sizes": [len(block) for block in blocks]}
        yield Finding("seen", "seen.all", "note", "all", len(everything), len(data), numbers=numbers)


def seen(files, **settings):
    result = audit(files, [Seen()], **settings)
    (finding,) = result.findings
    return finding.numbers, result.data


@pytest.fixture
def two_files(tmp_path):
    bad = [{**row, "rejected": row["chosen"]} for row in clean_rows(3, 1)]
    first = write(tmp_path / "a.jsonl", [*clean_rows(10), *bad, *clean_rows(4, 2)])
    return [(first, "train"), (write(tmp_path / "b.jsonl", clean_rows(7, 3)), "eval")]


def test_blocks_end_with_their_file_and_numbers_go_on(two_files, monkeypatch):
    monkeypatch.setattr(run, "AT_ONCE", 6)
    numbers, data = seen(two_files)
    lines = [*range(1, 11), *range(14, 18)]
    assert numbers["sources"] == [f"{two_files[0][0]}:{n}" for n in lines] + [
        f"{two_files[1][0]}:{n}" for n in range(1, 8)
    ]
    assert (numbers["blocks"], numbers["sizes"]) == ([0, 6, 12, 14, 20, 21], [6, 6, 2, 6, 1])
    assert [data.where(row) for row in range(len(data))] == numbers["sources"]
    assert data.part("eval").tolist() == [False] * 14 + [True] * 7
    assert (data.files[0].rows, data.files[1].first, len(data)) == (17, 14, 21)


def test_workers_that_die_are_done_without(two_files, monkeypatch):
    monkeypatch.setattr(run, "AT_ONCE", 2)
    expected, _ = seen(two_files)
    take, said, taken = Pool.results, [], []

    def killing(self, tasks):
        for result in take(self, tasks):
            taken.append(result)
            if len(taken) == 3:
                for process in self._processes:
                    process.kill()
                    process.wait()
            yield result

    monkeypatch.setattr(Pool, "results", killing)
    checks = [Repeated()]
    alone = audit(two_files, checks, workers=0)
    shared = audit(two_files, checks, workers=2, say=said.append)
    assert any("goes on alone" in line for line in said) and len(taken) >= 3
    assert [each.to_json() for each in shared.findings] == [each.to_json() for each in alone.findings]
    assert list(shared.data.blocks) == expected["blocks"], "no block is looked at twice"


def test_one_bad_row_of_many_is_counted(tmp_path):
    rows = [*clean_rows(5000), "{", *clean_rows(5000, 1)]
    _, data = seen([(write(tmp_path / "many.jsonl", rows), "train")])
    assert (data.files[0].rows, len(data), dict(data.files[0].codes)) == (10_001, 10_000, {"data.json": 1})


def test_the_share_of_votes_is_the_label():
    def vote(verdict, left=0):
        return Vote(left, 1 - left, verdict, "someone")

    assert share_of((vote("left"), vote("right"), vote("left"), vote("invalid"))) == pytest.approx(2 / 3)
    assert share_of((vote("tie"), vote("left"))) == 0.75
    assert share_of((vote("left", left=1),)) == 0.0
    assert share_of((vote("invalid"),)) is None and share_of(()) is None


def votes_file(tmp_path):
    votes = [{"annotator": name, "vote": side} for name, side in (("ann", "a"), ("bob", "b"), ("cy", "a"))]
    row = {"topic": "t", "a": "x", "b": "y", "votes": votes}
    return write(tmp_path / "votes.jsonl", [row, {**row, "b": "z"}])


def test_files_of_votes_with_and_without_texts(tmp_path):
    path = votes_file(tmp_path)
    _, data = seen([(path, "train")])
    group = data.group(0)
    assert data.files[0].voted and len(group.votes) == 3
    assert group.comparisons[0].prob == pytest.approx(2 / 3)
    assert [each.text for each in group.completions] == ["", ""]
    assert group.completions[0] != group.completions[1], "names tell them apart"
    texts = write(tmp_path / "texts.jsonl", [{"id": name, "text": f"text of {name}"} for name in "xyz"])
    _, data = seen([(path, "train")], how=HowToRead(texts=read_texts(texts)))
    assert [each.text for each in data.group(1).completions] == ["text of x", "text of z"]


def test_people_make_the_label_and_programs_stay_votes(tmp_path):
    row = {"prompt": "p", "a": "x", "b": "y", "votes": [{"annotator": "ann", "vote": "a"}],
           "judges": {"gpt": "b", "other": "b"}}  # fmt: skip
    _, data = seen([(write(tmp_path / "votes.jsonl", [row]), "train")])
    assert data.group(0).comparisons[0].prob == 1.0 and len(data.group(0).votes) == 3


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "data.no_rows"), ("\n\n", "data.no_rows"), ('{"a": 1}\n', "data.column"), ("<html>", "data.content")],
)
def test_a_file_that_holds_no_rows_of_ours_is_refused(tmp_path, text, code):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        seen([(str(path), "train")])
    assert caught.value.code == code


@pytest.mark.parametrize(("share", "kept"), [(0.5, True), (0.6, False)])
def test_most_of_a_file_is_never_proposed_to_be_left_out(tmp_path, share, kept):
    rows = clean_rows(20)
    held_out = write(tmp_path / "b.jsonl", clean_rows(50, 1))
    _, data = seen([(write(tmp_path / "a.jsonl", rows), "train"), (held_out, "eval")])
    left_out = Proposal.drop(range(round(20 * share)))
    (found,) = within_reason([Finding("x", "x.y", "warning", "z", 10, 70, proposal=left_out)], data)
    assert (found.proposal is not None) == kept
    weighed = Finding("x", "x.y", "warning", "z", 20, 70, proposal=Proposal.weigh(range(20), 0.5, "halves"))
    assert within_reason([weighed], data)[0].proposal is not None, "weights leave nothing out"
    refused = Proposal.leave_out_refused([(0, f"a:{n}") for n in range(round(20 * share))])
    (found,) = within_reason([Finding("x", "x.y", "error", "z", 10, 70, proposal=refused)], data)
    assert (found.proposal is not None) == kept


def test_a_cure_speaks_of_audit_yaml_only_where_it_does_something(tmp_path):
    rows = clean_rows(4)
    files = {
        "broken.empty": [rows[0], *[{**row, "chosen": ""} for row in rows[1:]]],
        "contradictory.both_ways": [
            *rows,
            *[{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in rows],
        ],
        "repeated.leaked": rows,
    }
    held_out = (write(tmp_path / "eval.jsonl", rows), "eval")
    for code, train in files.items():
        named = [(write(tmp_path / f"{code}.jsonl", train), "train"), *[held_out] * (code == "repeated.leaked")]
        result = audit(named, [Broken(), Contradictory(), Repeated()], workers=0)
        before, after = (
            next(each for each in findings if each.code == code)
            for findings in (result.findings, within_reason(result.findings, result.data))
        )
        assert before.proposal is not None and "audit.yaml" in before.advice
        assert after.proposal is None and after.advice.count("audit.yaml") == 1
        assert after.advice.endswith("; audit.yaml does not propose it, since more than half of the rows would go")
    lists = [{"prompt": "p", "completions": ["a", "b"], "scores": scores} for scores in ([1, 2], [2, 1])]
    (found,) = audit([(write(tmp_path / "lists.jsonl", lists), "train")], [Contradictory()], workers=0).findings
    assert not found.proposal and "audit.yaml" not in found.advice, "the rest of a list may be right"


def test_proposals_are_written_file_by_file_and_read_again(two_files):
    _, data = seen(two_files)
    refused = Proposal.leave_out_refused([(0, f"{two_files[0][0]}:{n}") for n in (11, 12, 13)])
    weighed = Proposal.weigh([15, 0, 1, 14], [0.5, 0.5, 0.25, 0.5], "less")
    findings = [
        Finding("x", "x.refused", "error", "cannot be used", 3, 17, proposal=refused),
        Finding("x", "x.weighed", "warning", "less", 4, 21, proposal=weighed),
        Finding("x", "x.none", "note", "nothing", 0, 21),
    ]
    text = as_yaml(proposed(findings, data))
    path = data.files[0].name.replace("a.jsonl", "audit.yaml")
    with open(path, "w") as file:
        file.write(text)
    audit_file = AuditFile.read(path)
    told = [audit_file.treatment(each.name, each.digest, required=True) for each in data.files]
    weights = [{key: weight for key, (weight, _) in each.rows.items()} for each in told]
    assert weights == [{"11": 0, "12": 0, "13": 0, "1": 0.5, "2": 0.25}, {"1": 0.5, "2": 0.5}]
    assert json.loads(json.dumps(findings[1].to_json()))["rows_in_audit_yaml"] == 4
