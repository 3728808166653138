"""The page of an experiment: what it says, that nothing in it acts, and what is refused."""

import json
import re

import pytest

from prefsmith.errors import ConfigError
from prefsmith.report.experiment import experiment_page, read_experiment, title_of, write_experiment

FRONTIER = [(0.0, 0.0), (0.06, 0.38), (0.24, 0.73), (0.48, 1.02), (1.32, 1.61), (2.07, 1.91), (3.07, 2.17), (4.3, 2.35)]
ENDS = [
    ("reference", {}, 0, 0.0, 0.0),
    ("dpo", {"beta": 0.1}, 300, 8.63, 2.32), ("dpo", {"beta": 0.3}, 300, 3.15, 2.09),
    ("dpo", {"beta": 1.0}, 300, 0.69, 1.12), ("dpo", {"beta": 3.0}, 300, 0.11, 0.4),
    ("ipo", {"tau": 0.1}, 300, 1.5, 1.6), ("ipo", {"tau": 0.3}, 300, 0.22, 0.63),
    ("kto", {"beta": 1.0}, 300, 1.15, 1.41), ("kto", {"beta": 0.1}, 300, 3.2, 1.85),
    ("sft", {}, 300, 0.12, 0.38), ("unlikelihood", {"alpha": 0.5}, 300, 0.69, 1.03),
    ("best_of_n", {"reward": "task", "n": 4.0}, 0, 0.64, 1.12),
    ("best_of_n", {"reward": "task", "n": 16.0}, 0, 1.84, 1.81),
    ("best_of_n", {"reward": "learned", "n": 16.0}, 0, 1.8, 1.6),
    ("rloo", {"reward": "task", "beta": 0.3}, 300, 2.31, 1.97),
    ("rloo", {"reward": "task", "beta": 1.0}, 300, 0.47, 1.0),
    ("rloo", {"reward": "learned", "beta": 0.3}, 300, 2.4, 1.8),
]  # fmt: skip


def number(value, half=0.04):
    return {"value": value, "low": value - half, "high": value + half, "n": 3000}


def made(**changes):
    """Evidence as an experiment writes it, with numbers that were measured elsewhere."""
    ends, points = [], []
    for method, settings, step, kl, reward in ENDS:
        words = (
            f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in settings.items()
        )
        arm = ", ".join((method, *words))
        shared = {
            "arm": arm,
            "step": step,
            "reward": number(reward),
            "kl": number(kl, 0.05 * kl),
            "best": 2.0,
            "below": 0.1,
        }
        efficiency = {"efficiency": 0.9, "below_error": 0.02}
        ends.append({**shared, **efficiency, "method": method, "settings": settings, "seeds": 2, "tokens": 11.5,
                     "most_kl": None, "by_seed": [reward - 0.01, reward + 0.01]})  # fmt: skip
        for at, part in ((100, 0.6), (200, 0.85), (300, 1.0)) if step else ((0, 1.0),):
            row = {
                **shared,
                **efficiency,
                "seed": 0,
                "step": at,
                "reward": number(reward * part),
                "kl": number(kl * part),
            }
            if step:
                row |= {
                    "kl_sampled": number(kl * part + 0.02, 0.1),
                    "kl_gap": number(0.02, 0.1),
                    "kl_errors": {"averaged": 0.01, "sampled": 0.05, "gap": 0.04},
                    "tokens": number(11.5),
                    "ended": number(0.99, 0.01),
                    "grammatical": number(0.97, 0.01),
                    "sample": "the film was <b>",
                }
            points.append(row)  # fmt: skip
    evidence = {
        "kind": "frontier", "version": 1, "recipe": {"task": "reviews", "seeds": [0, 1], "training": {"steps": 300}},
        "versions": {"prefsmith": "0.1.0"},
        "criteria": [
            {"name": "V1", "claim": "no point lies above the frontier", "passed": True, "found": "dpo: -0.1"},
            {"name": "A1", "claim": "ends at the closed form", "passed": False, "found": "rloo: 1.2 of 1.0"},
            {"name": "A4", "claim": "DPO outdoes the rest", "passed": None, "found": "nothing tests it"},
        ],
        "findings": [{"severity": "note", "what": "DPO does not lie above RLOO.", "fix": ""}],
        "ends": ends,
        "seeds": [
            {"seed": seed, "pairs": 14976, "verdicts_right": 0.73, "reward": number(0.0, 0.02),
             "frontier": [[kl, reward + 0.01 * seed] for kl, reward in FRONTIER],
             "reward_model": {"accuracy": number(0.71, 0.02), "correlation": 0.98, "step": 250}}
            for seed in (0, 1)
        ],
        "points": points,
    }  # fmt: skip
    return evidence | changes


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "evidence.json").write_text(json.dumps(made()))
    return tmp_path


def test_every_arm_criterion_and_finding_is_on_the_page(folder):
    page = write_experiment(folder).read_text()
    for method, settings, *_ in ENDS:
        assert title_of(method, settings) in page
    assert title_of("rloo", {"reward": "learned", "beta": 0.3}) == "RLOO, learned reward, beta 0.3"
    for words in ("1 criteria hold, 1 fail, 1 not tested", "FAILS", "rloo: 1.2 of 1.0", "does not lie above",
                  "14,976", "73.0 %", "0.710", "training.steps"):  # fmt: skip
        assert words in page, words
    assert page.count("<svg") == 2  # the whole, and what is near the start


def test_the_legend_has_every_method_and_lies_beside_the_drawing(folder):
    page = experiment_page(read_experiment(folder), "x")
    drawing = page[page.index("<svg") : page.index("</svg>")]
    texts = re.findall(r"<text[^>]*>([^<]*)</text>|<tspan[^>]*>([^<]*)</tspan>", drawing)
    said = " ".join(one or other for one, other in texts)
    for words in (
        "best possible",
        "DPO (beta 0.1, 0.3, 1, 3)",
        "KTO",
        "best of n, learned reward",
        "RLOO, true reward",
    ):
        assert words in said, words


def test_near_the_start_is_drawn_only_where_something_goes_far(folder):
    near = made()
    near["ends"] = [end for end in near["ends"] if end["kl"]["value"] < 1.2]
    (folder / "evidence.json").write_text(json.dumps(near))
    assert experiment_page(read_experiment(folder), "x").count("<svg") == 1


def test_texts_do_not_act(folder):
    evidence = made(findings=[{"severity": "note", "what": "<script>alert(1)</script>\u202e", "fix": ""}])
    (folder / "evidence.json").write_text(json.dumps(evidence))
    page = experiment_page(read_experiment(folder), "<i>name</i>")
    assert "<script" not in page and "<b>" not in page and "<i>" not in page and "\u202e" not in page


def test_the_same_evidence_gives_the_same_page(folder):
    assert experiment_page(read_experiment(folder), "x") == experiment_page(read_experiment(folder), "x")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "frontier"}', '{"points": NaN}'])
def test_what_is_no_evidence_is_refused(folder, text):
    (folder / "evidence.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        write_experiment(folder)
    assert caught.value.code == "report.evidence" and not (folder / "report.html").exists()
