"""The preflight: what a run with given settings would do and meet, as facts."""

from collections import defaultdict
from typing import Any

from prefsmith.config import RunConfig
from prefsmith.data.counts import PLACES
from prefsmith.data.sides import EncodedSides
from prefsmith.model.load import digest
from prefsmith.preflight.customary import unusual_settings
from prefsmith.preflight.doubtful import doubtful_rows
from prefsmith.preflight.examples import examples
from prefsmith.preflight.facts import (
    Begin,
    End,
    File,
    Lengths,
    Model,
    Preflight,
    Reference,
    Refused,
    RefusedRow,
    Rows,
    Template,
    Treated,
    Way,
)
from prefsmith.preflight.parts import Parts, Tell, put_together
from prefsmith.preflight.seen import Seen
from prefsmith.preflight.tokens import begin_of, end_of, template_of, unknown_in
from prefsmith.train.optim import count


def preflight(config: RunConfig, *, tell: Tell = lambda _: None) -> Preflight:
    """Look at everything that a run with these settings would do and meet.

    Args:
        config: every setting.
        tell: is given a few words on what is looked at now, since a long file takes its time.
    """
    parts = put_together(config, tell)
    rows, refused, treated, lengths = _rows(parts), _refused(parts), _treated(parts), _lengths(parts)
    template = _template(parts, rows, refused, treated)
    begin = end = None
    shown, cautions = (), ()
    if parts.rows is not None and parts.encoder is not None and parts.loaded is not None:
        train = parts.rows.train
        begin, end = begin_of(parts.encoder, train), end_of(parts.encoder, train, parts.loaded.end_ids)
        shown = examples(train, parts.encoder, good=parts.good_name, seed=parts.config.train.seed)
        if rows is not None and template is not None:
            seen = _seen(parts, rows, lengths, treated, template, begin, end)
            cautions = (*unusual_settings(seen), *doubtful_rows(seen))
    return Preflight(
        rows=rows,
        refused=refused,
        examples=shown,
        lengths=lengths,
        treated=treated,
        begin=begin,
        end=end,
        template=template,
        model=_model(parts),
        reference=_reference(parts),
        path=_way(parts),
        work=parts.load.work if parts.load is not None else None,
        memory=parts.memory,
        pace=parts.pace,
        warnings=cautions,
        problems=tuple(parts.problems),
    )


def _rows(parts: Parts) -> Rows | None:
    if parts.preparation is None or parts.sides is None:
        return None
    record: dict[str, Any] = parts.preparation.record
    files = [
        File(
            side=side,
            path=record[side]["path"],
            sha256=record[side]["sha256"],
            recognised=record[side]["recognised"],
            rows=record[side]["rows"],
            groups=record[side]["groups"],
            refused=record[side]["rejected"],
            notes={**record[side].get("notes", {}), **_audited(record[side])},
        )
        for side in ("train", "eval")
        if side in record
    ]
    encoded = parts.lengths is not None  # or at least it was tried
    left = (parts.rows or EncodedSides([], [])) if encoded else parts.sides
    return Rows(
        files=tuple(files),
        made=tuple(record["made"]),
        train=len(left.train),
        held_out=len(left.held_out),
        eval_fraction=parts.config.data.eval_fraction if parts.config.data.eval is None else None,
        eval_prompts_in_train=record.get("eval_prompts_in_train", 0),
    )


def _audited(record: dict[str, Any]) -> dict[str, int]:
    """What an audit changed, in the words of notes."""
    audit = record.get("audit", {})
    words = {"left_out": "left out", "weighed": "weighed anew"}
    return {f"{what}, as {audit['path']} says": audit[key] for key, what in words.items() if audit.get(key)}


def _refused(parts: Parts) -> tuple[Refused, ...]:
    """By code, most frequent first."""
    if parts.preparation is None:
        return ()
    rejects, first = parts.preparation.rejects, defaultdict[str, list[dict[str, object]]](list)
    for row in rejects.rows:
        if len(first[str(row["code"])]) < PLACES:
            first[str(row["code"])].append(row)
    counts = sorted(rejects.counts().items(), key=lambda item: -item[1])
    return tuple(
        Refused(code, count, str(first[code][0]["fix"]), tuple(map(_refused_row, first[code])))
        for code, count in counts
    )


def _refused_row(row: dict[str, object]) -> RefusedRow:
    return RefusedRow(str(row["where"]), str(row["reason"]))


def _treated(parts: Parts) -> tuple[Treated, ...]:
    if parts.preparation is None or parts.sides is None or parts.encoder is None:
        return ()
    treated: list[Treated] = []
    encoded = {"train": parts.rows.train, "eval": parts.rows.held_out} if parts.rows is not None else {}
    for side, groups in (("train", parts.sides.train), ("eval", parts.sides.held_out)):
        record: Any = parts.preparation.record.get(f"{side}_encoded", {})
        for what, places in sorted(record.get("places", {}).items()):
            treated.append(Treated(side, what, record[what], len(groups), tuple(places)))
        if (unknown := unknown_in(parts.encoder, encoded.get(side, []), side)) is not None:
            treated.append(unknown)
    return tuple(treated)


def _lengths(parts: Parts) -> Lengths | None:
    if parts.lengths is None or parts.encoder is None:
        return None
    return parts.lengths.facts(parts.encoder.max_length, parts.config.data.truncation)


def _template(
    parts: Parts, rows: Rows | None, refused: tuple[Refused, ...], treated: tuple[Treated, ...]
) -> Template | None:
    if parts.encoder is None:
        return None
    groups = [row.group for row in parts.sides.train[:1]] if parts.sides is not None else []
    notes = [note for file in rows.files for note in file.notes] if rows is not None else []
    return template_of(parts.config.data, parts.encoder, groups, notes, refused, treated)


def _model(parts: Parts) -> Model | None:
    if parts.loaded is None:
        return None
    loaded, adapter = parts.loaded, parts.config.adapter
    known: dict[str, Any] = parts.models.facts if parts.models is not None else {}
    whole = parts.models is not None or adapter.kind == "none"  # otherwise an adapter may be half attached
    return Model(
        origin=loaded.origin,
        sha256=known.get("sha256") or (digest(loaded.model) if whole else None),
        kind=type(loaded.model).__name__,
        weights=known.get("weights", count(loaded.model.parameters())),
        trained=known.get("trained"),
        adapter=adapter.describe(),
        device=str(loaded.model.device),
        longest=loaded.longest,
    )


def _reference(parts: Parts) -> Reference | None:
    if parts.models is None:
        return None
    facts: dict[str, Any] = parts.models.facts
    return Reference(parts.models.reference is not None, facts["reference"], facts["reference_sha256"])


def _way(parts: Parts) -> Way | None:
    if parts.models is None:
        return None
    choice = parts.models.choice
    head = parts.models.policy.head.describe()
    return Way(choice.path, choice.why, choice.value_gap, choice.gradient_gap, head)


def _seen(
    parts: Parts,
    rows: Rows,
    lengths: Lengths | None,
    treated: tuple[Treated, ...],
    template: Template,
    begin: Begin,
    end: End,
) -> Seen:
    assert parts.objective is not None and parts.rows is not None  # rows were encoded for it
    return Seen(
        config=parts.config,
        objective=parts.objective,
        train=parts.rows.train,
        held_out=parts.held if parts.stream is not None else parts.rows.held_out,
        rows=rows,
        lengths=lengths,
        treated=treated,
        begin=begin,
        end=end,
        template=template,
        work=parts.load.work if parts.load is not None else None,
        memory=parts.memory,
        out_of_memory=parts.out_of_memory,
    )
