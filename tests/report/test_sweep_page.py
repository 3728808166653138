"""The page of a search: labels that can be read, and which way is better."""

import re

from prefsmith.report.sweep import page


def found(*worths):
    """Trials of one setting, each with its accuracy and its change of length."""
    trials = [
        {"number": number, "folder": f"trials/{number}", "state": "complete", "values": {"loss.beta": 0.1 * number},
         "worth": [[accuracy, None, None], [length, None, None]], "reason": "", "front": number == 1}
        for number, (accuracy, length) in enumerate(worths, 1)
    ]  # fmt: skip
    return {
        "trials": trials,
        "ranges": [{"key": "loss.beta"}],
        "words": ["held-out accuracy", "change of length"],
        "largest": [True, False],
        "mattered": [],
        "best": trials[0],
    }


def labels(text):
    """What is written in the drawing of the trials, but for the axes' numbers."""
    drawing = text[text.index("<svg") : text.index("</svg>")]
    return re.findall(r">([^<>]+)</text>", drawing)


def test_trials_that_stand_on_one_another_share_a_label():
    said = labels(page(found((0.9, 0.0), (0.5, 0.4), (0.7, 0.2), (0.501, 0.399), (0.5, 0.1))))
    assert {"1", "3", "5", "2, 4"} <= set(said) and not {"2", "4"} & set(said)


def test_the_axes_say_which_way_is_better():
    said = labels(page(found((0.9, 0.0), (0.5, 0.4))))
    assert "held-out accuracy (more is better)" in said and "change of length (less is better)" in said


def test_a_single_trial_is_drawn():
    assert "1" in labels(page(found((0.9, 0.0))))
