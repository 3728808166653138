"""What a run was: trained on what, with which settings, what became of the rows, and how to do it again."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefsmith.config import RunConfig
from prefsmith.report.run import Facts, RecordedRun, flat
from prefsmith.report.summary import last_step
from prefsmith.train.findings import done_to_rows, number, numbers, percent
from prefsmith.wording import counted

GIVEN = ("model.path", "data.train", "data.eval", "out")
"""Settings that every run gives its own value, so that they say nothing as a difference from a default."""

LONGEST_NAME = 60
"""Characters of a model's name in the outline; the table of the model has all of them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting with its value and its default; the default is empty where the loss itself has it."""

    key: str
    value: str
    default: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Treated:
    """Rows to which something was done: how many of how many, and where the first of them stand."""

    side: str
    what: str
    rows: int
    of: int
    places: tuple[str, ...]

    @property
    def share(self) -> str:
        """As a percentage; empty where the whole is not known."""
        return percent(self.rows / self.of) if self.of else ""


def outline(run: RecordedRun) -> list[str]:
    """The run in a few words each: loss, model, rows, steps, duration."""
    origin = str(run.model.get("origin") or run.settings.get("model.path") or "").rstrip("/")
    name = origin if origin.count("/") == 1 and origin[0] not in "/." else Path(origin).name
    parts = [loss_words(run), name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"]
    groups = number(_part(run.data, "train_encoded"), "groups")
    parts += [f"{groups:,.0f} rows"] if groups else []
    parts += [steps_words(run)]
    seconds = number(run.outcome, "seconds")
    parts += [duration(seconds)] if seconds is not None and run.state == "finished" else []
    return [part for part in parts if part]


def loss_words(run: RecordedRun) -> str:
    """The losses by name."""
    names = [str(value) for key, value in run.settings.items() if key.startswith("loss") and key.endswith("name")]
    return " + ".join(names)


def steps_words(run: RecordedRun) -> str:
    """How many steps were done, of how many where that is known."""
    done, planned = last_step(run), number(run.model, "steps")
    if planned and run.state != "finished":
        return f"{done:,} of {planned:,.0f} steps"
    return counted(done, "step")


def model_table(run: RecordedRun) -> list[tuple[str, str]]:
    """What was trained, against what, on what machine."""
    model = run.model
    weights, trained = number(model, "weights"), number(model, "trained")
    counts = f"{trained:,.0f} of {weights:,.0f}" if weights and trained else ""
    adapter = run.config.adapter if run.config is not None else None
    reference, digest = str(model.get("reference") or ""), str(model.get("reference_sha256") or "")
    if digest and digest != str(model.get("sha256")):
        reference += f" (sha256 {digest})"
    rows = [
        ("model", str(model.get("origin") or run.settings.get("model.path") or "")),
        ("sha256 of its weights", str(model.get("sha256") or "")),
        ("adapter", adapter.describe() if adapter is not None and adapter.kind != "none" else ""),
        ("weights trained", counts),
        ("reference", reference or ("none" if model else "")),
        ("path", str(model.get("path") or "")),
        ("device", str(model.get("device") or "")),
    ]
    return [(name, value) for name, value in rows if value]


def machine_table(run: RecordedRun) -> list[tuple[str, str]]:
    """Where and when, with which versions."""
    here = run.environment
    versions = _part(here, "versions")
    earlier = here.get("before")
    starts = 1 + len(earlier) if isinstance(earlier, list) else 1
    seconds, training = number(run.outcome, "seconds"), sum(numbers(run.train, "seconds"))
    peak = max(numbers(run.train, "peak_memory_bytes"), default=0.0)
    threads = f", {here['torch_threads']} threads" if here.get("torch_threads") else ""
    rows = [
        ("started", str(here.get("started") or "") + (f" (start {starts} of the run)" if starts > 1 else "")),
        ("duration", duration(seconds) if seconds is not None and run.state == "finished" else ""),
        ("in training steps", duration(training) if training else ""),
        ("machine", f"{here['machine']}{threads}" if here.get("machine") else ""),
        ("GPU", str(here.get("cuda") or "")),
        ("most memory in use", f"{peak / 2**30:.2f} GiB" if peak else ""),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("Python", str(here.get("python") or "")),
    ]
    return [(name, value) for name, value in rows if value]


def data_table(run: RecordedRun) -> list[tuple[str, str]]:
    """The files, with what was recognised in them and what was made of them."""
    rows: list[tuple[str, str]] = []
    for side, words in (("train", "training file"), ("eval", "held-out file")):
        file = _part(run.data, side)
        if not file:
            continue
        rows.append((words, str(file.get("path", ""))))
        rows += [(f"sha256 of the {words}", str(file["sha256"]))] if file.get("sha256") else []
        rows += [("rows in it", f"{number(file, 'rows'):,.0f}")] if number(file, "rows") is not None else []
        rows += [("recognised", str(file["recognised"]))] if file.get("recognised") else []
        rows += [("noted", f"{count} {what}") for what, count in _part(file, "notes").items()]
    for side, words in (("train_encoded", "trained on"), ("eval_encoded", "held out")):
        encoded = _part(run.data, side)
        counts = [number(encoded, key) for key in ("groups", "prompt_tokens", "completion_tokens")]
        if counts[0] is not None:
            groups, prompt, completion = (each or 0 for each in counts)
            rows.append((words, f"{groups:,.0f} rows: {prompt:,.0f} tokens of prompts, {completion:,.0f} of answers"))
    return rows


def treated_rows(run: RecordedRun) -> list[Treated]:
    """What was refused, dropped or cut, by side and kind."""
    found: list[Treated] = []
    for side, words in (("train", "training file"), ("eval", "held-out file")):
        file = _part(run.data, side)
        refused = int(number(file, "rejected") or 0)
        if refused:
            found.append(Treated(words, "refused when read", refused, int(number(file, "rows") or 0), ()))
        audit = _part(file, "audit")
        for key, what in (("left_out", "left out by the audit"), ("weighed", "weighed anew by the audit")):
            if count := int(number(audit, key) or 0):
                found.append(Treated(words, what, count, int(number(file, "rows") or 0), ()))
    for side, words in (("train_encoded", "trained on"), ("eval_encoded", "held out")):
        encoded = _part(run.data, side)
        refused, places = int(number(encoded, "rejected") or 0), _part(encoded, "places")
        if refused:
            found.append(Treated(words, "refused when encoded", refused, 0, ()))
        groups = int(number(encoded, "groups") or 0)
        for what, count in done_to_rows(encoded).items():
            first = places.get(what)
            shown = tuple(str(place) for place in first) if isinstance(first, list) else ()
            found.append(Treated(words, what, count, groups if count <= groups else 0, shown))
    return found


def settings_table(run: RecordedRun) -> list[Setting]:
    """Every setting; changed are those that differ from their defaults, and the loss's own."""
    defaults = _defaults(run.config) if run.config is not None else {}
    return [
        Setting(
            key,
            words(value),
            words(defaults[key]) if key in defaults else "",
            key.startswith("loss") or (key not in GIVEN and key in defaults and defaults[key] != value),
        )
        for key, value in run.settings.items()
    ]


def repeat_command(run: RecordedRun) -> str:
    """The command line that does the same run again; empty where that takes a program."""
    in_memory = "in memory" in (run.model.get("origin"), _part(run.data, "train").get("path"))
    if run.config is None or in_memory:
        return ""
    return f"prefsmith train {shlex.quote(str(run.folder / 'run.yaml'))} --out {_quoted(run.folder, '-again')}"


def resume_command(run: RecordedRun) -> str:
    """The command line that goes on with a run that did not come to its end."""
    return f"prefsmith train --out {_quoted(run.folder)} --resume" if run.state in ("stopped", "failed") else ""


def report_command(run: RecordedRun) -> str:
    """The command line that draws the page again."""
    return f"prefsmith report {_quoted(run.folder)}"


def duration(seconds: float) -> str:
    """A time in the two units that say enough."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    return f"{minutes} min {int(seconds % 60)} s" if hours == 0 else f"{hours} h {minutes % 60} min"


def words(value: object) -> str:
    """A setting's value as YAML would write it on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(words(each) for each in value)
    return "none" if value is None or value == {} else str(value)


def _defaults(config: RunConfig) -> dict[str, object]:
    """The defaults by dotted key; the learning rate's depends on what is trained."""
    bare = config.model_copy(update={"optim": config.optim.model_copy(update={"learning_rate": None})})
    defaults = dict(flat(RunConfig().model_dump(mode="json")))
    return {**defaults, "optim.learning_rate": bare.learning_rate}


def _quoted(folder: Path, suffix: str = "") -> str:
    return shlex.quote(f"{folder}{suffix}")


def _part(facts: Facts, key: str) -> Facts:
    part = facts.get(key)
    return part if isinstance(part, Mapping) else {}
