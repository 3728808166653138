"""Whether there is anything in the training rows that the losses can learn from, told before a model is loaded."""

from collections.abc import Sequence

from prefsmith.data.views import Labelled, View, Wanted
from prefsmith.errors import ConfigError, DataError


def refuse_unsuitable(
    rows: Sequence[Labelled], wanted: Sequence[Wanted], where: str, *, held_out: Sequence[Labelled] = ()
) -> None:
    """Refuse rows that each can be read, and of which a loss would learn nothing all the same.

    Args:
        rows: to train on.
        wanted: what each loss term takes.
        where: the file.
        held_out: rows that are not trained on.

    Raises:
        DataError: no row has a label for a loss, or all have the weight 0, or the answers are all tied, all good, or
            all bad, where a loss learns from the others.
        ConfigError: a loss compares answers across prompts and there is one prompt.
    """
    lonely = next((each for each in wanted if each.mismatched), None)
    if lonely is not None and (rows or held_out):
        _refuse_one_prompt(rows, held_out, lonely, where)
    if not rows and held_out:
        what = f"no row is left to train on: all {len(held_out):,} are held out"
        fix = "lower data.eval_fraction, or give rows with more prompts: those of one prompt are held out together"
        raise DataError("data.no_rows", what, where=where, fix=fix)
    if not rows:
        what, fix = "no row is left to train on", "leave data.skip_bad out to see the first bad row"
        raise DataError("data.no_rows", what, where=where, fix=fix)
    refuse_weightless([row.views for row in rows], wanted, where)
    for term, each in enumerate(wanted):
        views = [row.views[term] for row in rows]
        if each.tells_apart or each.undesirable_only:
            _refuse_one_class(views, each, where)
        if each.kind == "listwise" and not each.scores:
            _refuse_tied_lists(views, each, where)


def refuse_weightless(rows: Sequence[Sequence[View]], wanted: Sequence[Wanted], where: str) -> None:
    """Every loss needs a label that counts.

    Args:
        rows: the views of each row, one per loss term.
        wanted: what each loss term takes.
        where: the file.

    Raises:
        DataError: a loss has no label, or only such of weight 0.
    """
    for term, each in enumerate(wanted):
        labels = [label for views in rows for label in views[term].labels()]
        if not labels:
            raise _without_labels(rows, term, each, where)
        if not any(label.weight for label in labels):
            what = f"every label that {each.loss} reads has the weight 0, so nothing would be learnt"
            raise DataError("data.weight", what, where=where, fix="give some rows a weight above 0")


def _without_labels(rows: Sequence[Sequence[View]], term: int, wanted: Wanted, where: str) -> DataError:
    ties = sum(views[term].ties for views in rows)
    what = f"none of {len(rows):,} rows has a label for {wanted.loss}"
    if ties:
        what += f": their answers are tied in {ties:,} comparison{'s' * (ties != 1)}"
        fix = "train with a loss that takes soft labels, such as loss.name=dpo; or give rows that prefer an answer"
        return DataError("data.no_rows", what, where=where, fix=fix)
    reads = "desirable answers alone" if wanted.desirable_only else f"{wanted.kind} labels"
    return DataError("data.no_rows", f"{what}, which reads {reads}", where=where, fix="give rows of that kind")


def _refuse_one_prompt(rows: Sequence[Labelled], held_out: Sequence[Labelled], wanted: Wanted, where: str) -> None:
    prompts = {row.group.prompt_key() for row in rows}
    if len(prompts) > 1:
        return
    if len(prompts | {row.group.prompt_key() for row in held_out}) > 1:
        what = f"fewer than two prompts are left to train on, and {wanted.loss} compares answers across prompts"
        fix = "give rows with more prompts, or lower data.eval_fraction"
        raise ConfigError("train.lonely_prompt", what, where=where, fix=fix)
    what = f"all rows have one prompt, and {wanted.loss} compares answers across prompts"
    fix = "give rows with at least two prompts"
    raise ConfigError("train.lonely_prompt", what, where=where, fix=fix)


def _refuse_tied_lists(views: Sequence[View], wanted: Wanted, where: str) -> None:
    rankings = [ranking for view in views for ranking in view.rankings if ranking.weight > 0]
    if any(ranking.tiers[-1] > 0 for ranking in rankings):
        return
    what = f"{wanted.loss} learns which answer is better, and all answers of every list ({len(rankings):,}) are tied"
    fix = "give rows that prefer an answer; ties of pairs mean something to loss.name=dpo"
    raise DataError("data.one_class", what, where=where, fix=fix)


def _refuse_one_class(views: Sequence[View], wanted: Wanted, where: str) -> None:
    values = [rating.value for view in views for rating in view.ratings if rating.weight > 0]
    good, bad = sum(value > 0.5 for value in values), sum(value < 0.5 for value in values)
    if bad and (good or wanted.undesirable_only):
        return
    if wanted.undesirable_only:
        what = f"{wanted.loss} learns from undesirable answers, and none of the {len(values):,} to train on is one"
        raise DataError("data.one_class", what, where=where, fix="give rows with the label false")
    are = f"all {good:,} are desirable" if good else f"all {bad:,} are undesirable" if bad else "all are ties"
    what = f"{wanted.loss} tells good answers from bad ones, and of those to train on {are}"
    fix = "give rows of both kinds; for good answers alone, loss.name=sft, and for bad ones loss.name=npo"
    raise DataError("data.one_class", what, where=where, fix=fix)
