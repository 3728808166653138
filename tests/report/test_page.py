"""The page of a run: what it says, that nothing in it acts, and that the same run gives the same bytes."""

import html.parser
import json
import re
import shlex
import sys
import xml.etree.ElementTree
from itertools import pairwise

import pytest
import yaml

from prefsmith.errors import ConfigError
from prefsmith.files import file_digest
from prefsmith.report import draw, read_run, write
from prefsmith.report.curves import MOST_ROWS, curves
from prefsmith.report.page import POLICY, measured, page, write_page
from prefsmith.report.visible import clipped, visible
from prefsmith.train.checkpoint import lock

GOING = {"outcome.json": None}
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: elements with attributes, text by element, and whether tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open, self.headings = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "br":
            self.texts.append(" ")
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()
        if tag not in ("code", "strong", "text", "span"):
            self.texts.append(" ")

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.texts))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def of(folder):
    return page(read_run(folder))


HOSTILE = [
    "<script>alert(1)</script>",
    "</style></title></p><img src=x onerror=alert(1)>",
    '"><a href="https://example.org/x">click</a>',
    "{{ 7 * 7 }}{% raw %}",
    "$x^2$ & &amp; &lt;",
    "\u202eright to left\u202c \u200f",
    "nul \x00 esc \x1b[31m bell \x07 del \x7f c1 \x9b",
    "\ud800 lone",
    "x" * 3000,
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\U0001f469\u200d\U0001f680 emoji",
    "",
]


@pytest.fixture
def hostile(record, rows, evidence, settings):
    """A run in which every text that somebody else wrote is hostile."""
    text = " | ".join(HOSTILE)
    drawn = [
        {**row, "completion": each, "prompt": each, "source": each, "split": each}
        for row, each in zip(rows[1](len(HOSTILE)), HOSTILE * 2, strict=True)
    ]
    drawn += [{**row, "prompt": [{"role": text, "content": text}], "source": "messages"} for row in rows[1](1)]
    evidence["frontier"]["reward"] = evidence["measures"][0]["name"] = evidence["findings"][0]["what"] = text[:400]
    evidence["frontier"]["points"][0]["name"] = "<b>$a$</b>\u202e\u6f22\x00"
    evidence["samples"] = [{"prompt": text[:900], "before": text[:900], "after": text[:900]}]
    safe = json.loads(json.dumps(evidence).replace("\\ud800", "?"))
    train = {"path": text, "sha256": text, "rows": 3, "rejected": 1, "recognised": text, "notes": {text: 1}}
    encoded = {"groups": 3, "completion_tokens": 9, text: 2, "places": {text: [text]}, "rejected": 1}
    model = {"origin": text, "sha256": text, "weights": "many", "trained": [], "path": text, "reference": text}
    return record(
        "<b>&\u202e'\"run",
        {
            "samples.jsonl": drawn,
            "evidence.json": safe,
            "data.json": {"train": train, "train_encoded": encoded},
            "model.json": model,
            "environment.json": {"versions": {text: text}, "machine": text, "started": text, "before": text},
            "rejected.jsonl": [{"where": text, "code": text, "reason": text, "row": {text: text}}, {"row": [text]}, {}],
            "run.yaml": settings(model={"path": "<script>alert(2)</script>"}, data={"train": '"><b>'}),
        },
    )  # fmt: skip


def test_hostile_text_is_text(hostile, drawings):
    text = of(hostile)
    seen = Page(text)
    for tag in ("script", "img", "iframe", "object", "embed", "link", "form", "base", "b", "a"):
        assert not seen.all(tag), tag
    assert len(seen.all("style")) == 1 and not [
        name for _, each in seen.elements for name in each if name.startswith("on")
    ]
    for each in (
        "<script>alert(1)</script>",
        "</style></title></p><img src=x onerror=alert(1)>",
        "{{ 7 * 7 }}{% raw %}",
    ):
        assert each in seen.text
    assert "49" not in re.findall(r"\b49\b", seen.text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\ud800-\udfff]", text)
    for shown in ("⟨U+0000⟩", "⟨U+001B⟩[31m", "⟨U+202E⟩", "⟨U+009B⟩", "⟨U+D800⟩", "\U0001f469\u200d\U0001f680"):
        assert shown in seen.text
    text.encode()


