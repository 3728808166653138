"""The settings of a judge: one frozen model for each kind, told apart by `kind`.

{kind: rule, rule: longer}
{kind: server, url: "http://localhost:8000/v1", model: my-judge}
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from prefsmith.config import Section
from prefsmith.errors import ConfigError, nearest
from prefsmith.settings import pydantic_says

RULES = ("longer", "shorter", "contains", "matches")
CRITERION = (
    "The better answer is the one that does what the request asks more fully and correctly, is true, and does no harm."
)
_FUNCTION = re.compile(r"\.py:\w+$")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class JudgeSection(Section):
    """What the judges have in common. Values that are wrong are not shown: one of them may be a key."""

    model_config = ConfigDict(hide_input_in_errors=True)

    name: str | None = Field(default=None, min_length=1)
    """The annotator of its votes. Default: what it is."""


class RuleConfig(JudgeSection):
    """Something that can be read off two answers."""

    kind: Literal["rule"] = "rule"
    rule: str = Field(min_length=1)
    """`longer`, `shorter` (in characters), `contains`, `matches`, or a Python function of yours as `file.py:name`."""
    pattern: str | None = Field(default=None, min_length=1)
    """For `contains` the text, for `matches` the regular expression that the better answer has."""

    @model_validator(mode="after")
    def _a_pattern_is_for_those_who_search(self) -> "RuleConfig":
        if self.rule not in RULES and ":" not in self.rule:
            raise ValueError(f"rule is not {', '.join(RULES)} or file.py:name")
        searches = self.rule in ("contains", "matches")
        if searches and self.pattern is None:
            raise ValueError(f"the rule {self.rule} needs a pattern, and there is not one")
        if not searches and self.pattern is not None:
            raise ValueError("pattern is set, but only the rules contains and matches read it: it is not for this one")
        return self


class RewardConfig(JudgeSection):
    """A number for every answer; the larger one wins."""

    kind: Literal["reward"] = "reward"
    reward: str = Field(min_length=1)
    """`file.py:name`, a Python function from prompt and answer to a number; or a reward model's folder or hub id."""
    tie_margin: float = Field(default=0.0, ge=0)
    """Answers whose numbers differ by no more than this are tied."""
    device: str = "auto"
    """Of a reward model: `auto` takes a GPU where there is one; otherwise cpu, cuda, cuda:1, mps."""

    @model_validator(mode="after")
    def _a_device_is_for_a_model(self) -> "RewardConfig":
        if Path(self.reward).suffix == ".py":
            raise ValueError("reward names a Python file, and no function of it")
        if self.is_function and self.device != "auto":
            raise ValueError("device is set, but only a reward model reads it: it is not for a function")
        return self

    @property
    def is_function(self) -> bool:
        """Whether a function of the user's gives the numbers, and not a model."""
        return _FUNCTION.search(self.reward) is not None


class AskedConfig(JudgeSection):
    """A model that reads the pair and answers in words."""

    model: str = Field(min_length=1)
    """Of a server: the name that it knows the model by. Local: folder or hub id; an adapter's folder too."""
    criterion: str = Field(default=CRITERION, min_length=1)
    """What makes an answer the better one, as told to the model."""
    ties: bool = True
    """Whether the model may say that neither is better."""


class LocalConfig(AskedConfig):
    """A model on this machine: the likeliest verdict counts."""

    kind: Literal["local"] = "local"
    device: str = "auto"
    """`auto` takes a GPU where there is one; otherwise cpu, cuda, cuda:1, mps."""
    template: str = "auto"
    """`auto`: the model's chat template, plain text where it has none. `plain`, or the path of a Jinja file."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for models whose code you have read."""


