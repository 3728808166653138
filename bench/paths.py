"""Seconds, memory and tokens of one DPO step along the three paths, alternated in one process.

    .venv/bin/python bench/paths.py [--vocabulary 4096] [--pairs 8] [--rounds 5] [--prompt 100] [--completion 150]

A Qwen2-shaped model with 6 layers of width 256 on pairs of random tokens, lengths log-normal around given means. The
reference is a frozen copy, scored in every step. Medians over the rounds are printed, and their ratio to `padded`; on a
noisy machine only the ratios mean something.
"""

import argparse
import copy
import math
import random
import statistics
import time

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from prefsmith.data.encoded import EncodedCompletion, EncodedGroup
from prefsmith.data.views import View
from prefsmith.losses import resolve
from prefsmith.model.score import PATHS, Frozen, Scorer
from prefsmith.records import Comparison, Completion, Group
from prefsmith.train.objective import Objective
from prefsmith.train.step import accumulate_step


def pairs(count: int, vocabulary: int, prompt: int, completion: int, seed: int = 0) -> list[EncodedGroup]:
    """Pairs of random tokens with log-normal lengths."""
    rng = random.Random(seed)

    def ids(mean: int, sigma: float) -> tuple[int, ...]:
        length = max(4, int(rng.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)))
        return tuple(rng.randrange(vocabulary) for _ in range(min(length, 4 * mean)))

    comparison = Comparison(0, 1)
    groups = []
    for number in range(count):
        group = Group(str(number), f"made:{number}", "", (Completion("a"), Completion("b")), (comparison,))
        sides = (EncodedCompletion(ids(completion, 0.7)), EncodedCompletion(ids(completion, 0.7)))
        trunk = ids(prompt, 0.6)
        groups.append(EncodedGroup(group, trunk, sides, (View((comparison,)),), (comparison,), len(trunk)))
    return groups


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("vocabulary", 4096), ("pairs", 8), ("rounds", 5), ("prompt", 100), ("completion", 150)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=options.vocabulary, hidden_size=256, intermediate_size=688, num_hidden_layers=6,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config).eval()
    groups = pairs(options.pairs, options.vocabulary, options.prompt, options.completion)
    objective = Objective((resolve("dpo", {}),))
    seconds: dict[str, list[float]] = {path: [] for path in PATHS}
    for turn in range(options.rounds + 1):
        for path in PATHS:
            policy = Scorer(model, path)
            reference = Frozen(Scorer(copy.deepcopy(model).requires_grad_(False), path))
            started = time.process_time()
            accumulate_step(policy, reference, objective, groups, token_budget=10**9)
            if turn:  # the first turn warms up
                seconds[path].append(time.process_time() - started)
            model.zero_grad()
    shared = sum(group.tokens for group in groups)
    packed = sum(2 * len(g.prompt) + sum(len(c.ids) for c in g.completions) for g in groups)
    padded = 2 * len(groups) * max(group.longest for group in groups)
    tokens = {"shared": shared, "packed": packed, "padded": padded}
    base = statistics.median(seconds["padded"])
    print(f"{options.pairs} pairs, vocabulary {options.vocabulary}, {options.threads} thread(s)")
    print(f"CPU seconds, median of {options.rounds} rounds")
    print(f"{'path':8} {'seconds':>8} {'tokens':>8} {'x faster':>9}")
    for path in PATHS:
        median = statistics.median(seconds[path])
        print(f"{path:8} {median:8.3f} {tokens[path]:8,} {base / median:9.2f}")


if __name__ == "__main__":
    main()
