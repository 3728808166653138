"""`prefsmith eval winrate`."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prefsmith.cli.terminal import complain, cut, say
from prefsmith.errors import ConfigError

if TYPE_CHECKING:
    from prefsmith.evaluate.bootstrap import Interval
    from prefsmith.evaluate.contest import Standing
    from prefsmith.feedback.judge import Judge
    from prefsmith.feedback.settings import LocalConfig, RewardConfig, RuleConfig, ServerConfig, VotesConfig
    from prefsmith.methods.winrate import Contest, WinRates
    from prefsmith.stats import Share

HELP = """Measure how often models win against a baseline, over sampling temperatures.

For example:

    prefsmith eval winrate runs/first --against reference --data prompts.jsonl --judge reward.py:score
    prefsmith eval winrate dpo=runs/a ipo=runs/b --against MODEL --data prompts.jsonl --judge judge.yaml
    prefsmith eval winrate ours.jsonl --against theirs.jsonl --judge votes.jsonl

A side is a model's folder or hub id, an adapter's or a run's folder, or a file of answers with rows of prompt and \
completion; NAME=SIDE names it on the chart. --against reference is what the first side was trained from.

--judge is `longer` or `shorter`, FILE.py:NAME (a reward), the folder of a reward model, VOTES.jsonl, or a YAML file \
with a section `judge`. A tie counts one half. What has no verdict is counted and is not in the rate.

Everything sampled and judged is kept in --out as soon as it is known: the same command again goes on there. The pages \
of the runs that are compared show the result too.

