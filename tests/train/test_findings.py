"""Each finding is made on rows that show it, and on healthy rows none is."""

import ast
import dataclasses
import json
import math
import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import config_for, pairs

from prefsmith.train.findings import (
    MIN_STEPS,
    Doctor,
    Sample,
    distance,
    drift,
    findings,
    held_out,
    kl_estimate,
    matched,
    mean_interval,
    sample_of,
    training,
)
from prefsmith.train.findings import rows as cuts
from prefsmith.train.findings import samples as drifts
from prefsmith.train.findings.estimate import difference, student_95
from prefsmith.train.findings.samples import repeated


def steps(count=60, **changes):
    """A run in which everything goes well: loss 0.69 to 0.52, margin to 6 nats, chosen answers a little likelier."""
    random, rows = Random(0), []
    for step in range(1, count + 1):
        done = step / count
        row = {
            "step": step,
            "loss": math.log(2) - 0.17 * done + random.gauss(0, 0.02),
            "margin": 6 * done + random.gauss(0, 0.5),
            "accuracy": min(1.0, 0.5 + 0.2 * done + random.gauss(0, 0.03)),
            "chosen_logratio": 0.5 * done + random.gauss(0, 0.2),
            "rejected_logratio": -5.5 * done + random.gauss(0, 0.3),
            "grad_norm": 0.8 + random.gauss(0, 0.05),
            "learning_rate": 1e-5,
        }
        rows.append({**row, **{key: value(done) for key, value in changes.items()}})
    return rows


def evaluation(step=60, **changes):
    return {
        "step": step, "split": "eval", "loss": 0.55, "accuracy": 0.70, "accuracy_low": 0.63, "accuracy_high": 0.76,
        "accuracy_n": 200.0, "margin": 5.0, "chosen_logratio": 0.4, "rejected_logratio": -4.6, "pairs": 200,
        "shorter_accuracy": 0.52, "shorter_accuracy_low": 0.45, "shorter_accuracy_high": 0.59, **changes,
    }  # fmt: skip


TEXT = "the quick brown fox jumps over the lazy dog and then goes home to sleep"


def samples(step, count=16, *, tokens=40, ended=True, per_token=-2.0, text=TEXT, kl=1.0):
    random = Random(step)
    rows = []
    for number in range(count):
        length = max(1, tokens + random.randint(-6, 6))
        reference = length * (per_token + random.gauss(0, 0.1))
        policy = reference + (kl + random.gauss(0, 0.1) if step else 0.0)
        rows.append(Sample(step, f"rows:{number}", "eval", "p", text, length, ended, policy, reference))
    return rows


BEFORE = samples(0)
DATA = {
    "train": {"rows": 1000, "rejected": 0},
    "train_encoded": {"groups": 900, "completion_tokens": 36000, "with an answer cut": 9, "rejected": 0},
}


def names(rows, drawn=(), **facts):
    return {finding.name for finding in findings(rows, drawn, **facts)}


def test_a_healthy_run_gives_no_warning_and_says_what_it_shows():
    found = findings([*steps(), evaluation()], BEFORE + samples(60), data=DATA, tokens_per_completion=20.0)
    assert [(each.severity, each.name) for each in found] == [("good", "shown")]
    assert "70.0 % [63.0, 76.0] on 200 held-out pairs" in found[0].amount and "52 %" in found[0].amount


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_run_is_healthy_whatever_its_noise(seed):
    random = Random(seed)
    rows = [{**row, "loss": row["loss"] + random.gauss(0, 0.03)} for row in steps(90)]
    found = findings([*rows, evaluation()], samples(0) + samples(1 + seed), data=DATA, tokens_per_completion=20.0)
    assert not [each for each in found if each.severity == "warning"]


def test_warnings_come_first():
    order = [each.severity for each in findings([*steps(loss=lambda done: 0.69), evaluation(accuracy_n=20.0)])]
    assert order == sorted(order, key=("warning", "note", "good").index) and len(set(order)) == 3


