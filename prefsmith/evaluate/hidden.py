"""What a model makes of pairs: features of its last layer, and log-odds of its implicit reward."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from prefsmith.data.encoded import EncodedGroup
from prefsmith.data.pack import pack, plan
from prefsmith.data.rejects import Rejects
from prefsmith.errors import ConfigError, DataError
from prefsmith.evaluate.reader import Reader
from prefsmith.evaluate.scored import encode_pairs, score_pairs
from prefsmith.feedback.choice.estimate import Features, PerPair
from prefsmith.records import Comparison, Group
from prefsmith.train.room import OutOfRoom, room_for


def encode_pool(reader: Reader, groups: Sequence[Group], rejects: Rejects) -> list[EncodedGroup]:
    """Pairs without a label, as ids.

    Args:
        reader: whose ids.
        groups: two completions each; ids name them.
        rejects: collects those that cannot be written for this model.

    Raises:
        DataError: one cannot, and `rejects` does not skip it.
    """
    undecided = Comparison(0, 1, prob=0.5)
    return encode_pairs(reader.encoder, [replace(group, comparisons=(undecided,)) for group in groups], rejects)


def hidden_features(reader: Reader, groups: Sequence[EncodedGroup], *, token_budget: int) -> Features:
    """Mean of the last layer's rows that predict the first answer's tokens, less that of the second's.

    Args:
        reader: the model.
        groups: pairs.
        token_budget: most tokens of a forward; longer rows run alone.

    Raises:
        ConfigError: memory ran out.
        DataError: a number is not finite.
    """
    found: dict[int, np.ndarray] = {}
    for members in plan(groups, token_budget):
        together = [groups[index] for index in members]
        try:
            with room_for(together):
                means = _means(reader, together)
        except OutOfRoom as error:
            what = f"memory ran out on {error.tokens:,} tokens that were run together"
            fix = "a smaller --token-budget; a row alone is not divided"
            raise ConfigError("eval.memory", what, where=together[0].group.source, fix=fix) from None
        for place, index in enumerate(members):
            found[index] = means[2 * place] - means[2 * place + 1]
            if not np.isfinite(found[index]).all():
                what, fix = "the model's last layer is not finite for this pair", "another --model, or --features"
                raise DataError("label.features", what, where=groups[index].group.source, fix=fix)
    return np.array([found[index] for index in range(len(groups))])


def _means(reader: Reader, groups: Sequence[EncodedGroup]) -> np.ndarray:
    """The mean row of each answer, `(answer, feature)`."""
    batch = pack(groups)
    with reader.model.looking() as scorer:
        rows, _ = scorer.predictors(batch)
    counts = batch.scored_per_seq()
    owner = torch.repeat_interleave(torch.arange(len(counts)), counts)
    sums = torch.zeros(len(counts), rows.shape[1], dtype=torch.float64)
    sums.index_add_(0, owner, rows.to("cpu", torch.float64))
    return (sums / counts[:, None]).numpy()


def implicit_margins(
    policy: Reader, reference: Reader, groups: Sequence[EncodedGroup], *, beta: float, token_budget: int
) -> PerPair:
    """Implicit reward of the first answer less that of the second, beta times nats: log-odds that it is better.

    Args:
        policy: the trained model.
        reference: what it was trained from.
        groups: pairs.
        beta: turns nats into reward.
        token_budget: most tokens of a forward.

    Raises:
        ConfigError: memory ran out.
        TrainingError: a log-probability is not finite.
    """
    return beta * score_pairs(policy.model, reference.model, [groups], token_budget=token_budget).margin
