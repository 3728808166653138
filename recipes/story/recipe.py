"""The recipe itself: stories, pairs, training, fresh stories, and the account of what changed."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import torch

from prefsmith import report
from prefsmith.assembly import check_places, objective_of
from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError, DataError, TrainingError
from prefsmith.evaluate.samples import Answer
from prefsmith.feedback.label import Judged, by_rule
from prefsmith.files import write_durably
from prefsmith.run import Watch, fit
from prefsmith.settings import Settings, build
from prefsmith.train.folder import free_folder
from story.account import Account
from story.measures import Comparison, Measured, measure, vocabulary
from story.openings import Openings, own_openings, read_openings
from story.rules import RULES, Rule
from story.teller import Teller, open_teller, with_own_end

Say = Callable[[str], None]

PAIRS, HELD_OUT_PAIRS = 6, 2
"""Most pairs of stories from one opening: those that the rule tells apart most clearly."""
DRAWS = 10
"""Seeds of draws that belong to one seed of the recipe, so that no two recipes share their noise."""
SMALL = 5_000_000
"""Weights."""
FEWEST = 2
"""Stories from an opening: one alone is compared with nothing."""


def teach(
    *,
    model: str,
    out: Path | None,
    rule: str,
    seed: int,
    learning_rate: str,
    beta: str,
    openings: Path | None,
    samples: int,
    say: Say,
    watch: Watch,
) -> Account:
    """Run the recipe.

    Args:
        model: folder or hub id.
        out: folder for everything. Default: the first free runs/stories.
        rule: name of the rule that says which story is better.
        seed: of openings, samples and training.
        learning_rate: of the training, as on a command line.
        beta: of the loss, likewise.
        openings: a file of them instead of the recipe's own.
        samples: stories in each set.
        say: is given a line at a time.
        watch: is given every row of the run's metrics.

    Raises:
        ConfigError: an option is wrong, the folder is taken, or the model cannot be loaded.
        DataError: the openings cannot be used, or the rule tells no two stories apart.
        TrainingError: the run stopped itself.
    """
    settings = {"train": {"seed": seed}, "optim": {"learning_rate": learning_rate}, "loss": {"beta": beta}}
    objective_of(_config(settings))  # a wrong value is told before anything is sampled
    sets = own_openings(seed) if openings is None else read_openings(openings, seed)
    each, wanted = _stories_each(samples, sets), RULES[rule]
    start = open_teller(model, sets.all())
    check_places(_config(settings, model=start.origin))  # an adapter can be asked, and not trained by itself
    folder = free_folder(out, "runs/stories")
    noise = range(DRAWS * seed, DRAWS * (seed + 1))

    if start.encoder.tokenizer.chat_template:
        say("The model has a chat template, which stories do not use: they go on from plain text")
    with _threads_for(start):
        say(f"1/4  The model tells {each} stories from each of {len(sets.train)} openings, and from as many others")
        told = start.tell(sets.train, noise[0], each=each)
        told_unseen = start.tell(sets.unseen, noise[1], each=each)
        known = vocabulary(start.tell(sets.words, noise[2], each=each + each // 2))
        start = _with_own_end(start, [*told, *told_unseen], sets, folder / "start", say)

        say(f"2/4  The rule compares them: {wanted.name}, {wanted.unit}")
        data = _write_pairs(folder, start, told, told_unseen, wanted, say)

        say(f"3/4  DPO, beta {beta}, learning rate {learning_rate}")
        config = _config(settings, model=start.origin, data=data, longest=start.longest, out=folder / "run")
        run = fit(config, say=_quiet, watch=watch).folder
        trained = open_teller(run / "model", sets.all())

        say("4/4  Fresh stories of the trained model, beside those of the starting model")
        fresh = trained.tell(sets.train, noise[3], each=each)
        fresh_unseen = trained.tell(sets.unseen, noise[1], each=each)

        def compared(name: str, before: Sequence[Answer], after: Sequence[Answer]) -> Comparison:
            old, new = measure(start, start, before, wanted, known), measure(trained, start, after, wanted, known)
            return Comparison(name, old, new)

        account = Account(
            folder=run,
            rule=wanted,
            trained=compared("openings trained on", told, fresh),
            unseen=compared("unseen openings", told_unseen, fresh_unseen),
            disjoint=sets.disjoint,
            learning_rate=config.learning_rate,
        )
        _write_rows(folder / "samples.jsonl", _sample_rows(account))
        _write(run / "evidence.json", json.dumps(account.evidence(), indent=1))
        report.write(run)
        return account


@contextmanager
def _threads_for(teller: Teller) -> Iterator[None]:
    """One thread for a small model, which waits for threads longer than it computes; so it gives the same numbers."""
    before = torch.get_num_threads()
    small = sum(weight.numel() for weight in teller.model.scorer.causal.parameters()) < SMALL
    torch.set_num_threads(1 if small else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _config(
    settings: Mapping[str, Mapping[str, object]],
    *,
    model: str = "",
    data: Mapping[str, object] | None = None,
    longest: int | None = None,
    out: Path | None = None,
) -> RunConfig:
    """The settings of the run.

    Raises:
        ConfigError: one of those from the command line is wrong.
    """
    own = {
        "model": {"path": model},
        # Stories go on from plain text, and those that were cut are trained on as they were told: without an end.
        "data": {**(data or {}), "template": "plain", "truncation": "keep_start", "max_length": longest},
        "loss": {"name": "dpo"},
        "optim": {"warmup_steps": 5},
        "train": {"pairs_per_step": 16},
        "evaluate": {"samples": 0},  # the recipe draws its own, at its own temperature
        "out": None if out is None else str(out),
    }
    for section, values in settings.items():
        own[section] = {**own[section], **values}
    origins = {("train", "seed"): "--seed", ("optim", "learning_rate"): "--learning-rate", ("loss", "beta"): "--beta"}
    return build(Settings(own, origins))


def _stories_each(samples: int, sets: Openings) -> int:
    """Stories from each opening."""
    each = samples // len(sets.train)
    if each < FEWEST:
        what = f"{samples} stories from {len(sets.train)} openings leave fewer than {FEWEST} for each to compare"
        fix = f"at least --samples {FEWEST * len(sets.train)}"
        raise ConfigError("config.value", what, where="--samples", fix=fix)
    return each


def _with_own_end(start: Teller, stories: Sequence[Answer], sets: Openings, folder: Path, say: Say) -> Teller:
    """The model that is trained: its end token is the one that it writes."""
    origin = with_own_end(start, stories, free_folder(folder, "start"))
    ended = sum(story.ended for story in stories) / len(stories)
    say(f"     {ended:.1%} of the stories end within {start.longest} tokens; the others are cut there")
    if origin == start.origin:
        folder.rmdir()
        return start
    say(f"     It ends a story by beginning another, so {origin} has the begin token as its end token")
    return open_teller(origin, sets.all())


def _write_pairs(
    folder: Path, teller: Teller, told: Sequence[Answer], told_unseen: Sequence[Answer], rule: Rule, say: Say
) -> dict[str, object]:
    """Write pairs.jsonl and held-out.jsonl; returns them as settings of the run.

    Raises:
        DataError: there is no pair to train on.
    """
    usable, usable_unseen = ([story for story in some if teller.reads_back(story)] for some in (told, told_unseen))
    if lost := len(told) + len(told_unseen) - len(usable) - len(usable_unseen):
        say(f"     {lost:,} stories are not compared: they have no text, or it reads back as other tokens")
    pairs, held_out = _pairs(usable, rule, PAIRS), _pairs(usable_unseen, rule, HELD_OUT_PAIRS)
    if not pairs:
        what, fix = "the rule tells no two stories from one opening apart", "more --samples, or another --rule"
        raise DataError("data.no_rows", what, where=teller.origin, fix=fix)
    say(f"     {len(pairs):,} pairs to train on; {len(held_out):,} from unseen openings are held out")
    files: dict[str, object] = {"train": str(_write_rows(folder / "pairs.jsonl", (each.as_row() for each in pairs)))}
    if not held_out:
        return {**files, "eval_fraction": 0.0}
    return {**files, "eval": str(_write_rows(folder / "held-out.jsonl", (each.as_row() for each in held_out)))}


def _pairs(stories: Sequence[Answer], rule: Rule, most: int) -> list[Judged]:
    pairs: list[Judged] = []
    for _, same in groupby(stories, key=lambda story: story.group.id):
        own = list(same)
        pairs += by_rule(str(own[0].group.prompt), [story.text for story in own], rule.score, most=most)
    return pairs


def _sample_rows(account: Account) -> Iterable[Mapping[str, object]]:
    """Every story that was measured."""
    for side in (account.trained, account.unseen):
        for policy, measured in (("before", side.before), ("after", side.after)):
            yield from _rows(policy, side.name, measured)


def _rows(policy: str, name: str, measured: Measured) -> Iterable[Mapping[str, object]]:
    for story in measured.stories:
        yield {
            "policy": policy,
            "set": name,
            "prompt": story.answer.group.prompt,
            "completion": story.answer.text,
            "score": story.score,
            "kl": story.divergence,
            "start_logprob": -story.loss,
            "tokens": len(story.answer.ids),
            "ended": story.answer.ended,
        }


def _write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    return _write(path, "".join(json.dumps(row) + "\n" for row in rows))


def _write(path: Path, text: str) -> Path:
    """Write a text file.

    Raises:
        TrainingError: the disk is full or fails.
    """
    try:
        write_durably(path, text.encode())
    except OSError as error:
        what = f"the file cannot be written: {error.strerror}"
        raise TrainingError("run.write", what, where=str(path), fix="make room, or choose another --out") from error
    return path


def _quiet(line: str) -> None:
    """What the run says stands in its report."""
