"""How far two models' next-token distributions are apart, over the whole vocabulary, in chunks."""

import torch

from prefsmith.model.head import require_one_vocabulary
from prefsmith.model.logprobs import chunks
from prefsmith.model.score import Frozen
from prefsmith.types import Batch, TokenNats


def token_divergence(policy: Frozen, reference: Frozen, batch: Batch, *, temperature: float = 1.0) -> TokenNats:
    """KL divergence of the next-token distributions in front of each scored token, without gradient.

        KL_t = sum over v of pi(v | y<t) (log pi(v | y<t) - log pi_ref(v | y<t))

    Summed over a completion that was sampled from the policy, this estimates the KL of whole sequences without bias,
    with far less noise than the log-ratio of the sampled tokens (Rao-Blackwell): the choice of each token is averaged
    over, and only the choice of the path is sampled.

    Args:
        policy: the model that the completions were sampled from.
        reference: the model that it is compared with.
        batch: the completions behind their prompts.
        temperature: at which both are taken.

    Returns:
        Nats, never below zero but for rounding, float64 on the CPU.

    Raises:
        ConfigError: the two have different vocabularies.
    """
    require_one_vocabulary(policy.scorer.head, reference.scorer.head)
    own, others = policy.logits_of(batch), reference.logits_of(batch)
    parts: list[TokenNats] = []
    for part in chunks(int(batch.scored.sum()), policy.scorer.head.vocabulary):
        log_policy = (own(part).float() / temperature).log_softmax(-1)
        log_reference = (others(part).float() / temperature).log_softmax(-1).to(log_policy)
        parts.append((log_policy.exp() * (log_policy - log_reference)).sum(-1).to("cpu", torch.float64))
    return torch.cat(parts)