def test_a_run_of_few_steps_is_too_short_and_nothing_else_is_judged():
    rows = steps(MIN_STEPS - 1, loss=lambda done: 0.7 + done, grad_norm=lambda done: 10**done)
    assert names([*rows, evaluation(accuracy_low=0.4)], BEFORE + samples(5, text="a " * 40)) == {"too_short"}
    assert "too_short" not in names(steps(MIN_STEPS))
    assert names([]) == {"too_short", "nothing_held_out"}


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda done: 0.6931, "loss_still"),
        (lambda done: 0.6931 - 0.001 * done, "loss_still"),  # it falls surely, and by next to nothing
        (lambda done: 0.69 + 0.1 * math.sin(97 * done), "loss_still"),  # noise alone
        (lambda done: 0.69 + 0.3 * done, "loss_rose"),
    ],
)
def test_a_loss_that_does_not_fall(loss, expected):
    weak = evaluation(accuracy=0.52, accuracy_low=0.45, accuracy_high=0.59)
    assert expected in names([*steps(loss=loss), weak])


def test_a_loss_in_whose_noise_nothing_shows_is_no_finding_where_held_out_rows_show_it():
    noisy = steps(loss=lambda done: 0.69 - 0.02 * done + 0.1 * math.sin(97 * done))
    assert "loss_still" not in names([*noisy, evaluation()])
    assert "loss_still" in names(noisy)


def test_the_cause_of_a_still_loss_is_taken_from_the_settings(tmp_path):
    still = steps(loss=lambda done: 0.6931)

    def cause(**optim):
        config = config_for(tmp_path, pairs(4), optim=optim)
        return next(each for each in findings(still, config=config) if each.name == "loss_still").cause

    assert "warm-up takes 60 of 60 steps" in cause(warmup_steps=60)
    assert "1e-09" in cause(learning_rate=1e-9)
    assert "labels" in cause(learning_rate=1e-4)


@pytest.mark.parametrize(("fell", "severity"), [(0.5, None), (0.9, "note"), (6.0, "warning")])
def test_chosen_answers_that_become_less_likely(fell, severity):
    rows = [*steps(chosen_logratio=lambda done: -fell * done), evaluation(chosen_logratio=-fell)]
    found = {each.name: each for each in findings(rows, tokens_per_completion=30.0)}
    assert (found["chosen_fell"].severity if "chosen_fell" in found else None) == severity
    if severity == "warning":
        assert "0.20 nats per token, 6.0 nats an answer, on held-out rows" in found["chosen_fell"].amount
        assert "rejected ones even less" in found["chosen_fell"].what


def test_chosen_answers_that_fall_more_than_the_rejected_are_not_said_to_fall_less():
    rows = steps(chosen_logratio=lambda done: -9.0 * done, margin=lambda done: -3.0 * done)
    found = next(each for each in findings(rows, tokens_per_completion=30.0) if each.name == "chosen_fell")
    assert "rejected" not in found.what and "over the last steps" in found.amount


def test_chosen_answers_that_scatter_around_where_they_were_have_not_fallen():
    scattered = steps(chosen_logratio=lambda done: -2.0 + 12.0 * (-1) ** round(60 * done))
    assert "chosen_fell" not in names(scattered, tokens_per_completion=20.0)


def test_margins_that_are_saturated_early_and_not_late():
    early = steps(accuracy=lambda done: 1.0, loss=lambda done: 0.69 * math.exp(-40 * done))
    late = steps(accuracy=lambda done: min(1.0, 0.5 + 0.8 * done), loss=lambda done: 0.69 * (1 - 0.99 * done))
    assert "saturated" in names(early) and "saturated" not in names(late)
    assert "saturated" not in names(steps(accuracy=lambda done: 1.0))  # told apart, and not surely


def test_a_gradient_that_grows(tmp_path):
    assert "gradient_grows" in names(steps(grad_norm=lambda done: 0.5 * 40**done))
    assert "gradient_grows" not in names(steps(grad_norm=lambda done: 0.5 * 1.5**done))
    config = config_for(tmp_path, pairs(4))
    assert "always_clipped" in names(steps(grad_norm=lambda done: 3.0), config=config)
    assert "always_clipped" not in names(steps(grad_norm=lambda done: 3.0 if done > 0.2 else 0.5), config=config)


