"""A reference that has said all that it will be asked before the first step, and then is not there any more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from prefsmith.model.nats import NatsTable, keys_of
from prefsmith.model.quantize import quantized_layers
from prefsmith.model.score import Frozen, Scorer
from prefsmith.types import Batch, TokenNats

NUMBERS = 1
"""Counts up with every change of layout, kernel or head that changes log-probabilities between two versions."""


class CachedReference(Frozen):
    """A model whose log-probabilities are looked up.

    Before `close` a completion that is not known is scored by the model; afterwards there is none, so that it takes no
    memory beside the policy, and the policy's own weights may move.

    Args:
        model: the reference, as it stands now: it may share its weights with the policy.
        again: makes the reference once more, for whoever needs more than log-probabilities of known completions.
        again_is_whole: whether that is a model of its own, and not the policy with its adapter off.
    """

    def __init__(self, model: Frozen, again: Callable[[], Frozen], *, again_is_whole: bool = True) -> None:
        super().__init__(model.scorer, model.without_adapter)
        self.again, self.again_is_whole = again, again_is_whole
        self.table = NatsTable()
        self.open = True

    def facts(self, sha256: str) -> dict[str, object]:
        """All that the numbers depend on beside token ids: the model with this digest, how it is run, and by what."""
        scorer = self.scorer
        return {
            "sha256": sha256,
            "path": scorer.describe(),
            "device": scorer.device.type,
            "dtype": str(next(scorer.causal.parameters()).dtype),
            "numbers": NUMBERS,
            **{name: version(name) for name in ("prefsmith", "torch", "transformers")},
            **({"bitsandbytes": version("bitsandbytes")} if quantized_layers(scorer.model) else {}),
        }

    def token_nats(self, batch: Batch) -> TokenNats:
        """Log-probability of each scored token, in nats."""
        keys = keys_of(batch)
        if all(key in self.table for key in keys):
            return self.table.get(keys)
        return super().token_nats(batch)

    def remember(self, batch: Batch) -> None:
        """Score a batch and keep what comes."""
        self.table.put(keys_of(batch), batch.scored_per_seq().tolist(), super().token_nats(batch))

    def close(self) -> None:
        """From here on the model is not asked."""
        self.open = False
        del self.scorer

    @contextmanager
    def looking(self) -> Iterator[Scorer]:
        """The model, as long as it is there.

        Raises:
            RuntimeError: it is not.
        """
        if not self.open:
            raise RuntimeError("a completion was not scored before training, and the reference is not kept")
        with super().looking() as scorer:
            yield scorer