def test_text_of_others_keeps_its_direction_to_itself(hostile):
    seen = Page(of(hostile))
    shown = [each for each in seen.all("p") if each.get("class") == "text"]
    assert len(shown) > 20 and all(each["dir"] == "auto" for each in shown)
    rule = re.search(r"\.text \{[^}]*\}", of(hostile))[0]
    assert "unicode-bidi: isolate" in rule and "pre-wrap" in rule


def test_the_page_loads_nothing_and_allows_nothing(hostile, record, evidence, drawings):
    for folder in (hostile, record(changes={"evidence.json": evidence})):
        text = of(folder)
        seen = Page(text)
        policy = [each["content"] for each in seen.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
        assert policy == [POLICY] and POLICY.startswith(
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        )
        assert "base-uri 'none'; form-action 'none'" in POLICY and "script" not in POLICY
        for name, attributes in seen.elements:
            for key, value in attributes.items():
                if key in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
                    assert value.startswith("#"), (name, key, value)
        styles = " ".join([*(each.get("style") or "" for _, each in seen.elements), text[: text.index("</style>")]])
        assert not re.search(r"@import|@font-face|url\((?!#)", styles)
        addresses = {
            key
            for _, each in seen.elements
            for key, value in each.items()
            if key != "content" and "//" in (value or "") and "https://example.org" not in value
        }
        assert addresses <= {"xmlns", "xmlns:xlink"}  # names of XML's vocabularies, which nothing loads


def test_it_is_in_order_for_those_who_do_not_see_it(record, evidence, drawings):
    seen = Page(of(record(changes={"evidence.json": evidence})))
    assert seen.headings[0] == 1 and seen.headings.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(seen.headings))
    ids = [each["id"] for _, each in seen.elements if "id" in each]
    assert len(ids) == len(set(ids))
    assert all(each.get("scope") in ("row", "col") for each in seen.all("th"))
    drawings = seen.all("svg")
    assert len(drawings) == 7
    for each in drawings:
        assert each["role"] == "img" and all(name in ids for name in each["aria-labelledby"].split())
    references = [each["xlink:href"][1:] for _, each in seen.elements if "xlink:href" in each]
    assert references and set(references) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", str(seen.elements))) <= set(ids)
    assert seen.all("html")[0]["lang"] == "en" and seen.all("title") and seen.all("main")


def test_drawings_are_well_formed_and_take_the_pages_colours(record, drawings):
    for curve in curves(read_run(record())):
        xml.etree.ElementTree.fromstring(curve.svg)
        colours = set(re.findall(r"(?:stroke|fill): ([^;\"]+)", curve.svg))
        assert colours <= {"none", *(f"var(--{name})" for name in ("ink", "muted", "grid", "one", "two", "paper"))}
        assert "font-family" not in curve.svg and "<style" not in curve.svg and "<metadata" not in curve.svg


def test_the_first_screen_says_the_result_in_a_sentence(record, rows):
    text = Page(of(record())).text
    assert (
        "On 135 held-out pairs the trained policy prefers the better answer in 58.5 % [50.1, 66.5]; "
        "“the shorter is better” gets 57.8 %." in text
    )
    longer = {"shorter_accuracy": 0.25, "shorter_accuracy_low": 0.19, "shorter_accuracy_high": 0.33}
    metrics, _ = rows
    changed = [row | longer if row.get("split") == "eval" else row for row in metrics()]
    other = Page(of(record("longer", {"metrics.jsonl": changed}))).text
    assert "“the longer is better” gets 75.0 %." in other  # of the two rules, the one that is harder to beat
    assert text.index("On 135 held-out pairs") < text.index("Findings") < text.index("Curves") < text.index("Samples")
    assert "KL to the start 0.50 nats [0.50, 0.50] an answer, estimated from 6 samples" in text
    assert "\N{MINUS SIGN}0.05 nats a token" in text  # -0.5 nats an answer of 10 tokens


def test_what_was_trained_on_what_is_there(record):
    text = Page(of(record())).text
    for words in ("org/base", "ab" * 32, "863 rows: 9,000 tokens of prompts, 17,260 of answers", "prefsmith 0.1.0",
                  "torch 2.13.0", "Linux x86_64, 2 threads", "5 min 0 s", "1,000 of 1,000", "1.00 GiB",
                  "preference rows (prompt, chosen, rejected)", "a frozen copy of the starting policy"):  # fmt: skip
        assert words in text, words