class ServerConfig(AskedConfig):
    """A model behind a URL that speaks as OpenAI's chat completions do."""

    kind: Literal["server"] = "server"
    url: str = Field(min_length=1)
    """Where the server is, up to and with its version: `http://localhost:8000/v1`."""
    key_variable: str | None = None
    """Name of the environment variable that holds the key. Without it no key is sent."""
    temperature: float | None = Field(default=0.0, ge=0)
    """Of the judge's sampling. null leaves it to the server, for models that refuse to be told."""
    seed: int | None = Field(default=None, ge=0)
    """Sent with every request where it is set; not every server heeds it."""
    reply_tokens: int | None = Field(default=1024, ge=1)
    """Most tokens of a reply, sent as `max_tokens`. null sends nothing. A reply that is cut off is no verdict."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further fields of every request, as the server knows them."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds that one attempt may take."""
    retries: int = Field(default=5, ge=0)
    """Further attempts after no answer, a broken answer, status 408, 409, 425, 429 or 5xx."""
    concurrency: int = Field(default=4, ge=1, le=256)
    """Requests under way at a time."""
    max_requests: int | None = Field(default=None, ge=1)
    """Most requests of one run, further attempts included; then the run stops and can be gone on with."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of one run, read and written; requests under way when it is reached are still finished."""

    @field_validator("key_variable")
    @classmethod
    def _a_name_not_the_key(cls, value: str | None) -> str | None:
        if value is not None and not _VARIABLE.fullmatch(value):
            raise ValueError("this is the name of an environment variable, not the key itself")
        return value

    @field_validator("url")
    @classmethod
    def _a_url_without_secrets(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            found = parts.hostname is not None and parts.port != 0
        except ValueError:
            raise ValueError("this is not a URL such as http://localhost:8000/v1") from None
        if parts.scheme not in ("http", "https") or not found:
            raise ValueError("this is not a URL such as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("a URL with a user, a password or a query is not taken: a key comes from key_variable")
        return value.rstrip("/")

    @field_validator("extra")
    @classmethod
    def _extra_is_beside_our_own(cls, value: dict[str, Any]) -> dict[str, Any]:
        own = sorted({"model", "messages", "stream", "n", "temperature", "seed", "max_tokens"} & value.keys())
        if own:
            raise ValueError(f"extra.{own[0]} is not for extra: it has a setting of its own, or must stay as it is")
        _require_json(value)
        return value

    @property
    def place(self) -> str:
        """Host, port and path of the server."""
        parts = urlsplit(self.url)
        return f"{parts.netloc}{parts.path}"


class VotesConfig(JudgeSection):
    """What was said before, from a file."""

    kind: Literal["votes"] = "votes"
    path: str = Field(min_length=1)
    """Rows of `prompt`, `completions` (two) and `votes`, as JSON lines."""
    annotator: str | None = None
    """Take this one's votes alone."""


JudgeConfig = Annotated[
    RuleConfig | RewardConfig | LocalConfig | ServerConfig | VotesConfig,
    Field(discriminator="kind"),
]
KINDS: dict[str, type[JudgeSection]] = {
    "rule": RuleConfig,
    "reward": RewardConfig,
    "local": LocalConfig,
    "server": ServerConfig,
    "votes": VotesConfig,
}

_adapter: TypeAdapter[RuleConfig | RewardConfig | LocalConfig | ServerConfig | VotesConfig] = TypeAdapter(JudgeConfig)


def judge_config(
    values: Mapping[str, object], where: str
) -> RuleConfig | RewardConfig | LocalConfig | ServerConfig | VotesConfig:
    """The settings of a judge from the values of a section.

    Args:
        values: as YAML has them.
        where: the file or option that they come from, for messages.

    Raises:
        ConfigError: no known kind, an unknown key, or a value outside its range. The value itself is not repeated.
    """
    problem: ConfigError
    try:
        return _adapter.validate_python(dict(values))
    except ValidationError as error:
        problem = _in_our_words(error, where)
    raise problem


def judge_word(word: str) -> dict[str, object]:
    """The values that one word of a command line stands for.

    `longer` and `shorter` are rules, `file.py:name` and a folder are rewards, `.jsonl` is a file of votes.

    Raises:
        ConfigError: it is none of these.
    """
    if word in ("longer", "shorter"):
        return {"kind": "rule", "rule": word}
    if _FUNCTION.search(word) or Path(word).expanduser().is_dir():
        return {"kind": "reward", "reward": word}
    if Path(word).suffix == ".jsonl":
        return {"kind": "votes", "path": word}
    what = f"{word!r} names no judge"
    fix = (
        "longer, shorter, file.py:name (a reward), a reward model's folder, votes.jsonl, or a YAML file with a section "
        "`judge`"
    )
    raise ConfigError("judge.kind", what, fix=fix)


def _in_our_words(error: ValidationError, where: str) -> ConfigError:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    first = details[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        what = "no kind of judge is named" if first["type"].endswith("found") else "there is no such kind of judge"
        return ConfigError("judge.kind", what, where=where, fix="kind is one of: " + ", ".join(KINDS))
    kind, keys = KINDS[path[0]], path[1:]
    key = ".".join(keys)
    if first["type"] == "extra_forbidden":
        what = f"a judge of kind {path[0]} has no setting {key}"
        return ConfigError("judge.setting", what, where=where, fix=nearest(keys[-1], kind.model_fields))
    entry = kind.model_fields.get(keys[0]) if keys else None
    message = pydantic_says(first)
    what = f"judge.{key}: {message}" if key else f"judge: {message}"
    fix = (entry.description if entry is not None else None) or "docs/judges.md explains every setting"
    return ConfigError("judge.setting", what, where=where, fix=fix)


def _require_json(value: object) -> None:
    if isinstance(value, Mapping):
        for each in value.values():
            _require_json(each)
    elif isinstance(value, list):
        for each in value:
            _require_json(each)
    elif not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("extra holds what is not JSON")
