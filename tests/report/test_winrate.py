"""The page of win rates: every number that the evidence has, drawn and in words; text of users escaped."""

import json
import re

import pytest

from prefsmith.errors import ConfigError
from prefsmith.evaluate.contest import between, standings
from prefsmith.records import Completion, Group, Vote
from prefsmith.report.rates import RatePoint, RateSeries, rates_plot
from prefsmith.report.winrate import write_winrate_page

VERDICTS = {"w": "left", "l": "right", "t": "tie", "i": "invalid"}


def groups(said):
    return [
        Group(
            str(number), f"r:{number}", f"p{number}", (Completion("a" * (3 + number % 7)), Completion("b" * 5)),
            votes=(Vote(0, 1, VERDICTS[letter], "judge"),),
        )
        for number, letter in enumerate(said)
    ]  # fmt: skip


def evidence(judged, **changes):
    found = standings(judged)
    return {
        "kind": "winrate",
        "version": "0.1.0",
        "settings": {"seed": 0, "prompts": {"n": 40}},
        "baseline": "reference",
        "prompts": 40,
        "left_out": 0,
        "judge": {"kind": "rule", "name": "longer"},
        "standings": [each.as_dict() for each in found],
        "between": [each.as_dict() for each in between(judged)],
        "answers": [
            {"side": "dpo", "temperature": 0.0, "n": 40, "characters": 5.0, "tokens": 2.0, "cut": 1, "shortened": 0}
        ],
        "warnings": [],
        **changes,
    }


def page(folder, judged, **changes):
    (folder / "evidence.json").write_text(json.dumps(evidence(judged, **changes), allow_nan=False))
    return write_winrate_page(folder).read_text()


JUDGED = {
    ("dpo", 0.0): groups("wwwl" * 10),
    ("dpo", 1.0): groups("wwlt" * 10),
    ("ipo", 0.0): groups("wlli" * 10),
    ("ipo", 1.0): groups("wlll" * 10),
}


def test_the_numbers_are_in_the_sentences_and_in_the_table(tmp_path):
    text = page(tmp_path, JUDGED)
    assert "dpo wins 75.0% [59.8%, 85.8%] against reference at temperature 0, its highest of 2 temperatures" in text
    assert "<td>0.750</td>" in text and "<td>[0.598, 0.858]</td>" in text
    assert "dpo less ipo" in text and "At equal length" in text
    row = re.search(r"<th scope=\"row\">ipo</th><td>0</td><td>40</td>(.*?)</tr>", text)
    assert row is not None and "<td>10</td><td>20</td><td>0</td>" in row[1]  # wins, losses, ties
    assert "<td>10</td>" in row[1].split("asked once")[1]  # invalid


def test_the_chart_says_what_it_shows_and_its_legend_is_above_the_axes(tmp_path):
    text = page(tmp_path, JUDGED)
    assert "dpo at temperature 0: 0.750, interval 0.598 to 0.858" in text
    assert text.count("<svg") == 2
    chart = text[text.index("<svg") : text.index("</svg>")]
    names = [(match[2], float(match[1])) for match in re.finditer(r'y="([\d.]+)"[^>]*>([^<]*)</text>', chart)]
    legend = [y for name, y in names if name in ("dpo", "ipo")]
    ticks = [y for name, y in names if re.fullmatch(r"0\.\d", name)]
    assert len(legend) == 2 and max(legend) < min(ticks)


def test_text_of_users_acts_on_nothing(tmp_path):
    name = '<script>alert("x")</script>\u202e'
    text = page(tmp_path, {(name, 0.0): groups("wl"), ("b", 0.0): groups("wl")}, baseline=name, warnings=[name])
    assert "<script>" not in text and "\u202e" not in text
    assert "&lt;script&gt;" in text


def test_answers_of_files_stand_without_a_temperature(tmp_path):
    text = page(tmp_path, {("ours", None): groups("wwl" * 4)})
    assert "<td>as given</td>" in text and "ours wins 66.7%" in text
    assert "temperature</text>" not in text  # no axis of that name


def test_a_file_beside_models_reaches_over_all_temperatures():
    line = RateSeries("file", (RatePoint(None, 0.4, 0.3, 0.5),))
    model = RateSeries("model", (RatePoint(0.0, 0.6, 0.5, 0.7), RatePoint(1.0, 0.5, 0.4, 0.6)))
    svg = str(rates_plot("chart", "Win rate", "win rate", [model, line]))
    assert "file: 0.400" in svg and "temperature</text>" in svg


def test_without_a_verdict_there_is_no_chart(tmp_path):
    text = page(tmp_path, {("dpo", 0.0): groups("iii")})
    assert "<svg" not in text and "dpo: no pair has a verdict." in text and "<td>none</td>" in text


def test_the_same_evidence_gives_the_same_page(tmp_path):
    assert page(tmp_path, JUDGED) == page(tmp_path, JUDGED)


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "agreement"}', "not json"])
def test_what_is_no_evidence_is_refused(tmp_path, text):
    (tmp_path / "evidence.json").write_text(text)
    with pytest.raises(ConfigError, match=r"winrate\.evidence"):
        write_winrate_page(tmp_path)


def test_an_unknown_key_is_no_evidence(tmp_path):
    (tmp_path / "evidence.json").write_text(json.dumps(evidence(JUDGED, more=1)))
    with pytest.raises(ConfigError, match=r"winrate\.evidence"):
        write_winrate_page(tmp_path)
