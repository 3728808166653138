"""Where a run stands: means, rates, what is left, and a line that fits."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from prefsmith.cli.progress import PRIORITY, WINDOW, Position, Progress, duration, line, rate, size


def row(step, **others):
    base = {"loss": 0.5, "margin": 1.0, "accuracy": 0.75, "pairs": 10, "tokens": 1000, "seconds": 2.0}
    return {"step": step, **base, "peak_memory_bytes": 3 * 2**29, **others}


def after(rows, *, steps=100, pause=0.0):
    """The position after the rows, each coming when its seconds and a pause are over."""
    progress, now, position = Progress(steps), 50.0, None
    for each in rows:
        now += each["seconds"]
        position = progress.add(each, now)
        now += pause
    return progress, position


def test_the_first_step_is_shown_as_it_is():
    _, position = after([row(1)])
    assert (position.loss, position.margin, position.accuracy) == (0.5, 1.0, 0.75)
    assert (position.tokens_per_second, position.pairs_per_second) == (500.0, 5.0)
    assert (position.began, position.now, position.left) == (50.0, 52.0, 99 * 2.0)


def test_means_are_of_the_last_steps_weighted_by_pairs():
    old = [row(k, loss=100.0, accuracy=0.0) for k in range(1, 6)]
    new = [row(6 + k, loss=0.0, accuracy=1.0, pairs=30 if k == 0 else 10) for k in range(WINDOW)]
    new[0]["loss"] = new[0]["accuracy"] = 0.5
    _, position = after([*old, *new])
    weight = 30 + 10 * (WINDOW - 1)
    assert position.loss == pytest.approx(0.5 * 30 / weight)
    assert position.accuracy == pytest.approx(1 - 0.5 * 30 / weight)


def test_steps_without_a_value_count_in_no_mean():
    _, position = after([row(1, margin=None), row(2, margin=3.0), row(3, margin=None)])
    assert position.margin == 3.0
    assert after([row(1, margin=None)])[1].margin is None


def test_rates_are_totals_over_totals():
    """The mean of the steps' rates would be 550."""
    _, position = after([row(1, tokens=1000, seconds=1.0), row(2, tokens=1000, seconds=10.0)])
    assert position.tokens_per_second == pytest.approx(2000 / 11)


def test_a_resumed_run_counts_its_own_steps():
    progress, position = after([row(51), row(52)])
    assert (position.done, position.left) == (2, 48 * 2.0)
    assert progress.summary(position) == "2 steps in 0:04, 500 scored tokens/s, 5 pairs/s, memory at most 1.5 GiB"


def test_what_is_left_includes_what_happens_between_steps():
    """Ten steps of 2 s with 2 s behind each but the last: 38 s for 20 s of steps."""
    _, position = after([row(k) for k in range(1, 11)], steps=20, pause=2.0)
    assert position.left == pytest.approx(10 * 2.0 * 38 / 20)


def test_what_is_left_follows_a_change_of_speed():
    rows = [row(k) for k in range(1, 11)] + [row(k, seconds=4.0) for k in range(11, 11 + WINDOW)]
    assert after(rows, steps=40)[1].left == pytest.approx(10 * 4.0)


def test_a_row_without_times_has_no_rates():
    _, position = after([row(1, seconds=0.0)])
    assert position.tokens_per_second is None and position.left == 0.0


POSITION = Position(
    step=123, steps=1000, done=123, loss=0.65124, margin=1.2345, accuracy=0.625, tokens_per_second=2345.6,
    pairs_per_second=12.34, memory=2 * 2**30, began=0.0, now=123.0, step_seconds=1.0, left=877.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (0, ""),
        (6, "123..."),
        (8, "123/1000"),
        (17, " 123/1000"),
        (22, " 123/1000  loss 0.6512"),
        (30, " 123/1000  loss 0.6512"),
        (34, " 123/1000  loss 0.6512  14:37 left"),
        (37, " 123/1000  loss 0.6512  14:37 left"),
        (49, " 123/1000  loss 0.6512  accuracy 0.62  14:37 left"),
        (78, " 123/1000  loss 0.6512  accuracy 0.62  2,346 tokens/s  2.0 GiB  14:37 left"),
        (91, " 123/1000  loss 0.6512  margin +1.234  accuracy 0.62  2,346 tokens/s  2.0 GiB  14:37 left"),
        (
            200,
            "###" + "-" * 27 + "   123/1000  loss 0.6512  margin +1.234  accuracy 0.62  2,346 tokens/s  12.3 pairs/s  "
            "2.0 GiB  2:03 so far  14:37 left",
        ),
    ],
)
def test_the_line_drops_what_has_no_room(width, shown):
    assert "".join(line(POSITION, 123.0, width)) == shown


@given(
    width=st.integers(0, 200),
    step=st.integers(0, 10**7),
    more=st.integers(0, 10**7),
    loss=st.none() | st.floats(-1e6, 1e6),
    pace=st.none() | st.floats(0, 1e9),
    quiet=st.floats(0, 1e6),
)
def test_the_line_fits_and_begins_with_what_matters(width, step, more, loss, pace, quiet):
    position = replace(POSITION, step=step, steps=step + more, loss=loss, tokens_per_second=pace)
    text = "".join(line(position, position.now + quiet, width))
    assert cell_len(text) <= width
    assert width < 15 or f"{step}/{step + more}" in text


def test_every_part_has_its_rank():
    assert len(set(PRIORITY)) == len(PRIORITY) == 10


@pytest.mark.parametrize(
    ("step", "quiet", "usual", "says"),
    [
        (123, 0.0, 1.0, "14:37 left"),
        (123, 4.0, 1.0, "14:33 left"),
        (123, 6.0, 1.0, "no step for 0:06"),
        (123, 20.0, 10.0, "14:17 left"),
        (123, 31.0, 10.0, "no step for 0:31"),
        (1000, 0.0, 1.0, "finishing 0:00"),
        (1000, 75.0, 1.0, "finishing 1:15"),
    ],
)
def test_the_line_says_when_something_else_goes_on(step, quiet, usual, says):
    position = replace(POSITION, step=step, step_seconds=usual)
    assert line(position, position.now + quiet, 60)[1].endswith(says)


def test_the_bar_is_told_without_colour():
    assert line(replace(POSITION, step=0), 123.0, 200)[0] == "-" * 30 + "  "
    assert line(replace(POSITION, step=500), 123.0, 200, marks=("=", " "))[0] == "=" * 15 + " " * 15 + "  "
    assert line(replace(POSITION, step=1000), 123.0, 200)[0] == "#" * 30 + "  "


def test_numbers_are_readable():
    assert [duration(each) for each in (-1, 59.9, 60, 3599, 3600, 90061)] == [
        "0:00", "0:59", "1:00", "59:59", "1:00:00", "25:01:01",
    ]  # fmt: skip
    assert [rate(each, "x/s") for each in (None, 0.0123, 12.34, 999.6, 12345.6)] == [
        "", "0.0123 x/s", "12.3 x/s", "1,000 x/s", "12,346 x/s",
    ]  # fmt: skip
    assert [size(each) for each in (0, 5 * 2**20, 2**30, 3 * 2**29)] == ["0 MiB", "5 MiB", "1.0 GiB", "1.5 GiB"]
