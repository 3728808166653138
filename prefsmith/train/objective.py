"""What is minimised: the terms, what they need to know of the scores, and what they remember from step to step."""

from collections.abc import Sequence
from dataclasses import dataclass

from prefsmith.losses.registry import State, Term
from prefsmith.model.score import Asked
from prefsmith.types import Labels, SequenceScores

States = tuple[State, ...]
"""One state per term; empty for a term without memory."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The weighted sum of one or more loss terms."""

    terms: tuple[Term, ...]

    @property
    def needs_reference(self) -> bool:
        """Whether any term compares the policy with a reference."""
        return any(term.entry.needs_reference for term in self.terms)

    @property
    def needs_tokens(self) -> bool:
        """Whether any term looks at single tokens."""
        return any("per_token" in term.entry.needs for term in self.terms)

    @property
    def two_passes(self) -> bool:
        """Whether any term looks across the step."""
        return any(term.entry.across_step for term in self.terms)

    @property
    def mismatched(self) -> bool:
        """Whether any term looks at answers to other prompts."""
        return any(term.entry.mismatched for term in self.terms)

    @property
    def asked(self) -> Asked:
        """What any term wants to know of a token beside its log-probability."""
        needs = {need for term in self.terms for need in term.entry.needs}
        return Asked(confidence="confidence" in needs, kl="kl" in needs)

    @property
    def beta(self) -> float | None:
        """What turns nats into reward: the first term's."""
        return next((term.beta for term in self.terms if term.beta is not None), None)

    def first_states(self) -> States:
        """What the terms remember before the first step."""
        return tuple(term.first_state() for term in self.terms)

    def next_states(self, states: States, scores: SequenceScores, labels: Sequence[Labels]) -> States:
        """What they remember after a step with these scores, which are those of the whole step, without gradient."""
        return tuple(
            term.next_state(state, scores, view) for term, state, view in zip(self.terms, states, labels, strict=True)
        )
