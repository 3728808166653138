"""Whether there is anything in the training rows that the losses can learn from, told before a model is loaded."""

from collections.abc import Sequence

from prefsmith.data.tally import Census, Tally
from prefsmith.data.views import Wanted
from prefsmith.errors import ConfigError, DataError
from prefsmith.wording import counted


def refuse_unsuitable(train: Census, wanted: Sequence[Wanted], where: str, *, held_out: Census) -> None:
    """Refuse rows that each can be read, and of which a loss would learn nothing all the same.

    Args:
        train: what the rows to train on hold.
        wanted: what each loss term takes.
        where: the file.
        held_out: what the rows hold that are not trained on.

    Raises:
        DataError: no row has a label for a loss, or all have the weight 0, or the answers are all tied, all good, or
            all bad, where a loss learns from the others.
        ConfigError: a loss compares answers across prompts and there is one prompt.
    """
    lonely = next((each for each in wanted if each.mismatched), None)
    if lonely is not None and (train.rows or held_out.rows):
        _refuse_one_prompt(train, held_out, lonely, where)
    if not train.rows and held_out.rows:
        what = f"no row is left to train on: all {held_out.rows:,} are held out"
        fix = "lower data.eval_fraction, or give rows with more prompts: those of one prompt are held out together"
        raise DataError("data.no_rows", what, where=where, fix=fix)
    if not train.rows:
        what, fix = "no row is left to train on", "leave data.skip_bad out to see the first bad row"
        raise DataError("data.no_rows", what, where=where, fix=fix)
    refuse_weightless(train.tallies, wanted, where)
    for tally, each in zip(train.tallies, wanted, strict=True):
        if each.tells_apart or each.undesirable_only:
            _refuse_one_class(tally, each, where)
        if each.kind == "listwise" and not each.scores:
            _refuse_tied_lists(tally, each, where)


def refuse_weightless(tallies: Sequence[Tally], wanted: Sequence[Wanted], where: str) -> None:
    """Every loss needs a label that counts.

    Args:
        tallies: what the rows hold for each loss term.
        wanted: what each loss term takes.
        where: the file.

    Raises:
        DataError: a loss has no label, or only such of weight 0.
    """
    for tally, each in zip(tallies, wanted, strict=True):
        if not tally.labels:
            raise _without_labels(tally, each, where)
        if not tally.weighty:
            what = f"every label that {each.loss} reads has the weight 0, so nothing would be learnt"
            raise DataError("data.weight", what, where=where, fix="give some rows a weight above 0")


def _without_labels(tally: Tally, wanted: Wanted, where: str) -> DataError:
    what = f"none of {tally.rows:,} rows has a label for {wanted.loss}"
    if tally.ties:
        what += f": their answers are tied in {counted(tally.ties, 'comparison')}"
        fix = "train with a loss that takes soft labels, such as loss.name=dpo; or give rows that prefer an answer"
        return DataError("data.no_rows", what, where=where, fix=fix)
    reads = "desirable answers alone" if wanted.desirable_only else f"{wanted.kind} labels"
    return DataError("data.no_rows", f"{what}, which reads {reads}", where=where, fix="give rows of that kind")


def _refuse_one_prompt(train: Census, held_out: Census, wanted: Wanted, where: str) -> None:
    if len(train.prompts) > 1:
        return
    if len(train.prompts | held_out.prompts) > 1:
        what = f"fewer than two prompts are left to train on, and {wanted.loss} compares answers across prompts"
        fix = "give rows with more prompts, or lower data.eval_fraction"
        raise ConfigError("train.lonely_prompt", what, where=where, fix=fix)
    what = f"all rows have one prompt, and {wanted.loss} compares answers across prompts"
    fix = "give rows with at least two prompts"
    raise ConfigError("train.lonely_prompt", what, where=where, fix=fix)


def _refuse_tied_lists(tally: Tally, wanted: Wanted, where: str) -> None:
    if tally.weighty_ordered:
        return
    lists = tally.weighty_lists
    what = f"{wanted.loss} learns which answer is better, and all answers of every list ({lists:,}) are tied"
    fix = "give rows that prefer an answer; ties of pairs mean something to loss.name=dpo"
    raise DataError("data.one_class", what, where=where, fix=fix)


def _refuse_one_class(tally: Tally, wanted: Wanted, where: str) -> None:
    good, bad = tally.weighty_good, tally.weighty_bad
    if bad and (good or wanted.undesirable_only):
        return
    if wanted.undesirable_only:
        ratings = tally.weighty_ratings
        what = f"{wanted.loss} learns from undesirable answers, and none of the {ratings:,} to train on is one"
        raise DataError("data.one_class", what, where=where, fix="give rows with the label false")
    are = f"all {good:,} are desirable" if good else f"all {bad:,} are undesirable" if bad else "all are ties"
    what = f"{wanted.loss} tells good answers from bad ones, and of those to train on {are}"
    fix = "give rows of both kinds; for good answers alone, loss.name=sft, and for bad ones loss.name=npo"
    raise DataError("data.one_class", what, where=where, fix=fix)