@pytest.mark.parametrize(
    ("changes", "name", "severity"),
    [
        ({"accuracy": 0.53, "accuracy_low": 0.46, "accuracy_high": 0.60}, "nothing_shown", "warning"),
        ({"accuracy": 0.40, "accuracy_low": 0.33, "accuracy_high": 0.47}, "below_chance", "warning"),
        ({"shorter_accuracy": 0.72}, "not_above_length", "warning"),
        ({"shorter_accuracy": 0.66}, "not_above_length", "note"),
        ({"shorter_accuracy": 0.28}, "not_above_length", "warning"),  # the longer answer is better, just as simple
        ({"shorter_accuracy": None}, "signs_agree", "note"),
        ({"accuracy_n": 40.0}, "few_held_out", "note"),
    ],
)
def test_what_held_out_rows_show(changes, name, severity):
    found = {each.name: each for each in findings([*steps(), evaluation(**changes)])}
    assert found[name].severity == severity
    assert "shown" not in found or name == "few_held_out"


@pytest.mark.parametrize(("value", "needed"), [(0.55, "385"), (0.6, "97"), (0.505, "385")])
def test_how_many_pairs_would_show_it(value, needed):
    rows = [*steps(), evaluation(accuracy=value, accuracy_low=0.4, accuracy_high=0.7)]
    amount = next(each for each in findings(rows) if each.name == "nothing_shown").amount
    assert f"about {needed}" in amount


def test_the_number_of_pairs_is_the_one_at_which_wilsons_interval_leaves_one_half_out():
    from prefsmith.stats import wilson

    assert wilson(0.55 * 385, 385).low > 0.5 > wilson(0.55 * 384, 384).low


def test_overfitting():
    rising = [evaluation(step, loss=loss) for step, loss in ((20, 0.6), (40, 0.5), (60, 0.7))]
    assert "overfit" in names([*steps(), *rising])
    falling = [evaluation(step, loss=loss) for step, loss in ((20, 0.6), (40, 0.5), (60, 0.49))]
    assert "overfit" not in names([*steps(), *falling])
    assert "overfit" in names([*steps(accuracy=lambda done: 0.5 + 0.5 * done), evaluation()])


def test_losses_continued_outside_their_domain():
    assert "outside_domain" in names(steps(outside_domain=lambda done: 2))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (samples(60, tokens=46), "lengths_drifted"),
        (samples(60, tokens=80), "lengths_drifted"),
        (samples(60, ended=False), "samples_do_not_end"),
        (samples(60, text="happy happy " * 10), "samples_repeat"),
        (samples(60, per_token=-2.6), "samples_unlike_start"),
    ],
)
def test_what_samples_show(after, expected):
    assert names([*steps(), evaluation()], BEFORE + after) == {"shown", expected}


def test_how_much_longer_decides_how_serious_it_is():
    def severity(tokens):
        found = findings([*steps(), evaluation()], BEFORE + samples(60, tokens=tokens))
        return next(each.severity for each in found if each.name == "lengths_drifted")

    assert severity(46) == "note" and severity(80) == "warning" and severity(20) == "warning"


def test_lengths_within_their_noise_are_no_drift():
    random = Random(3)
    rows = [
        Sample(step, f"rows:{number}", "eval", "p", TEXT, random.randint(5, 200), True, None, None)
        for step in (0, 60)
        for number in range(12)
    ]
    assert abs(drift(rows).tokens.by.value) > 0.1 * drift(rows).tokens.before  # far apart, and it means nothing
    assert "lengths_drifted" not in names([*steps(), evaluation()], rows)


def test_one_cut_sample_of_few_is_no_habit():
    after = [*samples(60, count=3), *samples(60, count=4, ended=False)[3:]]
    assert drift(BEFORE[:4] + after).ended.by.value == -0.25
    assert "samples_do_not_end" not in names([*steps(), evaluation()], BEFORE[:4] + after)


