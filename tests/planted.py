"""Preference files with a rule that a small model can learn, and runs on them."""

from pathlib import Path
from random import Random

from tiny import save_model, write_rows

from prefsmith.config import RunConfig
from prefsmith.run import Run, fit

COLOURS, FRUITS = ("red", "blue"), ("apple", "berry")
FILLERS = tuple(f"w{number}" for number in range(8))
WORDS = (*COLOURS, *FRUITS, *FILLERS)
DRAWN = {"w0": 0.5, "w1": 0.25, "w2": 0.125, "w3": 0.125}  # entropy 1.75 bits a word


def pairs(count: int, seed: int = 0) -> list[dict[str, str]]:
    """After red the better answer names the apple, after blue the berry; all other words mean nothing."""
    random = Random(seed)

    def fill(low: int, high: int) -> list[str]:
        return random.choices(FILLERS, k=random.randint(low, high))

    rows = []
    for _ in range(count):
        colour = random.choice(COLOURS)
        right, wrong = FRUITS if colour == "red" else FRUITS[::-1]
        prompt = " ".join([*fill(1, 3), colour, *fill(0, 2)])
        sides = [" ".join([*fill(0, 2), fruit, *fill(0, 2)]) for fruit in (right, wrong)]
        rows.append({"prompt": prompt, "chosen": f" {sides[0]}", "rejected": f" {sides[1]}"})
    return rows


def ratings(count: int, seed: int = 0) -> list[dict[str, object]]:
    """The same rule as thumbs up and down."""
    return [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for index, row in enumerate(pairs(count, seed))
        for side in [("chosen", "rejected")[index % 2]]
    ]


def examples(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Answers of four words drawn independently from `DRAWN`."""
    random = Random(seed)
    words, shares = list(DRAWN), list(DRAWN.values())
    return [
        {"prompt": random.choice(COLOURS), "completion": " " + " ".join(random.choices(words, shares, k=4))}
        for _ in range(count)
    ]


def scored(count: int, seed: int = 0) -> list[dict[str, object]]:
    """The pairs with a judge's numbers, the better answer's the larger."""
    return [{**row, "score_chosen": 2.5 + n % 3, "score_rejected": 1.0} for n, row in enumerate(pairs(count, seed))]


def ranked(count: int, seed: int = 0) -> list[dict[str, object]]:
    """The right fruit, both fruits, and the wrong one, with a judge's numbers."""
    return [
        {
            "prompt": row["prompt"],
            "completions": [row["rejected"], row["chosen"], f"{row['chosen']}{row['rejected']}"],
            "scores": [1.0, 4.0, 2.5],
        }
        for row in pairs(count, seed)
    ]


def config_for(folder: Path, rows: list, **sections: dict) -> RunConfig:
    """A run on the rows with a tiny model, below `folder`."""
    model = folder / "base"
    if not model.exists():
        save_model(model, WORDS)
    data = write_rows(folder / "rows.jsonl", rows)
    settings = {
        "model": {"path": str(model)},
        "data": {"train": str(data)},
        "optim": {"learning_rate": 0.01, "warmup_steps": 4},
        "evaluate": {"samples": 0},
        "out": str(folder / "run"),
    }
    for name, section in sections.items():
        settings[name] = {**settings.get(name, {}), **section} if isinstance(section, dict) else section
    return RunConfig.model_validate(settings)


def train(config: RunConfig, **arguments: object) -> Run:
    """The run, without a word."""
    return fit(config, say=lambda line: None, **arguments)
