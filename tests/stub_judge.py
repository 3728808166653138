"""A server of chat completions for tests, whose every answer the test decides, and runs of a judge that asks it."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prefsmith.feedback.opening import open_judge
from prefsmith.feedback.settings import judge_config
from prefsmith.records import Completion, Group

BLOCK = r"\[begin {what} ([0-9a-f]{{12}})\]\n(.*?)\n\[end {what} \1\]"


@dataclass(frozen=True)
class Asked:
    """A request as the server got it; names of headers are in lower case."""

    number: int
    headers: dict[str, str]
    body: dict

    @property
    def text(self):
        (message,) = self.body["messages"]
        return message["content"]

    @property
    def nonce(self):
        return re.search(r"\[begin answer A ([0-9a-f]{12})\]", self.text)[1]

    def block(self, what):
        return re.search(BLOCK.format(what=what), self.text, re.DOTALL)[2]

    @property
    def first(self):
        return self.block("answer A")

    @property
    def second(self):
        return self.block("answer B")

    def verdict(self, letter):
        return f"VERDICT {self.nonce}: {letter}"


@dataclass(frozen=True)
class Answer:
    """What goes back: `body` as JSON, or as it is where it is bytes. `drop` closes the connection instead."""

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    drop: bool = False


def said(text, *, prompt_tokens=100, reply_tokens=10, finish="stop", refusal=None):
    """A chat completion."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": reply_tokens}
    usage["total_tokens"] = prompt_tokens + reply_tokens
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return Answer({"id": "x", "object": "chat.completion", "model": "stub", "choices": [choice], "usage": usage})


def failed(status, message="no", code=None, **headers):
    """An error as such servers write it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer({"error": {"message": message, "type": "x", "code": code}}, status, named)


def prefers(word):
    """A judge that wants answers with a word in them, whichever comes first."""

    def answer(asked):
        held = word in asked.first, word in asked.second
        return said(f"Let me see.\n{asked.verdict('TIE' if held[0] == held[1] else 'A' if held[0] else 'B')}")

    return answer


@dataclass
class Stub:
    """A running server: its URL, and the requests that it got."""

    url: str
    asked: list[Asked]


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[Stub]:
    """A server on this machine that answers as it is told."""
    asked: list[Asked] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                one = Asked(len(asked), {name.lower(): value for name, value in self.headers.items()}, data)
                asked.append(one)
            given = answer(one)
            if given.seconds:
                time.sleep(given.seconds)
            if given.drop:
                self.close_connection = True
                return
            body = given.body if isinstance(given.body, bytes) else json.dumps(given.body).encode()
            try:
                self.send_response(given.status)
                for name, value in {"Content-Type": "application/json", **given.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # who asked has gone

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Stub(f"http://127.0.0.1:{server.server_address[1]}/v1", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pairs(count, better="good", worse="poor"):
    """Pairs whose first completion is the better one."""
    return [
        Group(f"row {n}", f"f:{n}", f"Question {n}", (Completion(f"{better} {n}"), Completion(f"{worse} {n}")))
        for n in range(count)
    ]


class Judging:
    """Runs of a judge at a stub, with waits and messages on record."""

    def __init__(self, folder):
        self.journal, self.waits, self.messages = folder / "run" / "verdicts.jsonl", [], []
        self.sleep = self.waits.append

    def __call__(self, stub, groups, **settings):
        settings = {"kind": "server", "url": stub.url, "model": "m", "concurrency": 1, "timeout": 5, **settings}
        config = judge_config(settings, "test")
        with open_judge(config, journal=self.journal, say=self.messages.append, sleep=self.sleep) as self.judge:
            return self.judge.votes(groups)

    @property
    def counts(self):
        return {reason: count for reason, count in self.judge.describe()["without_verdict"].items() if count}


def verdicts(votes):
    return ["".join(vote.verdict[0] for vote in both) for both in votes]