Exit status: 0 done, 1 a bug of ours, 2 a wrong option or folder, 3 wrong data, 4 the judge or the disk stopped it."""

NAME = 24
"""Cells of the column of names."""


def winrate(
    *methods: Annotated[str, Parameter(help="Sides that are compared with the baseline.")],
    against: Annotated[str, Parameter(help="The baseline: a side, or reference.")],
    judge: Annotated[str, Parameter(help="Who says which answer is better.")],
    data: Annotated[str | None, Parameter(help="File whose prompts are answered.")] = None,
    temperatures: Annotated[str, Parameter(help="That models are sampled at.")] = "0,0.25,0.5,0.75,1",
    against_temperature: Annotated[
        float | None, Parameter(help="Of the baseline. Default: that of the method.")
    ] = None,
    samples: Annotated[int, Parameter(help="Answers to each prompt; at temperature 0 one.")] = 1,
    max_new_tokens: Annotated[int, Parameter(help="Most tokens of an answer.")] = 128,
    top_p: Annotated[float, Parameter(help="Share of probability that is kept.")] = 1.0,
    limit: Annotated[int | None, Parameter(help="Most prompts.")] = None,
    skip_missing: Annotated[bool, Parameter(negative=(), help="Leave out prompts that a file lacks.")] = False,
    seed: Annotated[int, Parameter(help="Of samples and intervals.")] = 0,
    batch: Annotated[int, Parameter(help="Answers that are written together.")] = 64,
    template: Annotated[str, Parameter(help="auto, plain, or a Jinja file.")] = "auto",
    device: Annotated[str, Parameter(help="auto, cpu, cuda, mps.")] = "auto",
    trust_remote_code: Annotated[bool, Parameter(negative=(), help="Run the models' own code.")] = False,
    out: Annotated[Path | None, Parameter(help="Folder. Default: eval/winrate-NAME, of the first side.")] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print evidence.json.")] = False,
    dry_run: Annotated[bool, Parameter(negative=(), help="Say what would be done, and stop.")] = False,
) -> None:
    """Measure how often models win against a baseline, over sampling temperatures."""
    config = _judge(judge)
    from prefsmith.feedback.opening import open_judge  # inside: --help answers without torch
    from prefsmith.methods.winrate import Contest, line_up, measure_win_rates

    contest = Contest(
        methods=methods,
        against=against,
        data=data,
        temperatures=_temperatures(temperatures),
        against_temperature=against_temperature,
        samples=samples,
        max_new_tokens=max_new_tokens,
        top_p=top_p,
        limit=limit,
        seed=seed,
        batch=batch,
        template=template,
        device=device,
        trust_remote_code=trust_remote_code,
        skip_missing=skip_missing,
    )
    line = line_up(contest)
    folder = out or Path("eval") / f"winrate-{_slug(line.methods[0].name)}"
    if dry_run:
        say(_plan(contest, len(line.asked.groups), folder))
        return

    def judging(journal: Path) -> "AbstractContextManager[Judge]":
        return open_judge(config, journal=journal, say=complain)

    found = measure_win_rates(contest, judging, folder, say=complain)
    for text in [json.dumps(found.evidence, indent=1)] if as_json else lines(found):
        say(text)


def lines(found: "WinRates") -> Iterator[str]:
    """The main table, what lies between methods, and what a reader must know."""
    baseline = str(found.evidence["baseline"])
    yield f"win rate against {baseline} (a tie is half a win; in brackets 95 % intervals)"
    yield _line("method", "temp.", "win rate", "at equal length", "won/tied/lost", "invalid")
    for each in found.standings:
        yield _row(each)
    for pair in found.between:
        at = "" if pair.temperature is None else f" at {pair.temperature:g}"
        gap = _interval(pair.difference, "+.3f")
        yield f"{pair.first} less {pair.second}{at}: {gap}, p {pair.test.p:.4f}, {pair.prompts:,} prompts"
    for warning in found.warnings:
        yield f"warning: {warning}"
    yield f"the page is {found.page}"
    yield from found.joined


def _row(standing: "Standing") -> str:
    rate, equal = standing.rate, standing.equal_length
    return _line(
        standing.method,
        "file" if standing.temperature is None else f"{standing.temperature:g}",
        "none" if rate.rate is None else _interval(rate.rate),
        "" if equal is None else _interval(equal.rate),
        f"{rate.wins:,}/{rate.ties:,}/{rate.losses:,}",
        f"{rate.invalid:,}",
    )


def _interval(rate: "Share | Interval", form: str = ".3f") -> str:
    """The ends are not known where there is one prompt."""
    ends = "unknown" if math.isnan(rate.low) else f"{rate.low:{form}}, {rate.high:{form}}"
    return f"{rate.value:{form}} [{ends}]"


def _line(name: str, *cells: str) -> str:
    widths = (6, 23, 23, 15, 9)
    padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return f"  {cut(name, NAME):{NAME}}{''.join(padded)}"


def _plan(contest: "Contest", prompts: int, folder: Path) -> str:
    sides = ", ".join(contest.methods)
    temperatures = ", ".join(f"{each:g}" for each in contest.temperatures)
    return (
        f"would compare {sides} with {contest.against} on {prompts:,} prompts "
        f"at the temperatures {temperatures}, in {folder}"
    )


def _judge(word: str) -> "RuleConfig | RewardConfig | LocalConfig | ServerConfig | VotesConfig":
    """The judge of a word, or of a YAML file's section `judge`."""
    from prefsmith.feedback.settings import judge_config, judge_word

    if Path(word).suffix not in (".yaml", ".yml"):
        return judge_config(judge_word(word), "--judge")
    from prefsmith.settings import read_yaml

    section = read_yaml(Path(word)).values.get("judge")
    if not isinstance(section, dict):
        what, fix = "the file has no section `judge`", "judge: {kind: rule, rule: longer}"
        raise ConfigError("judge.kind", what, where=word, fix=fix)
    return judge_config(section, word)


def _temperatures(words: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in words.split(","))
    except ValueError:
        what, fix = f"temperatures are {words!r}, and must be numbers", "--temperatures 0,0.25,0.5,0.75,1"
        raise ConfigError("winrate.value", what, where="--temperatures", fix=fix) from None


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "side"