def test_settings_that_differ_come_before_all_settings(record):
    text = Page(of(record())).text
    changed = text[text.index("Settings") : text.index("settings", text.index("Settings"))]
    assert "data.max_length 256" in changed and "loss.beta 0.2" in changed
    assert "train.epochs" not in changed and "optim.learning_rate" not in changed  # 1e-5 is its default
    assert "train.epochs" in text and "optim.max_grad_norm" in text


def test_what_was_refused_and_cut_is_there_with_its_places(record):
    text = Page(of(record())).text
    assert "7 (0.8 %) trained on with an answer cut pairs.jsonl:3, pairs.jsonl:9 …" in text
    assert "2 (0.2 %) training file refused when read" in text
    assert "pairs.jsonl:17 chosen is empty" in text and "data.empty 1, data.identical 1." in text
    assert "both sides are the same What helps: drop the row" in text


def test_more_refused_rows_than_are_shown_are_said_to_be_more(record):
    refused = [{"where": f"f:{number}", "code": "data.json", "reason": "r", "row": "x" * 900} for number in range(50)]
    text = Page(of(record(changes={"rejected.jsonl": refused}))).text
    assert "f:19" in text and "f:20" not in text and "The first 20 of 50; rejected.jsonl has them all." in text
    assert "(602 more characters)" in text


def test_the_commands_repeat_and_resume_the_run(record):
    folder = record("it's a run")
    text = Page(of(folder)).text
    again = re.search(r"The same run once more: (prefsmith .*?) This page", text)[1]
    assert shlex.split(again) == ["prefsmith", "train", f"{folder}/run.yaml", "--out", f"{folder}-again"]
    assert "--resume" not in text
    stopped = record("stopped run", GOING)
    resume = re.search(r"checkpoint with (prefsmith .*? --resume)", Page(of(stopped)).text)[1]
    assert shlex.split(resume) == ["prefsmith", "train", "--out", str(stopped), "--resume"]


def test_a_run_on_rows_in_memory_has_no_command_that_repeats_it(record):
    text = Page(of(record(changes={"data.json": {"train": {"path": "in memory", "groups": 9}}}))).text
    assert "the program that trained it repeats the run" in text and "run.yaml --out" not in text


def test_states(record):
    going = record("going", GOING)
    with lock(going):
        assert "Still going on" in Page(of(going)).text and "--resume" not in of(going)
    assert "Stopped after step 30" in Page(of(going)).text
    failed = Page(of(record("failed", {**GOING, "crash.log": "Boom: <b>\x1b\n"}))).text
    assert "Failed" in failed and "Boom: <b>⟨U+001B⟩" in failed and "--resume" in failed
    nothing = Page(
        of(record("nothing", {**GOING, "metrics.jsonl": None, "samples.jsonl": None, "data.json": None}))
    ).text
    assert (
        "No step was done." in nothing
        and "No step has been measured." in nothing
        and "metrics.jsonl is not there" in nothing
    )
    assert "Nothing: every row" not in nothing


def test_a_run_that_only_refused_rows_has_a_page(tmp_path):
    (tmp_path / "rejected.jsonl").write_text(
        '{"where": "f:1", "code": "data.json", "reason": "not JSON", "row": "{"}\n'
    )
    assert "not JSON" in Page(of(tmp_path)).text


def test_a_run_without_evaluation_says_so(record, rows):
    bare = {"metrics.jsonl": rows[0](every=0), "data.json": {"train_encoded": {"groups": 9}}}
    text = Page(of(record(changes=bare))).text
    assert "No rows were held out, so this says nothing of rows that it has not seen." in text
    assert "held-out pairs" not in text and "The loss was 0.6" in text


def test_rows_that_are_held_out_and_not_evaluated_so_far_are_said_to_be(record, rows):
    text = Page(of(record(changes={**GOING, "metrics.jsonl": rows[0](every=0)}))).text
    assert "The held-out rows were not evaluated so far, so" in text and "No rows were held out" not in text


def test_a_run_of_five_steps_is_too_short_to_judge(record, rows):
    text = Page(of(record(changes={"metrics.jsonl": rows[0](5, every=5), "samples.jsonl": rows[1](after=5)}))).text
    assert "The run is too short to judge." in text and "warning" not in text


def test_a_run_without_pairs_speaks_of_rated_answers(record, rows):
    def unpaired(row):
        return {key: value for key, value in row.items() if not key.startswith("shorter")}

    text = Page(of(record(changes={"metrics.jsonl": [unpaired(row) for row in rows[0]()]}))).text
    assert "On 135 held-out rated answers" in text and "pairs the trained" not in text and "shorter" not in text


