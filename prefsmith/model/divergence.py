"""How far two models' next-token distributions are apart, over the whole vocabulary, in chunks."""

from dataclasses import dataclass

import torch

from prefsmith.model.head import require_one_vocabulary
from prefsmith.model.logprobs import chunks
from prefsmith.model.score import Frozen
from prefsmith.types import Batch, TokenNats


@dataclass(frozen=True, slots=True)
class TokenDivergence:
    """Two estimates of one KL divergence at each scored token, in nats, float64 on the CPU.

    Args:
        averaged: over the whole vocabulary; never below zero but for rounding.
        sampled: the log-ratio of the token that was drawn; of either sign.
    """

    averaged: TokenNats
    sampled: TokenNats


def token_divergence(policy: Frozen, reference: Frozen, batch: Batch, *, temperature: float = 1.0) -> TokenDivergence:
    """KL divergence of the next-token distributions in front of each scored token, without gradient.

        averaged  KL_t = sum over v of pi(v | y<t) (log pi(v | y<t) - log pi_ref(v | y<t))
        sampled   k_t  = log pi(y_t | y<t) - log pi_ref(y_t | y<t)

    Summed over a completion that was sampled from the policy, both estimate the KL of whole sequences without bias. The
    first has far less noise (Rao-Blackwell): the choice of each token is averaged over, and only that of the path is
    sampled.

    Args:
        policy: the model that the completions were sampled from.
        reference: the model that it is compared with.
        batch: the completions behind their prompts.
        temperature: at which both are taken.

    Raises:
        ConfigError: the two have different vocabularies.
    """
    require_one_vocabulary(policy.scorer.head, reference.scorer.head)
    own, others, drawn = policy.logits_of(batch), reference.logits_of(batch), batch.ids[batch.scored]
    averaged: list[TokenNats] = []
    sampled: list[TokenNats] = []
    for part in chunks(int(batch.scored.sum()), policy.scorer.head.vocabulary):
        log_policy = (own(part).float() / temperature).log_softmax(-1)
        log_reference = (others(part).float() / temperature).log_softmax(-1).to(log_policy)
        ratio = log_policy - log_reference
        token = drawn[part, None].to(ratio.device)
        averaged.append((log_policy.exp() * ratio).sum(-1).to("cpu", torch.float64))
        sampled.append(ratio.gather(1, token)[:, 0].to("cpu", torch.float64))
    return TokenDivergence(torch.cat(averaged), torch.cat(sampled))
