"""A whole experiment: every seed's start, every arm from it, and what it all says."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from prefsmith.errors import ConfigError, TrainingError
from prefsmith.evaluate.points import Arm
from prefsmith.files import digest_of_files, file_digest
from prefsmith.losses import resolve
from prefsmith.methods.experiment.arms import REFERENCE, Reading, measure_start, train_loss, train_rloo
from prefsmith.methods.experiment.evidence import Experiment, SeedFound, as_json, gather
from prefsmith.methods.experiment.judged import Sampled, answer_arm, answer_start, by_arm
from prefsmith.methods.experiment.place import Place
from prefsmith.methods.experiment.results import Results
from prefsmith.methods.experiment.seed import Learned, Start, learn_reward, prepare
from prefsmith.methods.experiment.settings import BEST_OF_N, OWN, RLOO, ExperimentConfig
from prefsmith.methods.experiment.tasks import Task, cores, run_tasks
from prefsmith.methods.experiment.world import one_thread, write_text
from prefsmith.report.experiment import write_experiment
from prefsmith.report.join import join
from prefsmith.train.checkpoint import lock
from prefsmith.train.folder import free_folder

Say = Callable[[str], None]
START, MEASURED, LEARNED = "start", "the start, measured", "the learned reward"
JUDGED = "judged"


@dataclass(frozen=True, slots=True)
class Written:
    """An experiment and where it is.

    Args:
        found: what it found.
        evidence: as evidence.json has it.
        folder: everything is in it.
        report: its page.
        seconds: that it took.
    """

    found: Experiment
    evidence: dict[str, object]
    folder: Path
    report: Path
    seconds: float


def experiment(
    config: ExperimentConfig, out: Path | None, *, name: str = "sentiment", resume: bool = False, say: Say = print
) -> Written:
    """Run an experiment.

    Args:
        config: its settings.
        out: folder for everything. Default: the first free eval/frontier-<name>.
        name: of the recipe.
        resume: go on with the experiment in `out`, behind the tasks that are done.
        say: is given a line at a time.

    Raises:
        ConfigError: a method or one of its settings is wrong, or the folder holds something else.
        TrainingError: a run stopped itself, or the disk is full.
    """
    started = time.perf_counter()
    check_methods(config)
    folder = _folder(out, name, resume=resume)
    places = {seed: Place(folder.absolute() / f"seed-{seed}", seed) for seed in config.seeds}
    tasks = [task for place in places.values() for task in _tasks(config, place)]
    with lock(folder), one_thread():
        results = _done(tasks, Results(folder, config), config, say)
    seeds = {seed: _seed_found(config, place, results) for seed, place in places.items()}
    found = gather(config, seeds)
    evidence = as_json(found)
    write_text(folder / "evidence.json", json.dumps(evidence, indent=1, allow_nan=False) + "\n")
    report = write_experiment(folder)
    for line in join(folder, ()):
        say(line)
    return Written(found, evidence, folder, report, time.perf_counter() - started)


def _folder(out: Path | None, name: str, *, resume: bool) -> Path:
    if not resume:
        return free_folder(out, f"eval/frontier-{name}")
    if out is None or not (out / "recipe.json").is_file():
        what, fix = "there is no experiment to go on with", "name its folder with --out"
        raise ConfigError("run.folder", what, where="" if out is None else str(out), fix=fix)
    return out


def _done(tasks: Sequence[Task], kept: Results, config: ExperimentConfig, say: Say) -> dict[str, Any]:
    """The result of every task."""
    known, started = kept.known(tasks), time.perf_counter()
    workers = min(cores() if config.workers == "auto" else config.workers, len(tasks))
    behind = f", {len(known)} of them done before" if known else ""
    say(f"{len(tasks)} tasks{behind}, {workers} at a time")
    number = len(known)

    def done(task: Task, result: Any) -> Any:  # noqa: ANN401
        nonlocal number
        number += 1
        result = kept.keep(task, result)
        minutes = (time.perf_counter() - started) / 60
        say(f"  {number}/{len(tasks)}  {minutes:4.1f} min  {task.name}: {_words(result)}")
        return result

    return run_tasks(tasks, workers, done, known)


def check_methods(config: ExperimentConfig) -> None:
    """Refuse what could not be trained, before anything is.

    Raises:
        ConfigError: a loss is not known, or has no such setting.
    """
    for arm in config.arms():
        if arm.method not in OWN:
            resolve(arm.method, dict(arm.settings), where="methods")


def require(found: Experiment, folder: Path) -> None:
    """Stop where a criterion that the recipe requires does not hold.

    Raises:
        TrainingError: with the criteria.
    """
    wrong = [each for each in found.checks if each.name in found.config.required and not each.passed]
    if wrong:
        what = "; ".join(f"{each.name} ({each.claim}) {each.word}: {each.found}" for each in wrong)
        fix = "report.html has every number; more steps or samples, or leave the criterion out of `required`"
        raise TrainingError("frontier.criteria", what, where=str(folder), fix=fix)


def _tasks(config: ExperimentConfig, place: Place) -> list[Task]:
    """Of one seed; what takes long comes first."""
    start, learned = _name(place, START), _name(place, LEARNED)
    tasks = [Task(start, prepare, (config, place), Start, place.folder)]
    if config.learns_a_reward:
        tasks.append(Task(learned, learn_reward, (config, place), Learned, place.reward, (start,)))
    nothing = place.of(REFERENCE)  # it writes none
    tasks.append(Task(_name(place, MEASURED), measure_start, (config, place), list[Reading], nothing, (start,)))
    if config.winrate is not None:
        tasks.append(_judging(config, place))
    trained = sorted((arm for arm in config.arms() if arm.method != BEST_OF_N), key=lambda arm: arm.method != RLOO)
    for arm in trained:
        after = (start, learned) if arm.setting("reward") == "learned" else (start,)
        work = train_rloo if arm.method == RLOO else train_loss
        tasks.append(Task(_name(place, arm), work, (config, place, arm), list[Reading], place.of(arm), after))
    return tasks if config.winrate is None else [*tasks, *(_judging(config, place, arm) for arm in trained)]


def _judging(config: ExperimentConfig, place: Place, arm: Arm = REFERENCE) -> Task:
    """Answers over temperatures: of an arm, or of the start with the best of several."""
    name, nothing = _judged(place, arm), place.of(Arm(JUDGED))  # none writes a folder
    if arm != REFERENCE:
        return Task(name, answer_arm, (config, place, arm), list[Sampled], nothing, (_name(place, arm),))
    after = (_name(place, START), *([_name(place, LEARNED)] if config.learns_a_reward else []))
    return Task(name, answer_start, (config, place), dict[str, list[Sampled]], nothing, after)


def _seed_found(config: ExperimentConfig, place: Place, results: Mapping[str, Any]) -> SeedFound:
    readings = {arm: results[_name(place, arm)] for arm in config.arms() if arm.method != BEST_OF_N}
    weights = sorted(place.start.glob("*.safetensors"))
    judged = {} if config.winrate is None else {arm: results[_judged(place, arm)] for arm in (REFERENCE, *readings)}
    return SeedFound(
        start=results[_name(place, START)],
        learned=results.get(_name(place, LEARNED)),
        readings={REFERENCE: results[_name(place, MEASURED)], **readings},
        digests={"start": digest_of_files(weights), "pairs": file_digest(place.pairs)},
        answers=by_arm(config, judged),
    )


def _name(place: Place, what: Arm | str) -> str:
    return f"seed {place.seed}, {what}"


def _judged(place: Place, arm: Arm) -> str:
    return f"{_name(place, JUDGED)}, {arm}"


def _words(result: object) -> str:
    """What became of a task, in a few words."""
    if isinstance(result, Start):
        reward = fmean(map(fmean, result.rewards))
        return f"{result.pairs:,} pairs, {result.right:.0%} of the verdicts right; reward {reward:+.2f}"
    if isinstance(result, Learned):
        accuracy = "" if result.accuracy is None else f"accuracy {result.accuracy}, "
        return f"{accuracy}correlation with the true one {result.correlation:.2f}"
    last = result[-1] if isinstance(result, list) and result else None
    if not isinstance(last, Reading):
        return "answered"
    return f"reward {last.reward.value:+.2f} at KL {last.kl.averaged.value:.2f}"
