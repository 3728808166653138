"""Win rate against temperature: sample both sides, let a judge compare them, count, and draw.

    for each temperature:  for each method:  sample -> judge -> numbers

What was sampled and judged lies in the folder as soon as it is known; a killed run goes on behind it.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from prefsmith.data.prompts import read_prompts
from prefsmith.data.render import template_of_file
from prefsmith.errors import ConfigError
from prefsmith.evaluate.answers import Answers, Drawing, Writer, noise, of_file
from prefsmith.evaluate.contest import Between, Entry, Standing, between, standings
from prefsmith.evaluate.judged import TOGETHER, judged_groups
from prefsmith.evaluate.sides import Asked, Side, baseline_side, method_side, shared_prompts
from prefsmith.evaluate.workplace import VERDICTS, Workplace
from prefsmith.feedback.judge import Judge
from prefsmith.records import Completion, Group
from prefsmith.report.join import join
from prefsmith.report.winrate import write_winrate_page

Say = Callable[[str], None]
TEMPERATURES = (0.0, 0.25, 0.5, 0.75, 1.0)
_COUNTED = ("presentations", "without_verdict", "pairs_without_votes", "prompt_tokens", "reply_tokens")
"""What a judge says of this process alone, which a run that was gone on with would say otherwise."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Who is compared with whom, on what and how.

    Args:
        methods: a model's folder or hub id, an adapter's or a run's folder, or a file of answers; `NAME=PLACE` gives
            it a name.
        against: the baseline likewise, or `reference` for that of the first method.
        data: file whose different prompts are answered; None takes those of the first file of answers.
        temperatures: that models are sampled at.
        against_temperature: of the baseline, where it is not that of the method.
        samples: answers to each prompt; one where nothing is drawn, at temperature 0.
        max_new_tokens: most tokens of an answer.
        top_p: share of probability that is kept.
        limit: most prompts.
        seed: of the samples and the bootstrap.
        batch: answers that are written together.
        template: `auto`, `plain`, or a Jinja file.
        device: `auto` takes a GPU where there is one.
        trust_remote_code: run code that comes with the models.
        skip_missing: leave out prompts that a file has no answer to.
    """

    methods: tuple[str, ...]
    against: str
    data: str | None = None
    temperatures: tuple[float, ...] = TEMPERATURES
    against_temperature: float | None = None
    samples: int = 1
    max_new_tokens: int = 128
    top_p: float = 1.0
    limit: int | None = None
    seed: int = 0
    batch: int = 64
    template: str = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    skip_missing: bool = False


@dataclass(frozen=True, slots=True)
class WinRates:
    """What was found, and where it is.

    Args:
        standings: of each method at each temperature.
        between: every two methods.
        warnings: what a reader must know.
        evidence: all of it, as evidence.json has it.
        page: report.html.
        joined: a line for each run whose page shows it too.
    """

    standings: tuple[Standing, ...]
    between: tuple[Between, ...]
    warnings: tuple[str, ...]
    evidence: Mapping[str, object]
    page: Path
    joined: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """The sides of a contest and what they answer."""

    methods: tuple[Side, ...]
    baseline: Side
    asked: Asked


def line_up(contest: Contest) -> Line:
    """Who plays, and what is asked; nothing is loaded and nothing written.

    Raises:
        ConfigError: a setting is wrong, or two sides have one name.
        DataError: a file cannot be read, or lacks answers.
    """
    _check(contest)
    methods = tuple(method_side(word) for word in contest.methods)
    baseline = baseline_side(contest.against, methods[0])
    names = [side.name for side in methods]
    if len(set(names)) < len(names):
        what, fix = f"two sides have the name {_twice(names)}", "name them: dpo=runs/a ipo=runs/b"
        raise ConfigError("winrate.side", what, fix=fix)
    if baseline.name in names:
        baseline = replace(baseline, name=f"{baseline.name} (baseline)")
    data = read_prompts(contest.data) if contest.data is not None else None
    asked = shared_prompts((*methods, baseline), data, skip_missing=contest.skip_missing, most=contest.limit)
    return Line(methods, baseline, asked)


def measure_win_rates(
    contest: Contest,
    judging: Callable[[Path], AbstractContextManager[Judge]],
    out: Path,
    *,
    say: Say = print,
) -> WinRates:
    """Sample, judge, count and draw; what is in the folder already is not done again. The pages of runs show it too.

    Args:
        contest: who against whom.
        judging: opens who says which answer is better; is given the file for a model's replies.
        out: folder, made where it is not there; one that another judge judged is refused.
        say: is given a line at a time.

    Raises:
        ConfigError: a setting is wrong, a model cannot be loaded, or the folder is of something else.
        DataError: a file cannot be read, lacks answers, or a prompt cannot be written for a model.
        TrainingError: the judge cannot go on, or the disk is full; the same command goes on there.
    """
    line = line_up(contest)
    with Workplace(out) as place, judging(out / VERDICTS) as judge:
        settings = _settings(contest, line, _identity(judge))
        place.claim(settings)
        answers = _all_answers(contest, line, place, say)
        judged = _all_judged(contest, line, place, answers, judge, say)
        found, beside = standings(judged, seed=contest.seed), between(judged, seed=contest.seed)
        warnings = _warnings(contest, line, found, answers)
        evidence: dict[str, object] = {
            "kind": "winrate",
            "version": version("prefsmith"),
            "settings": settings,
            "baseline": line.baseline.name,
            "prompts": len(line.asked.groups),
            "left_out": line.asked.left_out,
            "judge": _identity(judge),
            "standings": [each.as_dict() for each in found],
            "between": [each.as_dict() for each in beside],
            "answers": [each.as_dict() for each in answers.values()],
            "warnings": warnings,
        }
        place.write("evidence.json", json.dumps(evidence, indent=1, allow_nan=False) + "\n")
        page = write_winrate_page(out)
    joined = join(out, [side.place for side in (*line.methods, line.baseline) if side.kind == "model"])
    return WinRates(tuple(found), tuple(beside), tuple(warnings), evidence, page, joined)


def _check(contest: Contest) -> None:
    if not contest.methods:
        what, fix = "no side is named", "prefsmith eval winrate MODEL --against reference --data FILE"
        raise ConfigError("winrate.side", what, fix=fix)
    wrong = [
        ("samples", "at least 1", contest.samples >= 1),
        ("limit", "at least 1", contest.limit is None or contest.limit >= 1),
        ("temperatures", "different numbers", 0 < len(contest.temperatures) == len(set(contest.temperatures))),
        ("temperatures", "0 or above", all(0 <= each < math.inf for each in contest.temperatures)),
        ("against_temperature", "0 or above", 0 <= (contest.against_temperature or 0) < math.inf),
        ("max_new_tokens", "at least 1", contest.max_new_tokens >= 1),
        ("batch", "at least 1", contest.batch >= 1),
        ("seed", "0 or above", contest.seed >= 0),
        ("top_p", "above 0 and at most 1", 0 < contest.top_p <= 1),
    ]
    for name, wanted, holds in wrong:
        if not holds:
            option = f"--{name.replace('_', '-')}"
            what = f"{name} is {_shown(getattr(contest, name))}, and must be {wanted}"
            raise ConfigError("winrate.value", what, where=option, fix=f"{option}: {wanted}")


def _identity(judge: Judge) -> dict[str, object]:
    return {key: value for key, value in judge.describe().items() if key not in _COUNTED}


def _settings(contest: Contest, line: Line, judge: Mapping[str, object]) -> dict[str, object]:
    """Everything that decides what comes out."""
    keys = [json.dumps([group.prompt_key(), group.tools], default=repr) for group in line.asked.groups]
    return {
        "methods": {side.name: side.identity() for side in line.methods},
        "order_of_methods": [side.name for side in line.methods],  # files of answers and votes are named by it
        "against": line.baseline.identity(),
        "prompts": {"n": len(keys), "sha256": hashlib.sha256("\n".join(keys).encode()).hexdigest()},
        "judge": dict(judge),
        "temperatures": list(contest.temperatures),
        "against_temperature": contest.against_temperature,
        "samples": contest.samples,
        "max_new_tokens": contest.max_new_tokens,
        "top_p": contest.top_p,
        "seed": contest.seed,
        "template": _template(contest.template),
    }


def _template(named: str) -> object:
    """A template by its word, or by the file and what is in it."""
    if named in ("auto", "plain"):
        return named
    return {"file": named, "sha256": hashlib.sha256(template_of_file(named).encode()).hexdigest()}


def _all_answers(contest: Contest, line: Line, place: Workplace, say: Say) -> dict[Entry, Answers]:
    """The answers of every side at every temperature that it has. Of the models one at a time is loaded."""
    found: dict[Entry, Answers] = {}
    for number, side in enumerate((*line.methods, line.baseline)):
        if side.kind == "file":
            found[side.name, None] = of_file(side, line.asked.files[side.name], line.asked.groups)
            continue
        part = "baseline" if side is line.baseline else "methods"
        writer = Writer(side, line.asked.groups, place, _drawing(contest, part), say)
        fixed = contest.against_temperature if side is line.baseline else None
        for temperature in contest.temperatures if fixed is None else (fixed,):
            word = part if side is line.baseline else str(number)
            found[side.name, temperature] = writer.answers(f"answers-{word}-{temperature!r}.jsonl", temperature)
    return found


def _all_judged(
    contest: Contest, line: Line, place: Workplace, answers: Mapping[Entry, Answers], judge: Judge, say: Say
) -> dict[Entry, list[Group]]:
    """Votes on the pairs of every method at every temperature at which it or the baseline answers anew."""
    # A file of votes refuses questions of which it knows none, so it is asked all of them at once.
    together = None if judge.describe().get("kind") == "votes" else TOGETHER
    moves = line.baseline.kind != "file" and contest.against_temperature is None
    judged: dict[Entry, list[Group]] = {}
    for number, side in enumerate(line.methods):
        for temperature in contest.temperatures if moves or side.kind != "file" else (None,):
            own = answers[side.name, None if side.kind == "file" else temperature]
            other = answers[line.baseline.name, _baseline_temperature(contest, line.baseline, temperature)]
            groups = list(_pairs(line.asked.groups, own, other))
            told = f"{side.name}{at(temperature)} against {line.baseline.name}"
            name = f"votes-{number}{'' if temperature is None else f'-{temperature!r}'}.jsonl"
            judged[side.name, temperature] = judged_groups(
                place, name, groups, judge, _told(say, told), together=together
            )
    return judged


def at(temperature: float | None) -> str:
    """The temperature in words; nothing where there is none."""
    return "" if temperature is None else f" at temperature {temperature:g}"


def _told(say: Say, what: str) -> Say:
    return lambda text: say(f"{what}: {text}")


def _drawing(contest: Contest, part: str) -> Drawing:
    return Drawing(
        samples=contest.samples,
        max_new_tokens=contest.max_new_tokens,
        top_p=contest.top_p,
        seed=noise(contest.seed, part),
        batch=contest.batch,
        template=contest.template,
        device=contest.device,
        trust_remote_code=contest.trust_remote_code,
    )


def _baseline_temperature(contest: Contest, baseline: Side, temperature: float | None) -> float | None:
    if baseline.kind == "file":
        return None
    return temperature if contest.against_temperature is None else contest.against_temperature


def _pairs(prompts: Sequence[Group], own: Answers, other: Answers) -> Iterator[Group]:
    """As many pairs to a prompt as its side with more answers has; the other's are taken in turn."""
    for number, (group, mine, theirs) in enumerate(zip(prompts, own.texts, other.texts, strict=True)):
        for pair in range(max(len(mine), len(theirs))):
            completions = (Completion(mine[pair % len(mine)]), Completion(theirs[pair % len(theirs)]))
            yield Group(f"{number}-{pair}", group.source, group.prompt, completions, tools=group.tools)


