"""`prefsmith merge`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from prefsmith.cli.terminal import say

if TYPE_CHECKING:
    from prefsmith.methods.merge import Merged

HELP = """Merge a trained adapter into its base, as a model's folder that needs no peft.

For example:

    prefsmith merge runs/lora --out merged
    prefsmith merge runs/lora/model --model BASE --out merged --dtype float32

It takes a run's folder or an adapter's. Before anything is written, the merged model's logits are compared with those \
of base and adapter: on answers that the run has sampled, behind their prompts, or on random ids where there are none. \
The largest change of a logit and of a log-probability is told; above --tolerance nothing is written.

Merging adds in float32. Files in bfloat16 or float16 hold the sum rounded, which is most of what changes.

Exit status: 0 done, 1 a bug of ours, 2 a wrong folder or option, 4 the merged model is another one than the two."""


def merge(
    adapter: Annotated[str, Parameter(help="Folder of a run or of an adapter.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder to write; nothing is there yet.")],
    model: Annotated[str | None, Parameter(help="The base. Default: what the run or the adapter names.")] = None,
    tolerance: Annotated[
        float | None, Parameter(help="Largest change in nats. Default: 1e-3, below float32 0.1.")
    ] = None,
    dtype: Annotated[
        Literal["base", "float32", "bfloat16", "float16"], Parameter(help="Precision of the files.")
    ] = "base",
    device: Annotated[str, Parameter(help="auto, cpu, cuda, mps.")] = "auto",
    trust_remote_code: Annotated[bool, Parameter(negative=(), help="Run the model's own code.")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="For programs.")] = False,
    dry_run: Annotated[bool, Parameter(negative=(), help="Compare, and write nothing.")] = False,
) -> None:
    """Merge a trained adapter into its base."""
    from prefsmith.methods.merge import merge_adapter  # inside: --help answers without torch

    merged = merge_adapter(
        adapter,
        out,
        base=model,
        dtype=dtype,
        tolerance=tolerance,
        device=device,
        trust_remote_code=trust_remote_code,
        dry_run=dry_run,
    )
    for line in [json.dumps(merged.to_json(), indent=1)] if as_json else _lines(merged):
        say(line)


def _lines(merged: "Merged") -> Iterator[str]:
    drift = merged.drift
    yield f"{merged.base} with {merged.adapter}, in {merged.dtype}"
    yield f"  compared on {drift.texts} texts, {drift.tokens:,} tokens: {merged.texts}"
    yield f"  largest change of a logit {drift.logits:.2g}, of a log-probability {drift.nats:.2g} nats"
    yield f"  another token is the likeliest at {drift.other_likeliest:,} of {drift.tokens:,} places"
    yield f"the model is in {merged.out}" if merged.out is not None else "nothing is written: --dry-run"
