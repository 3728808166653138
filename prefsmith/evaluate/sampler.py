"""Answers of a run for a look: always to the same prompts, with the same noise, beside the reference's word on them."""

from collections.abc import Callable, Mapping, Sequence

from prefsmith.config import RunConfig
from prefsmith.data.encode import Encoder
from prefsmith.data.sides import EncodedSides
from prefsmith.errors import PrefsmithError
from prefsmith.evaluate.samples import first_prompts, sample_rows
from prefsmith.model.cached import CachedReference
from prefsmith.model.generate import Sampling
from prefsmith.model.moving import MovingReference
from prefsmith.model.score import Frozen, Scorer
from prefsmith.train.findings import kl_estimate, sample_of


class Sampler:
    """Writes answers after a number of steps.

    Args:
        policy: whose answers these are.
        reference: what it is compared with; None where no loss asks.
        encoder: of the run.
        rows: held-out prompts come first.
        config: how many answers of what length, the seed of the noise, and a settled token budget.
        in_parts: whether processes have parts of the policy's weights.
        say: is told what cannot be compared.
    """

    def __init__(
        self,
        policy: Scorer,
        reference: Frozen | None,
        encoder: Encoder,
        rows: EncodedSides,
        config: RunConfig,
        *,
        in_parts: bool,
        say: Callable[[str], None],
    ) -> None:
        self.policy, self.reference, self.encoder = Frozen(policy), reference, encoder
        self.token_budget, self.in_parts, self.say = config.train.budget, in_parts, say
        side, self.split = (rows.held_out, "eval") if rows.held_out else (rows.train, "train")
        self.groups = first_prompts((each.group for each in side), config.evaluate.samples)
        tokens = config.evaluate.sample_tokens
        room = tokens if encoder.max_length is None else max(1, encoder.max_length // 2)
        self.sampling = Sampling(max_new_tokens=min(tokens, room), seed=config.train.seed)

    def __call__(self, step: int) -> Sequence[Mapping[str, object]]:
        """Rows as samples.jsonl has them."""
        return sample_rows(
            self.policy,
            self._compared(),
            self.encoder,
            self.groups,
            self.sampling,
            step=step,
            split=self.split,
            token_budget=self.token_budget,
        )

    def divergence(self) -> dict[str, float]:
        """KL to the starting model by fresh answers, in nats each, as an evaluation row has it; empty if unknown."""
        drawn = [sample for row in self(1) if (sample := sample_of(row)) is not None]
        kl = kl_estimate(drawn)
        return {} if kl is None else {"kl": kl.value, "kl_low": kl.low, "kl_high": kl.high, "kl_n": float(kl.n)}

    def _compared(self) -> Frozen | None:
        """What samples are compared with: they say how far the policy went from its start, wherever its reference is.

        A reference that cannot be had again costs the comparison, not the run.
        """
        reference = self.reference
        if isinstance(reference, MovingReference):
            return reference.start
        if not isinstance(reference, CachedReference) or reference.open:
            return reference
        if self.in_parts and reference.again_is_whole:
            self.say("warning: answers are not compared with the reference, which would be a whole model")
            return None
        try:
            return reference.again()
        except PrefsmithError as error:
            self.say(f"warning: answers are not compared with the reference: {error.what}")
            return None