def test_a_run_without_a_reference_has_no_margin(record, rows):
    kept = ("step", "split", "loss", "grad_norm", "learning_rate")
    plain = [{key: value for key, value in row.items() if key in kept} for row in rows[0]()]
    text = Page(of(record(changes={"metrics.jsonl": plain, "samples.jsonl": rows[1](reference_logprob=None)}))).text
    assert "Margin" not in text and "KL to the start" not in text and "Chosen and rejected" not in text
    assert "The loss was 0.6" in text and "on held-out rows it is 0.61" in text


def test_samples_stand_side_by_side_with_what_is_known_of_them(record, rows):
    drawn = rows[1]()
    drawn[8] = {**drawn[8], "ended": False, "tokens": 1}
    text = Page(of(record(changes={"samples.jsonl": drawn}))).text
    before = "Before Answer 2 of step 0. 10 tokens, ended · \N{MINUS SIGN}1.78 nats a token under the starting model"
    assert f"Question 2? {before}" in text
    assert "After Answer 2 of step 30. 1 token, cut · \N{MINUS SIGN}17.80 nats a token" in text
    assert "pairs.jsonl:2 · held out" in text


def test_samples_before_the_end_of_a_run_stand_alone(record, rows):
    text = Page(of(record(changes={**GOING, "samples.jsonl": rows[1]()[:6]}))).text
    assert "Answer 5 of step 0." in text and "none is drawn yet" in text


def test_many_samples_and_long_ones_are_shown_in_part_and_said_to_be(record, rows):
    drawn = rows[1](40, prompt="start" + "x" * 3000 + "end", completion="y" * 9000)
    text = Page(of(record(changes={"samples.jsonl": drawn}))).text
    assert "The first 16 of 40, held-out prompts in front." in text and text.count("Before") == 17
    assert "The first 2,108 characters of the prompt are not shown." in text and "(5,000 more characters)" in text
    assert "startx" not in text and "xend" in text


def test_held_out_prompts_stand_in_front(record, rows):
    drawn = [{**row, "split": "train" if index % 6 < 3 else "eval"} for index, row in enumerate(rows[1]())]
    text = Page(of(record(changes={"samples.jsonl": drawn}))).text
    assert text.index("Question 3?") < text.index("Question 0?")


def test_evidence_stands_first(record, evidence):
    text = Page(of(record(changes={"evidence.json": evidence}))).text
    sentence = (
        "Mean reward: \N{MINUS SIGN}0.10 [\N{MINUS SIGN}0.20, 0.00] (before), 1.00 [0.90, 1.10] (after), at a KL of "
        "0.60 nats to the starting model; the best possible there is 1.08."
    )
    assert text.index(sentence) < text.index("On 135 held-out pairs")
    assert "grammatical, shareby the grammar 0.970 0.960[0.940, 0.980]n = 500" in text
    assert "The reward rose." in text and "The film was" in text and "warm" in text


def test_evidence_in_part_is_shown_in_part(record):
    for number, part in enumerate(
        ({"findings": []}, {"frontier": {"reward": "r", "points": [{"name": "only", "reward": 1, "kl": 0}]}}, {})
    ):
        Page(of(record(f"run {number}", {"evidence.json": part})))


def test_tables_of_many_rows_are_thinned_by_a_rule_that_is_said(record, rows):
    run = read_run(record(changes={"metrics.jsonl": rows[0](500, every=100)}))
    loss = next(each for each in curves(run) if each.title == "Loss")
    assert len(loss.rows) <= MOST_ROWS and "Of 500 rows one in" in loss.rule
    steps = [row[0] for row in loss.rows]
    assert steps[0] == "1" and {"100", "200", "300", "400", "500"} <= set(steps)
    assert all(row[2] for row in loss.rows if int(row[0]) % 100 == 0)
    short = curves(read_run(record("short", {"metrics.jsonl": rows[0](MOST_ROWS)})))[0]
    assert len(short.rows) == MOST_ROWS and short.rule == ""


def test_a_table_has_the_numbers_of_the_metrics(record):
    accuracy = next(each for each in curves(read_run(record())) if each.title == "Accuracy")
    assert accuracy.header == ("step", "training", "held out", "95 %")
    assert accuracy.rows[9] == ("10", "0.567", "0.585", "0.501 to 0.665")