def test_samples_that_never_ended_are_said_to_be_cut_and_not_blamed_on_training():
    found = names([*steps(), evaluation()], samples(0, ended=False) + samples(60, ended=False))
    assert "samples_are_cut" in found and "samples_do_not_end" not in found


def test_too_few_samples_show_nothing():
    assert names([*steps(), evaluation()], BEFORE[:3] + samples(60, count=3, tokens=90, ended=False)) == {"shown"}


@pytest.mark.parametrize(
    ("per_token", "severity"),
    [(-2.2, None), (-1.2, None), (-2.7, "note"), (-4.0, "warning")],  # the model's own samples have -2.0
)
def test_data_that_the_model_would_not_write(per_token, severity):
    rows = steps(reference_per_token=lambda done: per_token + 0.05 * math.sin(97 * done))
    found = {each.name: each for each in findings([*rows, evaluation()], BEFORE + samples(60))}
    assert (found["off_policy"].severity if "off_policy" in found else None) == severity


def test_data_are_compared_with_the_start_and_not_with_a_reference_that_moved():
    rows = steps(reference_per_token=lambda done: -2.0 if done < 0.5 else -9.0)
    assert "off_policy" in names([*rows, evaluation()], BEFORE)
    moved = [{**row, "reference_moved": True} if row["step"] == 29 else row for row in rows]
    assert "off_policy" not in names([*moved, evaluation()], BEFORE)


def test_of_another_model_as_reference_nothing_follows_for_the_start(tmp_path):
    rows = steps(reference_per_token=lambda done: -4.0)
    other = config_for(tmp_path, pairs(4), reference={"path": "another"})
    assert "off_policy" in names(rows, BEFORE, config=config_for(tmp_path, pairs(4)))
    assert "off_policy" not in names(rows, BEFORE, config=other)


def test_few_samples_that_scatter_say_nothing_of_the_data():
    far_apart = [Sample(0, str(n), "eval", "p", TEXT, 10, True, -10.0 * n, -10.0 * n) for n in range(4)]
    assert "off_policy" not in names(steps(reference_per_token=lambda done: -2.5), far_apart)


@pytest.mark.parametrize(
    ("budget", "severity"), [(None, None), (2.0, None), (0.98, "note"), (0.5, "warning")]
)  # samples after training are 1.0 nats away, give or take 0.05
def test_a_budget_of_kl(tmp_path, budget, severity):
    config = config_for(tmp_path, pairs(4), evaluate={"samples": 16, "kl_budget": budget})
    found = {each.name: each for each in findings([*steps(), evaluation()], BEFORE + samples(60), config=config)}
    assert (found["kl_budget_passed"].severity if "kl_budget_passed" in found else None) == severity


def test_while_a_run_goes_on_its_budget_is_measured_at_evaluations(tmp_path):
    config = config_for(tmp_path, pairs(4), evaluate={"samples": 16, "kl_budget": 5.0})
    row = evaluation(kl=6.0, kl_low=5.5, kl_high=6.5, kl_n=16.0)
    found = next(each for each in findings([*steps(), row], BEFORE, config=config) if each.name == "kl_budget_passed")
    assert found.severity == "warning" and "6.00 nats an answer [5.50, 6.50] after step 60" in found.amount
    assert "kl_budget_passed" not in names([*steps(), {**row, "kl": None}], BEFORE, config=config)


# While a run goes on


def told(folder, rows, *, steps=60, before=(), drawn=(), data=DATA, end=True, **sections):
    """What is said of rows that come one by one, and of the run at its end."""
    folder.mkdir(exist_ok=True)
    said: list[str] = []

    def write(samples):
        lines = (json.dumps(dataclasses.asdict(each)) + "\n" for each in samples)
        (folder / "samples.jsonl").write_text("".join(lines), encoding="utf-8")

    write(BEFORE)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in before), encoding="utf-8")
    doctor = Doctor(folder, steps, config_for(folder, pairs(4), **sections), data, said.append)
    doctor.begin()
    for row in rows:
        doctor.see(row)
    if end:
        write([*BEFORE, *drawn])
        doctor.end()
    return said


