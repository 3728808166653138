"""Evidence on a run's own page: all of it, of which weights, and how it comes there."""

import json
import re

import measured
import pytest

from prefsmith.cli import main
from prefsmith.report import draw
from prefsmith.report.gathered import NAMELESS, NO_WEIGHTS, STALE, gathered, weights_of
from prefsmith.report.join import join, run_of


@pytest.fixture
def run(record):
    """A run's folder with weights in it."""
    folder = record()
    (folder / "model" / "model.safetensors").write_bytes(b"weights")
    (folder / "model" / "config.json").write_text("{}")
    return folder


def page_of(run):
    return draw([run]).path.read_text()


def shown(text):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text[text.index("</style>") :]))


def test_every_kind_is_on_the_page_with_its_drawing_its_table_and_a_link(run, drawings):
    now = weights_of(run / "model")
    before = page_of(run).count("<svg")
    for name, evidence in (
        ("winrate-reference", measured.win_rates([now])),
        ("winrate-other", measured.win_rates([now], baseline="other")),
        ("implicit-pairs", measured.implicit(now)),
        ("agreement votes", measured.agreement()),
        ("frontier-recipe", measured.frontier()),
    ):
        measured.written(run / "eval" / name, evidence)
    text = page_of(run)
    words = shown(text)
    assert "method 0 wins 75.0% [59.8%, 85.8%] against reference" in words and "0.750" in words
    assert "Implicit reward on pairs.jsonl" in words and "calibration" in words.lower()
    assert "Two people say the same in 75.0 % [59.8, 85.8]" in words and "agrees with most people" in words
    assert "DPO, beta 1" in words and "does not lie above RLOO" in words
    assert text.count("<svg") == before + 6  # two of the implicit reward: accuracy and calibration
    assert 'href="eval/agreement%20votes/report.html"' in text and 'href="eval/implicit-pairs/report.html"' in text
    assert STALE not in words and NO_WEIGHTS not in words
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", ["win_rates", "implicit"])
def test_what_is_about_other_weights_says_so(run, kind):
    evidence = measured.win_rates(["00"]) if kind == "win_rates" else measured.implicit("00")
    folder = measured.written(run / "eval" / "one", evidence)
    assert STALE in shown(page_of(run))
    now = weights_of(run / "model")
    measured.written(folder, measured.win_rates(["00", now]) if kind == "win_rates" else measured.implicit(now))
    assert STALE not in shown(page_of(run))
    (run / "model" / "model.safetensors").write_bytes(b"trained on")
    assert STALE in shown(page_of(run))


def test_a_model_card_is_no_part_of_the_weights(run):
    before = weights_of(run / "model")
    (run / "model" / "README.md").write_text("my words")
    assert weights_of(run / "model") == before


def test_answers_from_files_and_a_run_without_weights_leave_doubt(run, record):
    measured.written(run / "eval" / "files", measured.win_rates())
    assert NAMELESS in shown(page_of(run))
    other = record("other", {"outcome.json": None}, model=False)
    measured.written(other / "eval" / "early", measured.implicit("00"))
    assert NO_WEIGHTS in shown(page_of(other))


