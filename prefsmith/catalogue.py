"""Every setting as data: its key, its default, what it may be and what it does.

Help texts, starter files and docs are written from it, so none of them can say something else than `config.py`.
"""

import math
import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from prefsmith.config import LossConfig, RunConfig, Section


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Args:
        key: its name inside its section.
        default: the value it has where none is given.
        words: what it does.
        kind: what its value is: a number, text, ...
        limits: which values of that kind it takes: `at least 1`, or the words to choose from; empty for all.
        choices: the words to choose from; empty where it is no choice.
        nullable: whether it may be left open by `null`.
    """

    key: str
    default: object
    words: str
    kind: str
    limits: str = ""
    choices: tuple[str, ...] = ()
    nullable: bool = False

    @property
    def allowed(self) -> str:
        """Every value that it takes, in words."""
        values = self.limits if self.choices else f"{self.kind}, {self.limits}" if self.limits else self.kind
        return f"{values}, or null" if self.nullable else values


@dataclass(frozen=True, slots=True)
class Chapter:
    """The settings of one section; `name` is empty for those that stand in none."""

    name: str
    words: str
    settings: tuple[Setting, ...]


def chapters() -> list[Chapter]:
    """Every section in the order of `RunConfig`, and the settings outside of sections last.

    The `loss` section has the two settings that all losses share; `losses.pages` has each loss's own.
    """
    found: list[Chapter] = []
    outside: list[Setting] = []
    for name, field in RunConfig.model_fields.items():
        kind = LossConfig if name == "loss" else field.annotation
        if isinstance(kind, type) and issubclass(kind, Section | LossConfig):
            found.append(Chapter(name, _plain(kind.__doc__), _settings(kind.model_fields)))
        else:
            outside.append(_setting(name, field))
    return [*found, Chapter("", "The run as a whole.", tuple(outside))]


def settings_help() -> str:
    """Every setting with its default and what it does, by section, for `--help`."""
    lines: list[str] = []
    for chapter in chapters():
        lines += ["", f"{chapter.name}: {chapter.words}" if chapter.name else chapter.words]
        lines += [_help_line(f"{chapter.name}.{each.key}".lstrip("."), each) for each in chapter.settings]
    return "\n".join(lines).strip()


def bounds(low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> str:
    """A range of numbers in words: `at least 0 and below 1`; empty where nothing is excluded."""
    words = [f"{'above' if open_low else 'at least'} {low:g}"] if math.isfinite(low) else []
    words += [f"{'below' if open_high else 'at most'} {high:g}"] if math.isfinite(high) else []
    return " and ".join(words)


def _settings(fields: dict[str, FieldInfo]) -> tuple[Setting, ...]:
    return tuple(_setting(key, field) for key, field in fields.items())


def _setting(key: str, field: FieldInfo) -> Setting:
    members = _alternatives(field.annotation)
    kinds = [get_args(each)[0] if get_origin(each) is Annotated else each for each in members]
    choices = tuple(str(word) for kind in kinds if get_origin(kind) is Literal for word in get_args(kind))
    if choices and {get_origin(kind) for kind in kinds} != {Literal}:  # a word in the place of a number
        (number,) = (each for each in members if get_origin(each) is Annotated)
        limits = f"{_field_bounds(get_args(number)[1])} or {', '.join(choices)}"
        return Setting(key, field.default, _plain(field.description), _kind(get_args(number)[0]), limits=limits)
    return Setting(
        key,
        field.get_default(call_default_factory=True),
        _plain(field.description),
        " or ".join(_kind(kind) for kind in kinds if kind is not type(None)),
        limits=", ".join(choices) or _field_bounds(field),
        choices=choices,
        nullable=type(None) in kinds,
    )


def _plain(text: str | None) -> str:
    return " ".join((text or "").split())


def _field_bounds(field: FieldInfo) -> str:
    """The limits that pydantic checks, which it keeps as annotated-types' Ge, Gt, Le, Lt."""
    names = ("ge", "gt", "le", "lt")
    limits = {name: getattr(each, name) for each in field.metadata for name in names if hasattr(each, name)}
    low, high = limits.get("ge", limits.get("gt", -math.inf)), limits.get("le", limits.get("lt", math.inf))
    return bounds(low, high, open_low="gt" in limits, open_high="lt" in limits)


def _alternatives(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """The members of a union; anything else is its only one."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _kind(annotation: Any) -> str:  # noqa: ANN401
    """A type in words that a reader of YAML knows."""
    origin = get_origin(annotation) or annotation
    names = {bool: "true or false", int: "a whole number", float: "a number", list: "a list", tuple: "a list"}
    return {**names, str: "text", dict: "a mapping", Literal: "a word"}[origin]


def _help_line(key: str, setting: Setting) -> str:
    default = setting.default
    shown = "" if default in (None, "", {}) else f" [{str(default).lower() if isinstance(default, bool) else default}]"
    choices = f" ({' | '.join(setting.choices)})" if setting.choices else ""
    return f"  {key}{shown}  {setting.words}{choices}"