def test_of_a_healthy_run_nothing_is_said(tmp_path):
    rows = steps(reference_per_token=lambda done: -2.0)
    assert told(tmp_path, [*rows, evaluation()], drawn=samples(60)) == []


@pytest.mark.parametrize(
    ("changes", "name", "first"),
    [
        ({"loss": lambda done: 0.6931}, "loss_still", 30),
        ({"loss": lambda done: 0.69 + 0.3 * done}, "loss_rose", 15),
        ({"grad_norm": lambda done: 0.5 * 40 ** (3 * done)}, "gradient_grows", 15),
        ({"chosen_logratio": lambda done: -40.0 * done}, "chosen_fell", 15),
        ({"accuracy": lambda done: 1.0, "loss": lambda done: 0.69 * math.exp(-80 * done)}, "saturated", 10),
        ({"outside_domain": lambda done: 2}, "outside_domain", 10),
        ({"reference_per_token": lambda done: -4.0 + 0.1 * math.sin(97 * done)}, "off_policy", 10),
    ],
)
def test_what_can_be_known_early_is_told_once_and_not_at_the_first_steps(tmp_path, changes, name, first):
    rows = steps(**changes)
    assert [line for line in told(tmp_path / "a", rows[: first - 1], end=False) if name in line] == []
    lines = [line for line in told(tmp_path / "b", [*rows, evaluation()], drawn=samples(60)) if f"[{name}]" in line]
    severities = [line.partition(":")[0] for line in lines]
    assert severities in (["warning"], ["note", "warning"]), lines
    assert "What helps:" in lines[-1]


def test_what_only_a_whole_run_shows_is_told_at_its_end(tmp_path):
    weak = evaluation(accuracy=0.52, accuracy_low=0.45, accuracy_high=0.59)
    drawn = samples(60, tokens=80, ended=False, text="happy happy " * 10)
    rows = [*steps(accuracy=lambda done: 0.55), weak]
    assert told(tmp_path, rows, drawn=drawn, end=False) == []
    names = {re.search(r"\[(\w+)\]", line)[1] for line in told(tmp_path, rows, drawn=drawn)}
    assert names == {"nothing_shown", "lengths_drifted", "samples_do_not_end", "samples_repeat"}


def test_a_note_that_becomes_a_warning_is_told_again_and_nothing_else_is(tmp_path):
    rows = steps(120, chosen_logratio=lambda done: -7.0 * done)
    lines = told(tmp_path, rows, steps=120, end=False)
    assert [line.partition("]")[0] for line in lines] == ["note: [chosen_fell", "warning: [chosen_fell"]


def test_a_run_that_goes_on_does_not_say_again_what_it_said(tmp_path):
    rows = steps(outside_domain=lambda done: 2, chosen_logratio=lambda done: -40.0 * done * (done > 0.6))
    first = told(tmp_path / "a", rows[:30], end=False)
    second = told(tmp_path / "b", rows[30:], before=rows[:30], end=False)
    assert any("outside_domain" in line for line in first) and not any("outside_domain" in line for line in second)
    assert any("chosen_fell" in line for line in second)  # with the rows from before it can be judged


def test_what_was_done_to_rows_is_not_said_twice(tmp_path):
    data = {"train": {"rows": 100, "rejected": 50}, "eval_prompts_in_train": 3}
    assert told(tmp_path, [*steps(), evaluation()], drawn=samples(60), data=data) == []


