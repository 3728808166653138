"""The one parser of settings: a YAML file and a command line become a RunConfig.

Rising order of precedence: defaults, the YAML file, then `a.b=v`, `--a.b v` and the shortcuts `--model D`,
`--data F`, `--out D`. Every value remembers where it was given, for messages.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from prefsmith.config import LossConfig, RunConfig
from prefsmith.errors import ConfigError, nearest

M = TypeVar("M", bound=BaseModel)

_MEMBERS = ("LossConfig", "constrained-int")  # pydantic's names of what is one of several kinds
SHORTCUTS = {"model": "model.path", "data": "data.train", "out": "out"}


@dataclass(slots=True)
class Settings:
    """Nested values and where each came from, for messages."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[tuple[str, ...], str] = field(default_factory=dict)

    def origin(self, path: Sequence[str | int]) -> str:
        """Where the value at `path`, or the nearest key above it, was given."""
        parts = tuple(str(part) for part in path)
        while parts:
            if parts in self.origins:
                return self.origins[parts]
            parts = parts[:-1]
        return ""


def parse_settings(arguments: Iterable[str], *, resume: bool = False) -> RunConfig:
    """Settings from a command line: at most one YAML file, then overrides.

    Args:
        arguments: words of the command line.
        resume: start from the settings that the run in `out` has stored, where there are any.

    Raises:
        ConfigError: an unreadable file, an unknown key, a value outside its range, a key given twice.
    """
    file, overrides = _split_arguments(list(arguments))
    settings = read_yaml(Path(file)) if file else Settings()
    out = overrides.get(("out",), (settings.values.get("out"), ""))[0]
    if resume and isinstance(out, str) and (stored := Path(out).expanduser() / "run.yaml").is_file():
        settings = _overlaid(read_yaml(stored), settings)
    elif resume and isinstance(out, str) and not settings.values and ("model", "path") not in overrides:
        what, fix = "there is no run to go on with", "check --out; or start one with --model and --data"
        raise ConfigError("run.folder", what, where=str(Path(out) / "run.yaml"), fix=fix)
    _override(settings, overrides)
    return build(settings)


def parse_as(kind: type[M], arguments: Iterable[str]) -> M:
    """Settings of another kind: a YAML file, then overrides.

    Raises:
        ConfigError: likewise.
    """
    file, overrides = _split_arguments(list(arguments))
    settings = read_yaml(Path(file)) if file else Settings()
    _override(settings, overrides)
    return build_as(kind, settings)


def load_settings(file: Path) -> RunConfig:
    """Settings from a YAML file alone."""
    return build(read_yaml(file))


def build(settings: Settings) -> RunConfig:
    """Validate nested values.

    Raises:
        ConfigError: with the key, where it was given, and the nearest known name.
    """
    return build_as(RunConfig, settings)


def build_as(kind: type[M], settings: Settings) -> M:
    """The same for settings of another kind.

    Raises:
        ConfigError: with the key, where it was given, and the nearest known name.
    """
    try:
        return kind.model_validate(settings.values)
    except ValidationError as error:
        raise _as_config_error(error, settings, kind) from None


