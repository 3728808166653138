"""What prompts are about: clusters of their words, named by the words that set each apart."""

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prefsmith.audit.extra import absent
from prefsmith.stats import wilson

PER_TOPIC = 50
"""Prompts to a topic, on average, at least."""
LEAST = 100
"""Prompts below which no topics are told."""
MOST = 24
TERMS = 5
WORDS = 20_000
DIMENSIONS = 64
THIN = 0.25
"""A topic is thin that is told to have less than this part of an even share."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A cluster of prompts.

    Args:
        terms: the words that weigh most in it.
        prompts: of the training sample.
        share: of that sample, with low and high.
        thin: whether it is told to have far less than an even share.
        evaluated: prompts of the evaluation sample.
        members: places of the first few of its prompts in the training sample.
        evaluated_members: likewise in the evaluation sample.
    """

    terms: tuple[str, ...]
    prompts: int
    share: dict[str, float]
    thin: bool
    evaluated: int = 0
    members: tuple[int, ...] = field(default=(), repr=False)
    evaluated_members: tuple[int, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, object]:
        """As findings have it."""
        return {"terms": list(self.terms), "prompts": self.prompts, "share": self.share, "thin": self.thin,
                "evaluated": self.evaluated}  # fmt: skip


def topics(texts: list[str], evaluated: list[str], seed: int) -> list[Topic]:
    """Topics of training prompts, the largest first, and how many evaluated prompts are in each.

    Words are weighed by TF-IDF, brought down to few dimensions (latent semantic analysis: sparse rows by themselves
    end in one large cluster and many of one prompt) and clustered by k-means in mini batches. Words of one letter and
    the commonest English ones do not count. A language without spaces between words is not told apart within.

    Args:
        texts: training prompts.
        evaluated: prompts of the evaluation; may be none. They are clustered together with those of training, so that
            what only they are about has topics of its own.
        seed: of the clusters.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import MiniBatchKMeans
        from sklearn.decomposition import TruncatedSVD
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import normalize
    except ImportError:
        raise absent("scikit-learn") from None

    if len(texts) < LEAST:
        return []
    both = [*texts, *evaluated]
    words = TfidfVectorizer(
        stop_words="english", sublinear_tf=True, max_features=WORDS, min_df=max(2, len(both) // 1000)
    )
    try:
        table: Any = words.fit_transform(both)
    except ValueError:  # no word is in two prompts
        return []
    if table.shape[1] < 3:
        return []
    number = min(MOST, max(2, len(both) // PER_TOPIC))
    settings: dict[str, Any] = {"random_state": seed, "n_init": 5, "batch_size": 2048}
    fewer = TruncatedSVD(min(DIMENSIONS, table.shape[1] - 1), random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different prompts than clusters: some stay empty
        warnings.simplefilter("ignore", RuntimeWarning)  # prompts that are all one have no variance to explain
        dense: np.ndarray = np.asarray(normalize(fewer.fit_transform(table)))
        labels = MiniBatchKMeans(number, **settings).fit(dense).labels_
    of = np.where(np.abs(dense).sum(axis=1) > 0, labels, -1)  # a prompt without a known word is in none
    names, whole = words.get_feature_names_out(), np.asarray(table.mean(axis=0)).ravel()
    found: list[Topic] = []
    for place in range(number):
        members = np.flatnonzero(of == place)
        if len(members):
            terms = _terms(names, np.asarray(table[members].mean(axis=0)).ravel(), whole)
            found.append(_topic(members, len(texts), terms, number))
    return sorted(found, key=lambda each: (-each.prompts, each.terms))


def _terms(names: np.ndarray, own: np.ndarray, whole: np.ndarray) -> tuple[str, ...]:
    """The words that stand out: by how much more they weigh here than in all prompts."""
    order = np.argsort(whole - own, kind="stable")[:TERMS]
    return tuple(str(names[word]) for word in order if own[word] > whole[word])


def _topic(members: np.ndarray, trained: int, terms: tuple[str, ...], number: int) -> Topic:
    """A cluster of prompts, of which the first so many are training prompts."""
    own, others = members[members < trained], members[members >= trained] - trained
    share = wilson(len(own), trained)
    return Topic(
        terms=terms,
        prompts=len(own),
        share={"value": share.value, "low": share.low, "high": share.high, "n": trained},
        thin=share.high < THIN / number,
        evaluated=len(others),
        members=tuple(own[:3].tolist()),
        evaluated_members=tuple(others[:3].tolist()),
    )