def test_torn_files_of_an_earlier_start_stop_nothing(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1, "loss": 0.5}\n[1]\n{"step"')
    (tmp_path / "samples.jsonl").write_bytes(b"\xff\n")
    doctor = Doctor(tmp_path, 10, config_for(tmp_path, pairs(4)), {}, lambda line: None)
    doctor.begin()
    assert len(doctor.rows) == 1
    doctor.see({"step": 2})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"train_encoded": {"groups": 100, "with an answer cut": 10}}, {"answers_cut": "note"}),
        ({"train_encoded": {"groups": 100, "with an answer cut": 30}}, {"answers_cut": "warning"}),
        ({"train_encoded": {"groups": 100, "with a prompt cut": 30}}, {"prompts_cut": "note"}),
        ({"train": {"rows": 100, "rejected": 2}}, {"rows_refused": "note"}),
        ({"train": {"rows": 100, "rejected": 5}, "train_encoded": {"rejected": 7}}, {"rows_refused": "warning"}),
        ({"eval_prompts_in_train": 3}, {"prompts_leaked": "warning"}),
        ({"train": None, "train_encoded": [1], "eval": "x"}, {}),
    ],
)
def test_what_became_of_the_rows(data, expected):
    found = {each.name: each.severity for each in findings([*steps(), evaluation()], data=data)}
    assert found == {"shown": "good", **expected}


def test_rows_of_any_kind_are_survived():
    """Metrics of a run that is going on, of one without a reference, and of one that was damaged."""
    nothing = {"step": 1, "loss": float("nan"), "margin": None, "accuracy": "high", "grad_norm": True}
    assert "nothing_held_out" in names([nothing] * 20)
    assert names([{}] * 20 + [{"split": "eval"}] * 3) is not None
    assert names([{**nothing, "loss": 10**400}] * 20) is not None
    bare = [{key: value for key, value in row.items() if key in ("step", "loss")} for row in steps()]
    assert names([*bare, {"split": "eval", "step": 60, "loss": 0.5}]) == set()


# Samples and estimates


def test_samples_are_matched_by_source_and_order():
    before = [
        Sample(0, source, "eval", "p", text, 1, True, 0, 0) for source, text in (("a", "1"), ("b", "2"), ("b", "3"))
    ]
    after = [
        Sample(9, source, "eval", "p", text, 1, True, 0, 0) for source, text in (("b", "4"), ("b", "5"), ("c", "6"))
    ]
    assert [(one.completion, two.completion) for one, two in matched(before + after)] == [("2", "4"), ("3", "5")]
    assert matched(before) == []


def test_samples_of_an_earlier_step_are_not_taken_for_the_last():
    middle = [Sample(5, "a", "eval", "p", "middle", 1, True, 0, 0)]
    rows = [Sample(step, "a", "eval", "p", str(step), 1, True, 0, 0) for step in (0, 9)]
    assert [two.completion for _, two in matched(rows[:1] + middle + rows[1:])] == ["9"]


def test_kl_is_the_mean_of_the_difference_of_log_probabilities():
    rows = [Sample(9, str(n), "eval", "p", "x", 4, True, -3.0 + n, -5.0) for n in range(5)]
    assert kl_estimate(rows).value == pytest.approx(4.0) and kl_estimate(rows).n == 5
    assert kl_estimate([Sample(9, "a", "eval", "p", "x", 4, True, -3.0, None)] * 9) is None


def test_repetition_is_counted_in_runs_of_four_words():
    assert repeated("a b c d e f") == 0
    assert repeated("a b c d a b c d") == pytest.approx(1 / 5)
    assert repeated("a b c") is None


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"step": 0, "prompt": 3, "completion": "x"},
        {"step": None, "prompt": "p", "completion": "x"},
        {"step": 0, "prompt": ["no message"], "completion": "x"},
        {"step": 0, "prompt": "p", "completion": None},
    ],
)
def test_a_row_that_is_no_sample_is_none(row):
    assert sample_of(row) is None


def test_a_sample_is_read_from_its_row():
    prompt = [{"role": "user", "content": "Hi"}, {"role": "tool", "content": None}]
    row = {"step": 4, "source": "f:1", "split": "eval", "prompt": prompt, "completion": "x", "tokens": 3, "ended": True,
           "policy_logprob": -1.5, "reference_logprob": None}  # fmt: skip
    assert sample_of(row) == Sample(4, "f:1", "eval", (("user", "Hi"), ("tool", "")), "x", 3, True, -1.5, None)


