"""A model behind a URL: any server that speaks as OpenAI's chat completions do.

The key is read from the environment when the server is asked, sent in one header, and taken out of every text that
comes back. Errors of the client are never passed on: they hold the request.
"""

import hashlib
import json
import os
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from prefsmith.errors import ConfigError, PrefsmithError, TrainingError
from prefsmith.feedback.budget import Budget
from prefsmith.feedback.patience import Patience, asked_wait
from prefsmith.feedback.question import Asking, NonceSource, Question, random_nonce
from prefsmith.feedback.settings import ServerConfig
from prefsmith.feedback.threads import as_they_come
from prefsmith.feedback.verdicts import KEPT, Reply

if TYPE_CHECKING:
    from openai import OpenAI

_AGAIN = frozenset({408, 409, 425, 429})
_FAILURES = 5  # questions in a row that come to nothing before the run stops
_EXCERPT = 300


@dataclass(frozen=True, slots=True)
class _Failure:
    """An attempt that brought no reply.

    Args:
        why: for people; holds no key.
        again: whether another attempt may help.
        asked: seconds that the server asked for.
        status: of the answer; None where there was none.
        reached: whether anything answered at the URL.
    """

    why: str
    again: bool
    asked: float | None = None
    status: int | None = None
    reached: bool = True


class Server:
    """Answers questions by asking a server.

    Args:
        config: which, and how.
        sleep: waits between attempts; until an interruption where none is given.
    """

    def __init__(self, config: ServerConfig, *, sleep: Callable[[float], object] | None = None) -> None:
        self.config = config
        self.budget = Budget(config.max_requests, config.max_tokens)
        self._patience = Patience(config.retries)
        self._stop = threading.Event()
        self._sleep = sleep or self._stop.wait
        self._failures = 0  # questions in a row that came to nothing

    @property
    def nonce_source(self) -> NonceSource:
        """Codes that nobody can know."""
        return random_nonce

    def identity(self) -> Mapping[str, object]:
        """Where the server is, its model, and the sampling. Values of `extra` are there as a digest alone."""
        config = self.config
        return {
            "kind": "server",
            "server": config.place,
            "model": config.model,
            "temperature": config.temperature,
            "seed": config.seed,
            "max_reply_tokens": config.reply_tokens,
            "extra": sorted(config.extra),
            "extra_digest": hashlib.sha256(json.dumps(config.extra, sort_keys=True).encode()).hexdigest(),
        }

    def replies(self, questions: Sequence[Question], asking: Asking) -> Iterator[tuple[int, Reply]]:
        """The number of a question and its reply, as they come in.

        Raises:
            ConfigError: the key is missing or refused, the model unknown, or the server takes none of the questions.
            TrainingError: the budget is spent, nothing answers at the URL, or too many questions in a row failed.
        """
        if not questions:
            return
        self._stop.clear()
        stopped: BaseException | None = None
        with self._client() as client:
            ask = partial(self._ask, client, asking)
            for number, future in as_they_come(ask, questions, self.config.concurrency, self._stop):
                problem = future.exception()
                if problem is None:
                    reply = future.result()
                    yield number, reply
                    self._failures = 0 if reply.outcome in KEPT else self._failures + 1
                    problem = _too_many(self._failures, reply, self.config)
                if problem is not None and stopped is None:
                    stopped = problem
                    self._stop.set()  # what is under way is still read, but not tried again
        if stopped is not None:
            raise stopped

    def _ask(self, client: "OpenAI", asking: Asking, question: Question) -> Reply:
        """One question, attempt after attempt."""
        attempt = 0
        while True:
            attempt += 1
            self.budget.take_request()
            came = self._attempt(client, question, asking)
            if isinstance(came, Reply):
                self.budget.add_tokens(came.prompt_tokens, came.reply_tokens)
                return came
            if (problem := _hopeless(came, self.config)) is not None:
                raise problem
            if not came.again:
                return Reply("rejected", text=came.why)
            seconds = self._patience.wait(attempt, came.asked, random.random())
            if seconds is not None and not self._stop.is_set():
                self._sleep(seconds)
            if self._stop.is_set():
                return Reply("unanswered", text=came.why)
            if seconds is None and not came.reached:
                raise _gone(came.why, self.config)
            if seconds is None:
                return Reply("unanswered", text=came.why)

    def _attempt(self, client: "OpenAI", question: Question, asking: Asking) -> Reply | _Failure:
        import openai

        try:
            completions = client.chat.completions.with_raw_response
            text = completions.create(**self._body(question), extra_headers=self._headers(client)).http_response.text
        except openai.APITimeoutError:
            return _Failure(f"no answer within {self.config.timeout:g} seconds", again=True)
        except openai.APIConnectionError as error:
            return _Failure(f"no connection: {type(error.__cause__).__name__}", again=True, reached=False)
        except openai.APIStatusError as error:
            return _status_failure(error.status_code, error.response.headers, error.body, self._hide)
        except openai.OpenAIError as error:
            return _Failure(f"the client failed: {type(error).__name__}", again=True)
        return _read(text, question, asking, self._hide) or _Failure(
            "the server's answer is not a chat completion", True
        )

    def _body(self, question: Question) -> dict[str, Any]:
        config = self.config
        body: dict[str, Any] = {
            "model": config.model,
            "messages": [{"role": "user", "content": question.text}],
            "temperature": config.temperature,
            "seed": config.seed,
            "max_tokens": config.reply_tokens,
        }
        body = {name: value for name, value in body.items() if value is not None}
        return body | ({"extra_body": config.extra} if config.extra else {})

    def _headers(self, client: "OpenAI") -> dict[str, Any]:
        """The named key, or none; nothing that the environment holds for another server."""
        import openai

        lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
        others = ["OpenAI-Organization", "OpenAI-Project", *(line.partition(":")[0].strip() for line in lines)]
        key = f"Bearer {client.api_key}" if self.config.key_variable else openai.Omit()
        return {**{name: openai.Omit() for name in others if name}, "Authorization": key}

    @contextmanager
    def _client(self) -> "Iterator[OpenAI]":
        """The client, without redirects and without attempts of its own."""
        try:
            import openai
        except ImportError:
            what, fix = "a judge behind a URL needs the package openai", "pip install 'prefsmith[judge]'"
            raise ConfigError("judge.library", what, fix=fix) from None
        key = self._key()
        with openai.OpenAI(
            api_key=key or "none",
            base_url=self.config.url,
            timeout=self.config.timeout,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(follow_redirects=False),
        ) as client:
            yield client

    def _key(self) -> str | None:
        name = self.config.key_variable
        if name is None:
            return None
        value = os.environ.get(name, "")
        if not re.fullmatch(r"[\x21-\x7e]+", value):
            problem = "holds spaces, line breaks or other characters that no key has" if value else "is not set"
            what = f"the environment variable {name} {problem}"
            fix = f"export {name}=... before the run; for a server that wants no key leave key_variable out"
            raise ConfigError("judge.key", what, where="judge.key_variable", fix=fix)
        return value

    def _hide(self, text: str) -> str:
        """A text without the key."""
        key = os.environ.get(self.config.key_variable or "")
        return text.replace(key, "[key]") if key else text


