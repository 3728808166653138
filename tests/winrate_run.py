"""A contest in a process of its own, which can be killed between two chunks of work.

python tests/winrate_run.py FOLDER WHAT COUNT: kills itself with SIGKILL in front of the COUNT-th call of WHAT (draw or
votes), and never where COUNT is 0. Every call that came to its end is a line of FOLDER/done.jsonl.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from prefsmith.evaluate import answers, judged
from prefsmith.feedback.rules import RuleJudge, longer
from prefsmith.methods import winrate

CONTEST = {"temperatures": (0.0, 0.7), "max_new_tokens": 6, "batch": 4, "samples": 1, "seed": 3}


def counted(folder: Path, what: str, call: Callable[..., Any], kill: tuple[str, int], rows: Callable[..., Any]) -> Any:
    calls = 0

    def counting(*words: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if kill == (what, calls):
            os.kill(os.getpid(), signal.SIGKILL)
        found = call(*words, **options)
        with (folder / "done.jsonl").open("a") as file:
            file.write(json.dumps([what, rows(*words)]) + "\n")
        return found

    return counting


def run(folder: Path, what: str = "", count: int = 0) -> winrate.WinRates:
    """The contest of the two models in the folder."""
    kill = (what, count)
    answers.draw = counted(
        folder, "draw", answers.draw, kill,
        lambda _, encoder, groups, how: [how.seed, how.temperature, [each.prompt for each in groups]],
    )  # fmt: skip
    judged.TOGETHER = winrate.TOGETHER = 4
    judge = RuleJudge("longer", longer())
    judge.votes = counted(
        folder, "votes", judge.votes, kill,
        lambda groups: [[each.prompt, *(one.content for one in each.completions)] for each in groups],
    )  # fmt: skip
    contest = winrate.Contest(
        methods=(f"ours={folder / 'ours'}",), against=f"theirs={folder / 'theirs'}", data=str(folder / "prompts.jsonl"),
        **CONTEST,
    )  # fmt: skip
    return winrate.measure_win_rates(contest, lambda _: nullcontext(judge), folder / "out", say=lambda _: None)


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
