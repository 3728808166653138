"""How far two models' next-token distributions are apart, over the whole vocabulary, in chunks."""

import torch

from prefsmith.errors import ConfigError
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
    with policy.looking() as scorer:
        own, _ = scorer.predictors(batch)
    with reference.looking() as scorer:
        others, _ = scorer.predictors(batch)
    vocabulary = policy.scorer.head.vocabulary
    if reference.scorer.head.vocabulary != vocabulary:
        what = f"the policy has {vocabulary} logits and the reference {reference.scorer.head.vocabulary}"
        raise ConfigError("reference.vocabulary", what, fix="compare models that share a tokenizer")
    parts: list[TokenNats] = []
    for part in chunks(own.shape[0], vocabulary):
        with policy.looking() as scorer:
            log_policy = (scorer.head.logits(own[part]).float() / temperature).log_softmax(-1)
        with reference.looking() as scorer:
            log_reference = (scorer.head.logits(others[part]).float() / temperature).log_softmax(-1).to(log_policy)
        parts.append((log_policy.exp() * (log_policy - log_reference)).sum(-1).to("cpu", torch.float64))
    return torch.cat(parts)
