"""CPU seconds of a DPO step on sentences: small trees side by side in one attention call, or a call for each.

    .venv/bin/python bench/short_texts.py [--pairs 64] [--prompt 4] [--completion 11] [--width 64] [--layers 2]

A Llama-shaped model on pairs of random tokens; the two ways alternate in one process, medians are printed. CPU time
instead of the clock's, so that other work on the machine disturbs less.
"""

import argparse
import copy
import statistics
import time

import torch
from paths import pairs
from transformers import LlamaConfig, LlamaForCausalLM

from prefsmith.losses import resolve
from prefsmith.model import thicket
from prefsmith.model.score import Frozen, Scorer
from prefsmith.train.objective import Objective
from prefsmith.train.step import accumulate_step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = {"pairs": 64, "prompt": 4, "completion": 11, "width": 64, "layers": 2, "rounds": 9, "vocabulary": 64}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=options.vocabulary, hidden_size=options.width, intermediate_size=3 * options.width,
        num_hidden_layers=options.layers, num_attention_heads=4, num_key_value_heads=4,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    policy, reference = Scorer(model, "shared"), Frozen(Scorer(copy.deepcopy(model), "shared"))
    groups = pairs(options.pairs, options.vocabulary, options.prompt, options.completion)
    objective = Objective((resolve("dpo", {}),))
    ways = {"side by side": thicket.SMALL, "a call each": 0}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds + 1):
        for way, small in ways.items():
            thicket.SMALL = small
            started = time.process_time()
            accumulate_step(policy, reference, objective, groups, token_budget=8192)
            seconds[way].append(time.process_time() - started)
    medians = {way: statistics.median(taken[1:]) for way, taken in seconds.items()}  # the first warms up
    print(f"CPU seconds a step, median of {options.rounds}")
    for way, median in medians.items():
        print(f"{way:<14} {median:.4f}  {medians['a call each'] / median:.2f} x")


if __name__ == "__main__":
    main()
