"""Faults between a file and a batch."""

from mutants.fault import Fault

PACK = ("tests/data/test_pack_batches.py",)
ENCODE = ("tests/data/test_encode_ids.py",)
TRUNCATION = ("tests/data/test_truncation.py",)
STREAM = ("tests/data/test_stream_steps.py",)
RANKING = ("tests/data/test_ranking.py",)
VIEWS = ("tests/data/test_label_views.py", "tests/data/test_scored_views.py")

FAULTS = (
    Fault(
        "the mask of scored tokens is inverted",
        "data/pack.py",
        "[False] * completion.unscored + [True]",
        "[True] * completion.unscored + [False]",
        PACK,
    ),
    Fault(
        "labels count completions within their group, not within the batch",
        "data/pack.py",
        "rejected=_whole([first + each.worse for",
        "rejected=_whole([each.worse for",
        PACK,
    ),
    Fault(
        "the end token is lost",
        "data/encode.py",
        "return (*whole, self.end) if len(whole) > boundary else whole",
        "return whole",
        ENCODE,
    ),
    Fault(
        "the template's end token is not scored",
        "data/encode.py",
        "return whole[: first + 1]",
        "return whole[:first]",
        ENCODE,
    ),
    Fault(
        "the begin token stands twice",
        "data/written.py",
        "if self.begin is not None and ids[:1] != (self.begin,):",
        "if self.begin is not None:",
        ENCODE,
    ),
    Fault(
        "merged answers keep what is the prompt's among the scored tokens",
        "data/encode.py",
        "EncodedCompletion(ids[start:], boundary - start)",
        "EncodedCompletion(ids[start:], 0)",
        ENCODE,
    ),
    Fault(
        "the begin token is lost in a cut",
        "data/truncate.py",
        "return (begin, *prompt[len(prompt) - room + 1 :])",
        "return prompt[len(prompt) - room :]",
        TRUNCATION,
    ),
    Fault(
        "a cut keeps the prompt's start",
        "data/truncate.py",
        "return prompt[len(prompt) - room :]",
        "return prompt[:room]",
        TRUNCATION,
    ),
    Fault(
        "the last short step is dropped",
        "data/stream.py",
        "np.array(bounds, dtype=np.int64))",
        "np.array(bounds[:-1], dtype=np.int64))",
        STREAM,
    ),
    Fault("every epoch has the same order", "data/stream.py", "{seed}:{epoch}:{index}", "{seed}:{index}", STREAM),
    Fault(
        "mismatched answers come from the same prompt",
        "data/stream.py",
        "after if keys[after] != keys[here] else",
        "after if after != here else",
        STREAM,
    ),
    Fault(
        "rows with one prompt are split apart",
        "data/split.py",
        "group.prompt_key().encode",
        "group.id.encode",
        ("tests/data/test_split_rows.py",),
    ),
    Fault(
        "each pair of a list weighs as much as the whole list",
        "data/ranking.py",
        "group.weight / len(sides)",
        "group.weight",
        RANKING,
    ),
    Fault(
        "best_worst takes the second best for the worst",
        "data/ranking.py",
        "iter([(tiers[0], tiers[-1])]",
        "iter([(tiers[0], tiers[1])]",
        RANKING,
    ),
    Fault(
        "the smallest score is the best",
        "data/ranking.py",
        "sorted(set(numbers), reverse=largest_first)",
        "sorted(set(numbers), reverse=not largest_first)",
        RANKING,
    ),
    Fault(
        "the share of answers that are no better leaves out the answer itself",
        "data/ranking.py",
        "sum(score <= scores[index]",
        "sum(score < scores[index]",
        RANKING,
    ),
    Fault(
        "a label of probability 0 is not turned round",
        "data/views.py",
        "Comparison(comparison.worse, comparison.better, 1.0,",
        "Comparison(comparison.better, comparison.worse, 1.0,",
        VIEWS,
    ),
    Fault(
        "a pair that is turned round keeps the sign of its score gap",
        "data/views.py",
        "else -comparison.score_gap",
        "else comparison.score_gap",
        VIEWS,
    ),
    Fault(
        "both sides of a pair become thumbs up",
        "data/views.py",
        "Rating(comparison.worse, 1.0 - comparison.prob,",
        "Rating(comparison.worse, comparison.prob,",
        VIEWS,
    ),
)