def _read(text: str, question: Question, asking: Asking, hide: Callable[[str], str]) -> Reply | None:
    """What a chat completion says; None where it is none."""
    try:
        data = json.loads(text)
        choice = data["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        content, refusal = message.get("content"), message.get("refusal")
        usage = data.get("usage") or {}
        read, written = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    if not isinstance(content, str | None) or not isinstance(refusal, str | None):
        return None
    if refusal or finish == "content_filter":
        return Reply("refused", None, hide(refusal or content or "content filter"), read, written)
    if finish == "length":
        return Reply("cut", None, hide(content or ""), read, written)
    letter = asking.read(content or "", question.nonce)
    return Reply("verdict" if letter else "unreadable", letter, hide(content or ""), read, written)


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _status_failure(
    status: int, headers: Mapping[str, str], body: object, hide: Callable[[str], str]
) -> Reply | _Failure:
    """What a status other than 2xx means."""
    fields = body if isinstance(body, Mapping) else {}
    code, message = str(fields.get("code")), fields.get("message") or fields.get("detail")
    if code in ("content_filter", "content_policy_violation"):
        return Reply("refused", None, hide(f"status {status}, {code}"))
    # A server that refuses a key may repeat it, whole or in part.
    said = "" if status in (401, 403) or not isinstance(message, str) else f": {hide(message)[:_EXCERPT]}"
    again = (status in _AGAIN or status >= 500) and code != "insufficient_quota"
    return _Failure(f"status {status}{said}", again, asked_wait(headers, datetime.now(UTC)), status)


def _hopeless(failure: _Failure, config: ServerConfig) -> PrefsmithError | None:
    """Why nothing more need be asked, where that is so."""
    if failure.status in (401, 403):
        named = f"the key in {config.key_variable}" if config.key_variable else "a request without a key"
        what = f"the server refuses {named} ({failure.why})"
        fix = "check the key, and that it may use this model; key_variable names its environment variable"
        return ConfigError("judge.key", what, where=config.place, fix=fix)
    if failure.status == 404 or failure.status in range(300, 400):
        what = f"there is no model {config.model!r} at this URL ({failure.why})"
        fix = "check judge.url, which ends in the version (/v1), and judge.model"
        return ConfigError("judge.server", what, where=config.place, fix=fix)
    if failure.status == 429 and not failure.again:
        return _gone(failure.why, config)
    return None


def _gone(why: str, config: ServerConfig) -> TrainingError:
    what = f"the judge's server cannot be asked any more ({why})"
    fix = "every verdict so far is kept: see to the server, then run the same command again"
    return TrainingError("judge.unavailable", what, where=config.place, fix=fix)


def _too_many(failures: int, reply: Reply, config: ServerConfig) -> PrefsmithError | None:
    if failures < _FAILURES:
        return None
    if reply.outcome == "rejected":
        what = f"the server takes none of the questions, {failures} in a row ({reply.text})"
        fix = "check temperature, reply_tokens, seed and extra: null leaves a field out; and the model's context"
        return ConfigError("judge.rejected", what, where=config.place, fix=fix)
    return _gone(f"{failures} questions in a row came to nothing; the last: {reply.text}", config)
