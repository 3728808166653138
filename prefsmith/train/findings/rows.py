"""What became of the rows on their way to training, as data.json counts it."""

from collections.abc import Iterator, Mapping, Sequence

from prefsmith.train.findings.finding import Finding, Row, number, percent

CUT, CUT_OFTEN = 0.05, 0.25
"""Shares of the rows with an answer cut that are noted and warned of: a cut answer does not teach where to end."""
PROMPTS_CUT = 0.25
"""Share of the rows with a prompt cut that is noted: their answers may refer to what is gone."""
REFUSED, REFUSED_OFTEN = 0.01, 0.10
"""Shares of the rows that were refused that are noted and warned of."""
NOT_KINDS = {"groups", "prompt_tokens", "completion_tokens", "completions", "rejected", "max_length", "places"}
"""Keys of an encoded side that count something else than rows to which something was done."""


def done_to_rows(side: Mapping[str, object]) -> dict[str, int]:
    """How many rows were cut, dropped or kept as text, by what was done."""
    return {
        key: value
        for key, value in side.items()
        if key not in NOT_KINDS and isinstance(value, int) and not isinstance(value, bool)
    }


def row_findings(data: Mapping[str, object]) -> list[Finding]:
    """Rows that were cut or refused, and prompts that stand on both sides."""
    return [*_cut(_part(data, "train_encoded")), *_refused(data), *_leaked(data)]


def refused_rows(data: Mapping[str, object]) -> tuple[int, int]:
    """Rows that were refused, when read and when encoded, and rows in all; of both files where there are two."""
    keys = ("train", "eval", "train_encoded", "eval_encoded")
    refused = sum(number(_part(data, key), "rejected") or 0 for key in keys)
    rows = sum(number(_part(data, key), "rows") or 0 for key in ("train", "eval"))
    return int(refused), int(rows)


def tokens_per_completion(data: Mapping[str, object], metrics: Sequence[Row]) -> float | None:
    """Mean scored tokens of a training completion; None where the data's record does not tell."""
    side = _part(data, "train_encoded")
    tokens, groups, completions = (number(side, key) for key in ("completion_tokens", "groups", "completions"))
    if not tokens or not groups:
        return None
    paired = any(number(row, "shorter_accuracy") is not None for row in metrics)
    paired = paired or str(_part(data, "train").get("recognised")).startswith(("preference", "dialogue"))
    return tokens / (completions or groups * (2 if paired else 1))


def held_out_rows(data: Mapping[str, object]) -> int:
    """Rows that are there to be evaluated on."""
    return int(number(_part(data, "eval_encoded"), "groups") or 0)


def _cut(side: Mapping[str, object]) -> Iterator[Finding]:
    groups, done = number(side, "groups"), done_to_rows(side)
    if not groups:
        return
    answers, prompts = done.get("with an answer cut", 0) / groups, done.get("with a prompt cut", 0) / groups
    limit = number(side, "max_length")
    cause = "They are longer than data.max_length" + (f" ({limit:.0f} tokens)." if limit is not None else ".")
    if answers >= CUT:
        yield Finding(
            "answers_cut",
            "warning" if answers >= CUT_OFTEN else "note",
            "Many answers were cut.",
            f"{done['with an answer cut']:,} of {groups:,.0f} training rows ({percent(answers)}).",
            f"{cause} A cut answer has no end token, so the policy does not learn from it where to stop.",
            "Raise data.max_length, or leave such rows out with data.truncation=drop.",
        )
    if prompts >= PROMPTS_CUT:
        yield Finding(
            "prompts_cut",
            "note",
            "Many prompts were cut at their start.",
            f"{done['with a prompt cut']:,} of {groups:,.0f} training rows ({percent(prompts)}).",
            cause,
            "Raise data.max_length if the answers refer to what was cut.",
        )


def _refused(data: Mapping[str, object]) -> Iterator[Finding]:
    refused, rows = refused_rows(data)
    if rows and refused / rows >= REFUSED:
        yield Finding(
            "rows_refused",
            "warning" if refused / rows >= REFUSED_OFTEN else "note",
            "Rows were refused and are not trained on.",
            f"{refused:,} of {rows:,} ({percent(refused / rows)}).",
            "They cannot be used as they are; each stands in rejected.jsonl with its reason.",
            "Mend them if they are not a random part of the data.",
        )


def _leaked(data: Mapping[str, object]) -> Iterator[Finding]:
    leaked = number(data, "eval_prompts_in_train")
    if leaked:
        yield Finding(
            "prompts_leaked",
            "warning",
            "Some held-out rows have a prompt that is also trained on.",
            f"{leaked:,.0f} rows.",
            "The held-out result is then partly one of memory.",
            "Take these prompts out of one of the two files.",
        )


def _part(data: Mapping[str, object], key: str) -> Mapping[str, object]:
    part = data.get(key)
    return part if isinstance(part, Mapping) else {}