@pytest.mark.parametrize(("degrees", "quantile"), [(3, 3.182), (7, 2.365), (30, 2.042), (1000, 1.962)])
def test_the_quantile_of_students_distribution(degrees, quantile):
    assert student_95(degrees) == pytest.approx(quantile, rel=0.01)


def test_an_interval_of_a_mean():
    seen = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.776 * math.sqrt(2.5 / 5)
    assert (seen.value, seen.n) == (3.0, 5) and seen.high - 3 == pytest.approx(half, rel=0.01) == 3 - seen.low
    assert mean_interval([1.0, 2.0, 3.0]) is None and difference([1.0], [2.0, 3.0, 4.0]) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=30), st.floats(-1e6, 1e6))
def test_an_interval_moves_with_its_values(values, shift):
    one, two = mean_interval(values), mean_interval([value + shift for value in values])
    assert one.low <= one.value <= one.high
    assert two.value == pytest.approx(one.value + shift, abs=1e-6) and two.high - two.low >= 0


# What docs/doctor.md says of the findings

ROOT = Path(__file__).parents[2]
SAID = {
    "few_held_out": (held_out.FEW,),
    "overfit": (f"{held_out.LOSS_ROSE:.0%}", f"{100 * held_out.WORSE_THAN_TRAINING:.0f} points"),
    "loss_still": (f"{100 * training.MOVED:g} %",),
    "loss_rose": (f"{training.ROSE:.0%}",),
    "chosen_fell": (f"{training.FELL:g} nats", f"{training.FELL_FAR:g} (a warning)"),
    "saturated": (f"{training.WINDOW} steps", f"{training.SATURATED_ACCURACY:.0%}", f"{training.SATURATED_LOSS:.0%}"),
    "gradient_grows": (f"{training.GREW:g} times",),
    "always_clipped": (f"{training.ALWAYS:.0%}",),
    "lengths_drifted": (f"{drifts.LONGER:.0%} (a note)", f"{drifts.MUCH_LONGER:.0%} (a warning)"),
    "samples_do_not_end": (f"{100 * drifts.ENDS_LESS:.0f} points",),
    "samples_are_cut": (f"{drifts.HARDLY_ENDS:.0%}",),
    "samples_repeat": (f"{100 * drifts.REPEATS_MORE:.0f} points",),
    "samples_unlike_start": (f"{drifts.UNLIKE:g} nats",),
    "answers_cut": (f"{cuts.CUT:.0%} of", f"{cuts.CUT_OFTEN:.0%}: a warning"),
    "prompts_cut": (f"{cuts.PROMPTS_CUT:.0%} of",),
    "off_policy": (f"{distance.FOREIGN:g} nats (a note)", f"{distance.VERY_FOREIGN:g} nats (a warning)"),
    "rows_refused": (f"{cuts.REFUSED:.0%} of", f"{cuts.REFUSED_OFTEN:.0%}: a warning"),
    "too_short": (f"{MIN_STEPS} steps",),
}


def documented():
    text = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    parts = re.split(r"^### `(\w+)`\n", re.sub(r"^## .*\n", "", text, flags=re.M), flags=re.M)
    return {name: " ".join(section.split()) for name, section in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_section_says_when_why_and_what_helps():
    for name, section in documented().items():
        marks = [section.find(mark) for mark in ("**Said when**", "**Cause.**", "**What helps.**")]
        assert marks[0] == 0 < marks[1] < marks[2], name


def test_every_finding_is_explained_and_every_explanation_has_its_finding():
    sources = [*(ROOT / "prefsmith" / "train" / "findings").glob("*.py"), ROOT / "prefsmith" / "report" / "summary.py"]
    calls = [
        node
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding"
    ]
    assert {call.args[0].value for call in calls} == set(documented())


@pytest.mark.parametrize("name", SAID)
def test_the_docs_have_the_thresholds_of_the_program(name):
    for said in SAID[name]:
        assert str(said).replace("%", " %").replace("  ", " ") in documented()[name]
