"""`prefsmith eval frontier`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from prefsmith.cli.terminal import complain, say

if TYPE_CHECKING:
    from prefsmith.methods.experiment.rates import Rates
    from prefsmith.methods.experiment.run import Written
    from prefsmith.methods.experiment.settings import ExperimentConfig
    from prefsmith.stats import Share

HELP = """Compare methods where the true reward is known: reward against KL, beside the best that any policy could have.

For example:

    prefsmith eval frontier recipes/sentiment-slice.yaml
    prefsmith eval frontier recipes/sentiment.yaml --seed 0 --out eval/sentiment
    prefsmith eval frontier recipes/summary-slice.yaml

A recipe says what is compared: losses with their settings, best-of-n, reinforcement learning (RLOO) on the true or a \
learned reward. All of them start from one model, which has learnt reviews, or summaries of posts, from a grammar, \
and learn from its own answers. Each is measured every few steps: mean reward, KL by two estimates, length, whether \
answers end. With a section `winrate` the page begins with win rates against the answers of the data, over temperatures.

Written are evidence.json (every number with n and interval; the same seeds give the same bytes, on any number of \
workers), report.html, and a folder for every run. An experiment that was stopped goes on with --resume. Criteria say \
whether it came out as theory has it; those that the recipe requires decide about the exit status.

Exit status: 0 done, 1 a bug of ours, 2 a wrong recipe or option, 4 a run stopped itself or a required criterion does \
not hold."""


def frontier(
    recipe: Annotated[Path, Parameter(help="A YAML file, such as recipes/sentiment.yaml.")],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="Folder for everything. Default: the first free eval/frontier-<recipe>.")
    ] = None,
    seed: Annotated[
        list[int] | None, Parameter(negative=(), help="In the place of the recipe's seeds; may be given again.")
    ] = None,
    workers: Annotated[int | None, Parameter(help="Processes. Default: the recipe's, or one for every core.")] = None,
    resume: Annotated[
        bool, Parameter(negative=(), help="Go on with the experiment in --out, behind the runs that are done.")
    ] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print the evidence, for programs.")] = False,
    dry_run: Annotated[bool, Parameter(negative=(), help="Say what would be trained, and stop.")] = False,
) -> None:
    """Compare methods where the true reward is known."""
    from prefsmith.methods.experiment.settings import read_experiment  # inside: --help answers at once

    config = read_experiment(recipe, seeds=seed, workers=workers)
    from prefsmith.methods.experiment.run import check_methods, experiment, require

    if dry_run:
        check_methods(config)
        for line in _planned(config):
            say(line)
        return
    written = experiment(config, out, name=recipe.stem, resume=resume, say=complain if as_json else say)
    if as_json:
        print(json.dumps(written.evidence, indent=1))
    else:
        for line in _lines(written):
            say(line)
    require(written.found, written.folder)


def _planned(config: "ExperimentConfig") -> Iterator[str]:
    """What would be done."""
    seeds = ", ".join(map(str, config.seeds))
    plural, every = "s" * (len(config.seeds) > 1), config.measuring.every
    yield f"would train on seed{plural} {seeds}, and measure every {every} steps:"
    for arm in config.arms():
        yield f"  {arm}"
    if config.winrate is not None:
        temperatures = ", ".join(f"{each:g}" for each in config.winrate.temperatures)
        yield f"win rates on {config.winrate.prompts:,} prompts at temperatures {temperatures}"
    yield f"criteria that have to hold: {', '.join(config.required) or 'none'}"


def _lines(written: "Written") -> Iterator[str]:
    """The table of where every method ended, the criteria, and where the page is."""
    found = written.found
    seeds = len(found.config.seeds)
    yield ""
    head = f"last step, {seeds} seed{'s' * (seeds > 1)}, 95 % intervals"
    yield f"{head:<38} {'reward':<22}{'KL, nats':<20}{'best there':<12}efficiency"
    for end in found.ends:
        reward, kl = end.reward, end.kl
        share = "" if end.efficiency is None or kl.value == 0 else f"{end.efficiency:.2f}"
        exact = kl.low == kl.high
        yield (
            f"  {end.arm!s:<36} {f'{reward.value:+.2f} [{reward.low:+.2f}, {reward.high:+.2f}]':<22}"
            f"{f'{kl.value:.2f}' if exact else f'{kl.value:.2f} [{kl.low:.2f}, {kl.high:.2f}]':<20}"
            f"{f'{end.best:+.2f}':<12}{share}"
        ).rstrip()
    if found.rates is not None:
        yield from _rates(found.rates)
    yield ""
    for check in found.checks:
        yield f"{check.name}  {check.word:<11}{check.claim}: {check.found}"
    yield ""
    yield f"{written.seconds / 60:.1f} minutes. The report: {written.report}"


def _rates(rates: "Rates") -> Iterator[str]:
    """A row for each method, a column for each temperature; below, what the paper says."""
    yield ""
    yield f"win rate against the data's answers, {rates.prompts:,} prompts, ties one half, at temperature"
    yield "".join((" " * 34, *(f"{temperature:<20g}" for temperature in rates.temperatures))).rstrip()
    width = len(rates.temperatures)
    for start in range(0, len(rates.rates), width):
        row = rates.rates[start : start + width]
        cells = (_share(each.rate.rate) for each in row)
        yield f"  {row[0].arm!s:<32}{''.join(f'{cell:<20}' for cell in cells)}".rstrip()
    yield ""
    for claim in rates.claims:
        found = claim.difference
        numbers = "" if found is None else f": {found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        yield f"{claim.name}  {claim.verdict:<20}{claim.claim}{numbers}"


def _share(rate: "Share | None") -> str:
    return "" if rate is None else f"{rate.value:.3f} [{rate.low:.2f}, {rate.high:.2f}]"