def test_evidence_lies_one_folder_lower_too(run):
    measured.written(run / "mine", measured.agreement())
    assert [each.kind for each in gathered(run)] == ["agreement"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"kind": "winrate"', "torn or no JSON"),
        ("[" * 100_000, "torn or no JSON"),
        ('{"kind": "winrate"}', "is not as it should be (version: Field required)"),
        (json.dumps(measured.implicit()).replace('"pairs": 60', '"pairs": "<b>"'), "is not as it should be (pairs:"),
        ('{"kind": ["winrate"]}', "does not say what it is evidence of"),
        ("3", "does not say what it is evidence of"),
        (json.dumps(measured.frontier(ends="none")), "is not as it should be (ends:"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_reason_and_the_rest_is_shown(run, text, reason):
    measured.written(run / "eval" / "bad", text)
    measured.written(run / "eval" / "good", measured.agreement())
    page = page_of(run)
    assert reason in shown(page).replace("&#39;", "'") and "Two people say the same" in page and "<b>" not in page


def test_evidence_of_another_program_is_linked_to(run):
    warned = page_of(run).count('class="warning"')
    measured.written(run / "audit", '{"kind": "<i>audit"}')
    text = page_of(run)
    assert 'href="audit/report.html"' in text and "(&lt;i&gt;audit)" in text and text.count('class="warning"') == warned


def test_names_in_evidence_cannot_act(run, drawings):
    nasty = '<img src=x onerror="x">\u202e'
    measured.written(run / "eval" / "one", measured.win_rates(baseline=nasty, warnings=[nasty]))
    text = page_of(run)
    assert "<img" not in text and "\u202e" not in text and "⟨U+202E⟩" in text


def test_facts_have_it_as_well(run, capsys):
    measured.written(run / "eval" / "one", measured.win_rates(["00"]))
    assert main(["report", str(run), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert one["kind"] == "winrate" and one["doubt"] == STALE and "wins 75.0%" in one["results"][0]


def test_a_page_elsewhere_links_from_where_it_is(run, tmp_path):
    measured.written(run / "eval" / "one", measured.agreement())
    text = draw([run], tmp_path / "page.html").path.read_text()
    assert f'href="{run.name}/eval/one/report.html"' in text


def test_evidence_is_copied_to_the_runs_that_it_is_about(run, record, tmp_path):
    other = record("second")
    folder = measured.written(tmp_path / "eval" / "contest", measured.win_rates(["00"]))
    said = join(folder, [run, other / "model", "org/base"])
    for each in (run, other):
        copy = each / "eval" / "contest"
        assert (copy / "evidence.json").read_bytes() == (folder / "evidence.json").read_bytes()
        assert "wins 75.0%" in (each / "report.html").read_text()
    assert said == (f"{run}/report.html shows it too", f"{other}/report.html shows it too")


def test_a_newer_copy_takes_the_place_of_the_older_one_and_of_nothing_else(run, tmp_path):
    folder = measured.written(tmp_path / "eval" / "one", measured.win_rates(["00"]))
    join(folder, [run])
    measured.written(folder, measured.win_rates(["11"]))
    join(folder, [run])
    assert [each.name for each in (run / "eval").iterdir()] == ["one"]
    other = measured.written(tmp_path / "elsewhere" / "one", measured.implicit("00"))
    join(other, [run])
    (run / "eval" / "one" / "notes.txt").write_text("mine")
    join(folder, [run])
    assert sorted(each.name for each in (run / "eval").iterdir()) == ["one", "one-2", "one-3"]
    assert [each.kind for each in gathered(run)] == ["winrate", "implicit", "winrate"]


def test_evidence_that_lies_in_a_run_is_shown_and_not_copied(run):
    said = join(measured.written(run / "eval" / "mine", measured.agreement()), [run])
    assert len(said) == 1 and [each.name for each in (run / "eval").iterdir()] == ["mine"]
    assert "Two people say the same" in (run / "report.html").read_text()


def test_a_page_that_cannot_be_drawn_is_said_and_stops_nothing(run, tmp_path):
    (run / "report.html").write_text("my own notes")
    (said,) = join(measured.written(tmp_path / "one", measured.agreement()), [run])
    assert said == f"the page of {run} does not show it: something that is no report stands there ({run}/report.html)"
    assert (run / "report.html").read_text() == "my own notes"


def test_settings_beside_the_data_are_no_run(tmp_path, monkeypatch):
    (tmp_path / "run.yaml").write_text("version: 1")
    monkeypatch.chdir(tmp_path)
    folder = measured.written(tmp_path / "eval" / "one", measured.agreement())
    assert join(folder, [tmp_path]) == () and not (tmp_path / "report.html").exists()


def test_a_run_is_found_by_its_folder_and_by_its_model(run, tmp_path):
    assert run_of(run) == run_of(run / "model") == run
    assert run_of(tmp_path) is None and run_of("org/base") is None and run_of(run / "checkpoints") is None
