"""KL of whole sequences, twice on the same samples of the policy: the sharp estimate, and the plain one that checks it.

    averaged  mean over samples of sum_t sum_v pi(v | y<t) log (pi(v | y<t) / pi_ref(v | y<t))     (Rao-Blackwellised)
    sampled   mean over samples of log (pi(y) / pi_ref(y))

Both have the expectation KL(pi || pi_ref), summed up to and including the end token. They agree within their noise
exactly if what was sampled is what is scored: an end token that is forgotten, a prompt that is read in another way or
a temperature that was not 1 drives them apart.
"""

from collections.abc import Sequence

from prefsmith.errors import ConfigError
from prefsmith.evaluate.points import SequenceKL
from prefsmith.evaluate.samples import Answer, answer_sums
from prefsmith.model.divergence import token_divergence
from prefsmith.model.generate import Sampling
from prefsmith.model.score import Frozen
from prefsmith.stats import mean
from prefsmith.types import Batch, TokenNats


def sequence_kl(
    policy: Frozen, reference: Frozen, answers: Sequence[Answer], sampling: Sampling, *, token_budget: int
) -> SequenceKL:
    """Both estimates of KL(policy || reference), with their intervals.

    Args:
        policy: the model that wrote the answers.
        reference: what it is compared with; itself gives exactly 0.
        answers: at least two, drawn from the policy.
        sampling: how they were drawn.
        token_budget: most tokens of a forward.

    Raises:
        ConfigError: the answers are not of the policy's own distribution.
    """
    require_own_distribution(sampling)

    def divergence(batch: Batch) -> tuple[TokenNats, TokenNats]:
        found = token_divergence(policy, reference, batch)
        return found.averaged, found.sampled

    averaged, sampled = answer_sums(answers, divergence, token_budget=token_budget, columns=2)
    return SequenceKL(
        averaged=mean(averaged.tolist()), sampled=mean(sampled.tolist()), gap=mean((sampled - averaged).tolist())
    )


def require_own_distribution(sampling: Sampling) -> None:
    """Refuse samples that are of another distribution than the one whose KL is asked for.

    Raises:
        ConfigError: the temperature is not 1, or tokens were left out.
    """
    if sampling.temperature != 1 or sampling.top_p != 1:
        name, value = ("temperature", sampling.temperature) if sampling.temperature != 1 else ("top_p", sampling.top_p)
        what = f"{name} is {value:g}: answers so drawn are of another distribution than the policy whose KL is measured"
        raise ConfigError("kl.temperature", what, where=name, fix="draw at temperature 1 with top_p 1")