def _warnings(contest: Contest, line: Line, found: Sequence[Standing], answers: Mapping[Entry, Answers]) -> list[str]:
    """Each once, with those that it is of where it is not of all."""
    said: dict[str, list[str]] = {}
    for each in found:
        equal = [] if each.equal_length is None else each.equal_length.warnings()
        for text in [*each.rate.warnings(), *equal]:
            said.setdefault(text, []).append(f"{each.method}{at(each.temperature)}")
    lines = [text if len(of) == len(found) else f"{text} ({', '.join(of)})" for text, of in said.items()]
    if line.asked.left_out:
        lines.append(f"{line.asked.left_out:,} prompts are left out, since a file has no answer to them")
    for name in dict.fromkeys(each.side for each in answers.values()):
        own = [each for each in answers.values() if each.side == name]
        cut, total = sum(each.cut for each in own), sum(each.n for each in own)
        if cut * 20 > total:
            lines.append(f"{cut / total:.0%} of the answers of {name} were cut at {contest.max_new_tokens:,} tokens")
        if shortened := max(each.shortened for each in own):
            lines.append(f"{shortened:,} prompts lost their start under {name}, to leave room for an answer")
    return lines


def _twice(names: Sequence[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


def _shown(value: object) -> str:
    return ", ".join(f"{each:g}" for each in value) or "empty" if isinstance(value, tuple) else str(value)
