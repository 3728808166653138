"""What a run may spend on a judge."""

import threading

from prefsmith.errors import ConfigError, TrainingError


class Budget:
    """Requests and tokens, counted across threads.

    Args:
        max_requests: None for no limit.
        max_tokens: None for no limit.
    """

    def __init__(self, max_requests: int | None = None, max_tokens: int | None = None) -> None:
        self.max_requests, self.max_tokens = max_requests, max_tokens
        self.requests = self.tokens = 0
        self._lock = threading.Lock()

    def take_request(self) -> None:
        """Count a request that is about to be made.

        Raises:
            TrainingError: there is nothing left for it.
        """
        with self._lock:
            if self.max_requests is not None and self.requests >= self.max_requests:
                raise _spent(f"the judge's budget of {self.max_requests:,} requests is spent", "max_requests")
            if self.max_tokens is not None and self.tokens >= self.max_tokens:
                what = f"the judge's budget of {self.max_tokens:,} tokens is spent: {self.tokens:,} were used"
                raise _spent(what, "max_tokens")
            self.requests += 1

    def add_tokens(self, prompt: int | None, reply: int | None) -> None:
        """Count the tokens of a reply, as the server says them.

        Raises:
            ConfigError: it does not say them, and there is a limit.
        """
        with self._lock:
            if prompt is None and self.max_tokens is not None:
                what = "the server does not say how many tokens it used, so max_tokens cannot be kept"
                raise ConfigError("judge.usage", what, where="judge.max_tokens", fix="limit max_requests instead")
            self.tokens += (prompt or 0) + (reply or 0)


def _spent(what: str, key: str) -> TrainingError:
    fix = (
        f"every verdict so far is kept: the same command goes on there with a budget of the same size; "
        f"or raise judge.{key}"
    )
    return TrainingError("judge.budget", what, where=f"judge.{key}", fix=fix)