def read_yaml(file: Path) -> Settings:
    """Read a YAML file, remembering the line of every key.

    Raises:
        ConfigError: the file does not exist, is not UTF-8, is not YAML, or gives a key twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
        _refuse_anchors(text, file)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        fix = "check the path; settings by themselves look like train.epochs=2"
        raise ConfigError("config.file", f"cannot read the settings: {reason}", where=str(file), fix=fix) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        what = getattr(error, "problem", None) or "it cannot be read as YAML"
        fix = "mend the file there; indentation is by spaces, and a value with a colon is quoted"
        raise ConfigError("config.yaml", f"not YAML: {what}", where=where, fix=fix) from error
    except RecursionError as error:
        what, fix = "the settings are nested too deeply", "sections hold keys and values, and lists at most"
        raise ConfigError("config.yaml", what, where=str(file), fix=fix) from error
    settings = Settings()
    if node is None:
        return settings
    if not isinstance(node, yaml.MappingNode):
        what, fix = "the settings are not a mapping of sections", "for example `train: {epochs: 2}`"
        raise ConfigError("config.yaml", what, where=f"{file}:1", fix=fix)
    settings.values = _read_node(node, (), file, settings.origins)
    return settings


def _refuse_anchors(text: str, file: Path) -> None:
    """Aliases can make a file of a few lines as large as memory; settings have no use for them."""
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            where = f"{file}:{token.start_mark.line + 1}"
            what, fix = "anchors and aliases (&name, *name) are not read", "write the values out; or quote the text"
            raise ConfigError("config.yaml", what, where=where, fix=fix)


def _read_node(node: yaml.Node, path: tuple[str, ...], file: Path, origins: dict[tuple[str, ...], str]) -> Any:  # noqa: ANN401
    """The value of a YAML node; fills in `origins` with file:line for every key below it."""
    if isinstance(node, yaml.MappingNode):
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, where = str(key_node.value), f"{file}:{key_node.start_mark.line + 1}"
            if key in values:
                what = f"{'.'.join((*path, key))} is given twice"
                raise ConfigError("config.twice", what, where=where, fix="leave one of them out")
            origins[(*path, key)] = where
            values[key] = _read_node(value_node, (*path, key), file, origins)
        return values
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            origins[(*path, str(index))] = f"{file}:{item.start_mark.line + 1}"
            items.append(_read_node(item, (*path, str(index)), file, origins))
        return items
    return yaml.SafeLoader("").construct_object(node)


def _overlaid(below: Settings, above: Settings) -> Settings:
    """Two files of settings as one; what is given above counts."""

    def merged(low: Any, high: Any) -> Any:  # noqa: ANN401
        if isinstance(low, dict) and isinstance(high, dict):
            return {key: merged(low.get(key), high[key]) if key in high else low[key] for key in {**low, **high}}
        return high

    return Settings(merged(below.values, above.values), {**below.origins, **above.origins})


def _split_arguments(arguments: list[str]) -> tuple[str | None, dict[tuple[str, ...], tuple[str, str]]]:
    """The YAML file, if one is named, and the overrides with their origin."""
    file: str | None = None
    given: dict[tuple[str, ...], tuple[str, str]] = {}
    queue = list(arguments)
    while queue:
        token = queue.pop(0)
        if token.startswith("--"):
            key, value, origin = _option(token, queue)
        elif "=" in token:
            key, _, value = token.partition("=")
            origin = token
        elif file is None and not token.startswith("-"):
            file = token
            continue
        else:
            what = f"{token!r} is neither an option nor a setting" + (f"; the file is {file}" if file else "")
            raise ConfigError("config.argument", what, fix="settings look like train.epochs=2 or --train.epochs 2")
        path = tuple(key.split("."))
        for other, (_, before) in given.items():
            if other[: len(path)] == path[: len(other)]:
                what = f"{before} and {origin} are about the same setting"
                raise ConfigError("config.twice", what, fix="leave one of them out")
        given[path] = (value, origin)
    return file, given


def _option(token: str, queue: list[str]) -> tuple[str, str, str]:
    """Key, value and origin of an option; its value is taken from the queue where it does not stand behind `=`."""
    name, found, value = token[2:].partition("=")
    if "." not in name and name not in SHORTCUTS and name not in RunConfig.model_fields:
        known = [f"--{each}" for each in (*SHORTCUTS, "resume", "help")]
        raise ConfigError("config.argument", f"there is no option --{name}", fix=nearest(f"--{name}", known))
    if not found:
        if not queue or queue[0].startswith("--"):
            raise ConfigError("config.argument", f"--{name} needs a value", fix=f"for example --{name} VALUE")
        value = queue.pop(0)
    return SHORTCUTS.get(name, name), value, f"--{name}"


def _override_value(text: str) -> Any:  # noqa: ANN401
    """Lists, mappings and null are YAML; everything else stays text, which pydantic converts by the key's type."""
    if text[:1] in ("[", "{") or text in ("null", "~"):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    return text


