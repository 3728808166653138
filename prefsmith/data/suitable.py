"""Whether there is anything in the training rows that the losses can learn from, told before a model is loaded."""

from collections.abc import Sequence

from prefsmith.data.views import Labelled, View, Wanted
from prefsmith.errors import ConfigError, DataError


def refuse_unsuitable(rows: Sequence[Labelled], wanted: Sequence[Wanted], where: str) -> None:
    """Refuse rows that each can be read, and of which a loss would learn nothing all the same.

    Args:
        rows: to train on.
        wanted: what each loss term takes.
        where: the file.

    Raises:
        DataError: no row has a label for a loss, or all have the weight 0, or the answers are all good, or all bad,
            where a loss tells them apart or learns from the others.
        ConfigError: a loss compares answers across prompts and there is one prompt.
    """
    if not rows:
        what, fix = "no row is left to train on", "lower data.eval_fraction, or leave data.skip_bad out to see why"
        raise DataError("data.no_rows", what, where=where, fix=fix)
    refuse_weightless([row.views for row in rows], wanted, where)
    for term, each in enumerate(wanted):
        if each.tells_apart or each.undesirable_only:
            _refuse_one_class([row.views[term] for row in rows], each, where)
    lonely = next((each for each in wanted if each.mismatched), None)
    if lonely is not None and len({row.group.prompt_key() for row in rows}) < 2:
        what = f"all rows to train on have one prompt, and {lonely.loss} compares answers across prompts"
        fix = "give rows with at least two prompts, or lower data.eval_fraction"
        raise ConfigError("train.lonely_prompt", what, where=where, fix=fix)


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


def _refuse_one_class(views: Sequence[View], wanted: Wanted, where: str) -> None:
    values = [rating.value for view in views for rating in view.ratings if rating.weight > 0]
    good, bad = sum(value > 0.5 for value in values), sum(value < 0.5 for value in values)
    if bad and (good or wanted.undesirable_only):
        return
    are = f"all {good:,} are desirable" if good else f"all {bad:,} are undesirable" if bad else "all are ties"
    if wanted.undesirable_only:
        what = f"{wanted.loss} learns from undesirable answers, and of those to train on {are}"
        raise DataError("data.one_class", what, where=where, fix="give rows with the label false")
    what = f"{wanted.loss} tells good answers from bad ones, and of those to train on {are}"
    fix = "give rows of both kinds; for good answers alone, loss.name=sft, and for bad ones loss.name=npo"
    raise DataError("data.one_class", what, where=where, fix=fix)
