"""GLAD: annotators differ in ability, and pairs in how hard they are (crowd-kit)."""

import numpy as np

from prefsmith.feedback.aggregate.aggregate import Aggregate, of_posterior
from prefsmith.feedback.aggregate.crowdkit import frame, load, quiet
from prefsmith.feedback.aggregate.panel import Panel
from prefsmith.feedback.aggregate.posterior import joint, judged_by_others

ROUNDS = 100


def glad(panel: Panel) -> Aggregate:
    """The chance of a right vote is the logistic function of ability times ease.

        P(said | true) = a where they are the same, else (1 - a) / (K - 1),   a = s(ability_k ease_i),   ease_i > 0

    K is 2, or 3 where somebody says tie: then a tie is a label of its own, and p = P(first) + P(tie) / 2. All labels
    are as likely before any vote. Normal priors of mean 1 hold ability and log ease, so that few votes prove little.

    Args:
        panel: the votes; on some pair, of two annotators.

    Source:
        Whitehill et al. 2009, NeurIPS 22.
    """
    import pandas as pd  # inside: it comes with crowd-kit

    kind = load("crowd-kit", "crowdkit.aggregation", "glad").GLAD
    size = panel.labels
    # Named priors: crowd-kit counts the labels that occur, and divides by their number less one.
    model = kind(n_iter=ROUNDS, labels_priors=pd.Series(1 / size, index=list(range(size))))
    with quiet():
        model.fit(frame(panel.pair, panel.annotator, panel.said))
    truth = np.full((panel.pairs, size), 1 / size)
    truth[model.probas_.index.to_numpy()] = model.probas_[list(range(size))].to_numpy()
    ability = model.alphas_.reindex(range(len(panel.names)), fill_value=1.0).to_numpy()
    ease = np.exp(model.betas_.reindex(range(panel.pairs), fill_value=1.0).to_numpy())
    logit = ability[panel.annotator] * ease[panel.pair]
    right, wrong = -np.logaddexp(0, -logit), -np.logaddexp(0, logit) - np.log(size - 1)
    same = panel.said[:, None] == np.arange(size)
    evidence = np.where(same, right[:, None], wrong[:, None])
    logs = joint(panel, evidence, np.full(size, 1 / size))
    return Aggregate(
        prob=of_posterior(panel, truth),
        reliability=judged_by_others(panel, logs, evidence),
        posterior=truth,
        rounds=len(model.loss_history_),
        converged=len(model.loss_history_) < ROUNDS,
    )