def _override(settings: Settings, overrides: Mapping[tuple[str, ...], tuple[str, str]]) -> None:
    for path, (value, origin) in overrides.items():
        _set(settings, path, _override_value(value), origin)


def _set(settings: Settings, path: tuple[str, ...], value: object, origin: str) -> None:
    """Put an override into the nested values; a number in the path is an entry of a list."""
    here: Any = settings.values
    for depth, part in enumerate(path[:-1]):
        if isinstance(here, list):
            here = here[_list_index(here, part, path, origin)]
        else:
            below = here.setdefault(part, {})
            settings.origins.setdefault(path[: depth + 1], origin)
            if below is None or (part == "loss" and isinstance(below, str)):
                below = here[part] = {} if below is None else {"name": below}
            if not isinstance(below, dict | list):
                key = ".".join(path[: depth + 1])
                fix = f"set {key} itself"
                raise ConfigError("config.key", f"{key} is a value and has no keys", where=origin, fix=fix)
            here = below
    if isinstance(here, list):
        here[_list_index(here, path[-1], path, origin)] = value
    else:
        here[path[-1]] = value
    settings.origins[path] = origin


def _list_index(items: list[Any], part: str, path: tuple[str, ...], origin: str) -> int:
    if not part.isdigit() or int(part) >= len(items):
        what = f"{'.'.join(path)}: the list has the entries 0 to {len(items) - 1}, not {part}"
        raise ConfigError("config.key", what, where=origin, fix="entries count from 0; new ones go into the file")
    return int(part)


def _as_config_error(error: ValidationError, settings: Settings, kind: type[BaseModel]) -> ConfigError:
    """The first of pydantic's findings, in our words and with its place."""
    details = error.errors(include_url=False)
    # A union reports every member that the value is not; what is wrong inside the member that it is says more.
    # A key that is not known is why another is missing.
    vague = ("model_type", "list_type", "missing")
    first = next((each for each in details if each["type"] not in vague), details[0])
    # pydantic names the member of a union (LossConfig, list[...]) as a step of the path: it is no key.
    path = [part for part in first["loc"] if not (isinstance(part, str) and ("[" in part or part in _MEMBERS))]
    key = ".".join(str(part) for part in path)
    where = settings.origin([str(part) for part in path])
    others = f" (and {len(details) - 1} more)" if len(details) > 1 and first["loc"][:1] != ("loss",) else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(kind, path[:-1])
        return ConfigError("config.unknown_key", f"there is no setting {key}{others}", where=where,
                           fix=nearest(str(path[-1]), known))  # fmt: skip
    message = pydantic_says(first)
    value = first.get("input")
    shown = f", not {value!r}" if not isinstance(value, dict | list) and "not" not in message else ""
    what = f"{key + ': ' if key else ''}{message}{shown}{others}"
    return ConfigError("config.value", what, where=where, fix=_explained(kind, path))


def pydantic_says(finding: Mapping[str, object]) -> str:
    """The message of a finding, without the class that a validator of ours raised."""
    return str(finding["msg"]).removeprefix("Value error, ")


def _known_keys(kind: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    model: Any = kind
    for part in path:
        model = get_args(model)[0] if isinstance(part, int) else model.model_fields[str(part)].annotation
    return list(model.model_fields)


def _explained(kind: type[BaseModel], path: Sequence[str | int]) -> str:
    """What the setting is, in the words of its help."""
    model: Any = LossConfig if kind is RunConfig and path[:1] == ["loss"] else kind
    entry = None
    for part in path[1:] if model is LossConfig else path:
        if isinstance(part, int):
            model = next(iter(get_args(model)), model)
        elif part in getattr(model, "model_fields", {}):
            entry = model.model_fields[part]
            model = entry.annotation
    found = entry.description if entry is not None else None
    if found is None and kind is not RunConfig:
        return f"the settings are {', '.join(kind.model_fields)}"
    return found or "`prefsmith train --help` explains every setting"
