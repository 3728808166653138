"""The forecast of `prefsmith plan` from two shallow models, beside that of the model as deep as it is.

    .venv/bin/python bench/plan.py [recipe.yaml:GPUS ...]

Without arguments the recipes of 8 and 70 billion weights. Each is a process of its own. Prints the peak of both in GB,
by how much they differ, and how long each took, imports included.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("prefsmith"))
PLANS = ("recipes/8b-lora.yaml:1", "recipes/8b-dpo.yaml:8", "recipes/70b-lora.yaml:64")


def timed(recipe: str, gpus: str, *more: str) -> tuple[dict, float]:
    """The plan, and the seconds that it took."""
    started = time.perf_counter()
    words = [PROGRAM, "plan", recipe, "--gpus", gpus, "--json", *more]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout), time.perf_counter() - started


def main() -> None:
    """Forecast and print."""
    for each in sys.argv[1:] or PLANS:
        recipe, _, gpus = each.rpartition(":")
        (drawn, seconds), (whole, longer) = timed(recipe, gpus), timed(recipe, gpus, "--full-depth")
        few, all_of_them = drawn["memory"]["total"], whole["memory"]["total"]
        print(
            f"{recipe}, {gpus} GPUs: {few / 1e9:.3f} GB from {drawn['followed_layers']} layers in {seconds:.0f} s; "
            f"{all_of_them / 1e9:.3f} GB from all {whole['layers']} in {longer:.0f} s; {few / all_of_them - 1:+.2%}"
        )


if __name__ == "__main__":
    main()
