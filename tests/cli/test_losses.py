"""`prefsmith losses`: the registry as a table, as pages, and for programs."""

import json
import re

import pytest

from prefsmith.cli import main
from prefsmith.losses import LOSSES
from prefsmith.losses.pages import pages

WIDTHS = pytest.mark.parametrize("width", [40, 60, 80, 100, 200])


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs a command at a width of the terminal; gives exit status, standard output and standard error."""

    def run(*words, width=80):
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        status = main(list(words))
        return status, *capsys.readouterr()

    return run


def squeezed(text):
    """Without what only lays it out, so that a wrapped sentence is found."""
    return re.sub(r"[\s\\]+", "", text)


@WIDTHS
def test_the_table_has_every_loss_and_fits(run, width):
    status, out, err = run("losses", width=width)
    assert (status, err) == (0, "") and max(map(len, out.splitlines())) <= width
    assert out.isascii() and "\x1b" not in out
    for name, entry in LOSSES.items():
        row = re.search(rf"^  {name}\s.*?(?=\n\S|\n  \S|\n\n)", out, re.M | re.S)
        assert row and all(f"{setting}=" in squeezed(row[0]) for setting in entry.settings)


def test_a_row_says_what_the_registry_says(run):
    out = run("losses", width=120)[1]
    found = {name: re.search(rf"^  {name}  .*?(?=\n  \S|\n\n)", out, re.M | re.S)[0] for name in ("dpo", "kto", "sft")}
    row = {name: " ".join(text.split()) for name, text in found.items()}
    assert "a probability for every pair" in row["dpo"] and "beta=0.1, label_smoothing=0; soft labels]" in row["dpo"]
    assert "looks across the step]" in row["kto"] and "soft" not in row["kto"]
    assert "[no settings]" in row["sft"]


def test_rows_stand_below_what_they_read(run):
    lines = run("losses")[1].splitlines()
    places = [
        lines.index(line)
        for line in ("Pairs, compared with a reference", "Single completions, compared with a reference")
    ]
    dpo, kto = (next(n for n, line in enumerate(lines) if line.startswith(f"  {name} ")) for name in ("dpo", "kto"))
    assert places[0] < dpo < places[1] < kto


@WIDTHS
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_has_all_of_its_parts_and_fits(run, page, width):
    status, out, err = run("losses", page.name, width=width)
    assert (status, err) == (0, "") and max(map(len, out.splitlines())) <= width
    parts = [page.summary, *page.body, page.value, page.source, page.soft_labels, page.first_move, page.example]
    parts += [text for each in page.settings for text in (f"loss.{each.key} ", each.words, each.allowed)]
    assert [part for part in parts if squeezed(part) not in squeezed(out)] == []


def test_the_example_of_a_page_is_one_command_however_it_is_wrapped(run):
    out = run("losses", "ipo", width=40)[1]
    command = out[out.index("Example") + len("Example") :].replace("\\\n", " ")
    assert len(command.strip().splitlines()) == 1 and "loss.name=ipo" in command


def test_for_programs_the_table_is_a_list_and_a_page_an_object(run):
    status, out, _ = run("losses", "--json")
    listed = {each["name"]: each for each in json.loads(out)}
    assert status == 0 and set(listed) == set(LOSSES)
    assert json.loads(run("losses", "ipo", "--json")[1]) == listed["ipo"]
    assert listed["ipo"]["settings"][0] == {
        "name": "tau",
        "default": 0.1,
        "allowed": "a number, above 0",
        "choices": [],
        "words": "Strength of the pull to the reference. Larger keeps the policy closer.",
    }
    assert listed["ipo"]["start"] == {"pair": pytest.approx(25.0)} and listed["sft"]["start"] is None
    assert listed["kto"]["soft_labels"] is None and listed["kto"]["across_step"] is True


def test_an_unknown_loss_is_refused_with_the_nearest(run):
    for words in (["dop"], ["dop", "--json"]):
        status, out, err = run("losses", *words)
        assert (status, out) == (2, "")
        assert "[loss.unknown] no loss is called 'dop'" in err and "did you mean 'dpop' or 'dpo'?" in err