def test_long_runs_stay_small(record, rows, drawings):
    run = read_run(record(changes={"metrics.jsonl": rows[0](5_000, every=500)}))
    assert len(page(run)) < 600_000


def test_the_same_run_gives_the_same_bytes(record, evidence, drawings):
    folder = record(changes={"evidence.json": evidence})
    first = file_digest(write(folder))  # a comparison of the pages themselves would take minutes to explain
    import matplotlib

    with matplotlib.rc_context(
        {"svg.fonttype": "path", "font.size": 30, "axes.facecolor": "red", "xtick.major.size": 20}
    ):
        before = dict(matplotlib.rcParams)
        assert file_digest(write(folder)) == first
        assert dict(matplotlib.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_a_page_replaces_one_of_ours_and_nothing_else(record, tmp_path):
    folder = record()
    path = draw([folder]).path
    assert path == folder / "report.html" and draw([folder]).path == path
    other = tmp_path / "notes.html"
    other.write_text("<!doctype html><p>mine")
    for place in (other, tmp_path):
        with pytest.raises(ConfigError) as caught:
            draw([folder], place)
        assert caught.value.code == "report.exists"
    assert other.read_text() == "<!doctype html><p>mine"
    with pytest.raises(ConfigError) as caught:
        write_page(tmp_path / "none" / "x.html", "text")
    assert caught.value.code == "report.write" and caught.value.exit_code == 2


def test_drawing_again_leaves_the_model_card_alone(record):
    folder = record()
    write(folder)
    (folder / "model" / "README.md").write_text("edited")
    before = {path.name for path in folder.iterdir()}
    draw([folder])
    assert (folder / "model" / "README.md").read_text() == "edited"
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("value", "like", "shown"),
    [
        (0.0424, None, "0.042"),
        (-0.00408, 0.0424, "\N{MINUS SIGN}0.004"),
        (-0.0004, 0.0424, "0.000"),  # no minus in front of nothing
        (0.0, None, "0"),
        (0.0, 0.0, "0"),
        (1.076, None, "1.08"),
        (1234.5, None, "1,234"),
        (1e-5, None, "1e\N{MINUS SIGN}05"),
        (None, None, ""),
    ],
)
def test_numbers_have_the_digits_that_say_something(value, like, shown):
    assert measured(value, like) == shown


@pytest.mark.parametrize("character", ["\n", "\t", "a", "é", "漢", "\u200d", " ", "\u00a0"])
def test_ordinary_characters_stay(character):
    assert visible(character) == character


def test_every_other_character_of_control_is_shown():
    assert (
        visible("\r\x00\x7f") == "⟨U+000D⟩⟨U+0000⟩⟨U+007F⟩"
        and visible("\u2028\ue000\ufeff") == "⟨U+2028⟩⟨U+E000⟩⟨U+FEFF⟩"
    )
    assert clipped("abcdef", 4) == "abcd … (2 more characters)" and clipped("abcd", 4) == "abcd"


def test_settings_of_a_mixture_are_named(record):
    values = yaml.safe_load((record("plain") / "run.yaml").read_text())
    values["loss"] = [{"name": "dpo", "beta": 0.2}, {"name": "sft", "weight": 0.1}]
    text = Page(of(record("mixed", {"run.yaml": yaml.safe_dump(values)}))).text
    assert "dpo + sft" in text and "loss.1.weight 0.1" in text


def test_a_run_without_any_warning_or_note_is_said_to_be_so(record, rows):
    good = [{**row, "accuracy_low": 0.60} if row.get("split") else row for row in rows[0]()]
    assert "No sign of trouble was found." in of(record("good", {"metrics.jsonl": good}))
    assert "No sign of trouble" not in of(record("noted"))


def test_labels_of_points_that_lie_together_stand_on_lines_of_their_own(record, evidence):
    points = [{"name": f"point {number}", "reward": 0.001 * number, "kl": 0.0} for number in range(4)]
    evidence["frontier"]["points"] = [*points, {"name": "far", "reward": 1.0, "kl": 1.0}]
    text = of(record(changes={"evidence.json": evidence}))
    places = {
        label: (float(x), float(y))
        for x, y, label in re.findall(r'<text [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*>(point \d|far)</text>', text)
    }
    assert len(places) == 5
    heights = sorted(y for label, (_, y) in places.items() if label != "far")
    assert all(later - earlier >= 9 for earlier, later in pairwise(heights))
