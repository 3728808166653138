"""Recipes: grids become arms, and what is wrong is told with its line, without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from prefsmith.errors import ConfigError
from prefsmith.methods.experiment.settings import read_experiment

ROOT = Path(__file__).parents[3]
POSTS = "prompts: {train: 9, held_out: 1, measured: 1}"


def recipe(tmp_path, *lines):
    path = tmp_path / "recipe.yaml"
    path.write_text("\n".join(("version: 1", *lines)) + "\n")
    return path


def test_lists_are_a_grid_and_what_rewards_is_always_said(tmp_path):
    config = read_experiment(
        recipe(
            tmp_path, "methods:", "  - {name: odpo, beta: [0.1, 1], alpha: [0.5, 2]}", "  - {name: sft}",
            "  - {name: rloo, beta: 1e-1}", "  - {name: best_of_n, reward: learned, n: [1, 4]}",
        )
    )  # fmt: skip
    assert [str(arm) for arm in config.arms()] == [
        "odpo, beta 0.1, alpha 0.5", "odpo, beta 0.1, alpha 2", "odpo, beta 1, alpha 0.5", "odpo, beta 1, alpha 2",
        "sft", "rloo, reward task, beta 0.1", "best_of_n, reward learned, n 1", "best_of_n, reward learned, n 4",
    ]  # fmt: skip
    assert config.learns_a_reward and config.betas == [0.1] and config.seeds == [0]


def test_a_method_may_be_trained_longer(tmp_path):
    config = read_experiment(recipe(tmp_path, "methods: [{name: dpo, steps: 7}, {name: ipo, learning_rate: 1e-3}]"))
    first, second = config.arms()
    assert config.method_of(first).steps == 7 and first.settings == ()
    assert config.method_of(second).learning_rate == 1e-3 and config.method_of(second).steps is None


def test_the_command_line_counts(tmp_path):
    path = recipe(tmp_path, "seeds: [0, 1]", "workers: 2", "methods: [{name: dpo}]")
    assert read_experiment(path, seeds=[5], workers=3).seeds == [5]
    assert read_experiment(path, workers=3).workers == 3 and read_experiment(path).workers == 2


@pytest.mark.parametrize(
    ("lines", "message", "line"),
    [
        (["metods: [{name: dpo}]"], "no setting metods", 2),
        (["methods: []"], "at least 1", 2),
        (["methods: [{name: dpo}]", "seeds: [1, 1]"], "given twice", 3),
        (["methods: [{name: dpo}]", "training: {steps: 0}"], "training.steps", 3),
        (["methods: [{name: dpo, beta: [1, 1.0]}]"], "asked for twice", None),
        (["methods: [{name: best_of_n}]"], "needs n", 2),
        (["methods: [{name: rloo}]"], "needs beta", 2),
        *(
            ([f"methods: [{{name: best_of_n, n: {n}}}]"], "must be a whole number of at least 1", 2)
            for n in ("0", "-4", "2.5", "[4, 0.5]", "many", ".inf", "nan")
        ),
        *(
            ([f"methods: [{{name: rloo, beta: {beta}}}]"], "must be a finite number above 0", 2)
            for beta in ("x", "0", "-1", "nan", "inf", ".nan", "[1, -0.1]")
        ),
        (["methods: [{name: best_of_n, n: []}]"], "n of best_of_n has no value to try", 2),
        (["methods: [{name: dpo, beta: []}]"], "beta of dpo has no value to try", 2),
        (["methods: [{name: rloo, beta: 1, alpha: 1}]"], "no setting alpha", 2),
        (["methods: [{name: rloo, beta: 1, reward: judge}]"], "must be task or learned", 2),
        (["methods: [{name: best_of_n, n: 900}]"], "measuring.frontier of at least 1800", None),
        (["methods: [{name: rloo, beta: 1}]", "training: {pairs_per_step: 30}"], "no multiple", None),
        (["methods: [{name: dpo}]", "required: [A9]"], "required", 3),
        (["methods: [{name: dpo}]", "seeds: [true]"], "seeds", 3),
        (["methods: [{name: dpo, beta: {a: 1}}]"], "neither a number nor a word", None),
        (["methods: [{name: dpo}]", "winrate: {prompts: 9}"], "takes no `winrate`", None),
        (["methods: [{name: dpo}]", "prompts: {train: 9, held_out: 1, measured: 1}"], "takes no `prompts`", None),
        (["methods: [{name: dpo}]", "task: posts"], "needs `prompts", None),
        (["task: posts", POSTS, "methods: [{name: dpo}]", "required: [A1]"], "A1 is no criterion of task posts", None),
        (["task: posts", POSTS, "methods: [{name: dpo}]", "winrate: {temperatures: [1, 0]}"], "do not rise", 5),
        (["task: posts", POSTS, "methods: [{name: dpo}]", "winrate: {temperatures: [-1]}"], "greater than or eq", 5),
    ],
)
def test_what_is_wrong_is_told(tmp_path, lines, message, line):
    path = recipe(tmp_path, *lines)
    with pytest.raises(ConfigError) as caught:
        read_experiment(path)
    assert message in caught.value.what and caught.value.fix
    assert line is None or caught.value.where == f"{path}:{line}"


def test_recipes_of_the_project_are_read():
    whole = read_experiment(ROOT / "recipes" / "sentiment.yaml")
    part = read_experiment(ROOT / "recipes" / "sentiment-slice.yaml")
    assert whole.required == ["V1", "V2", "V3", "A1", "A2", "A3", "A4"] and whole.seeds == [0, 1, 2]
    assert {method.name for method in part.methods} <= {method.name for method in whole.methods}
    whole, part = (read_experiment(ROOT / "recipes" / f"summary{end}.yaml") for end in ("", "-slice"))
    assert whole.winrate is not None and whole.winrate.prompts >= 200 and part.winrate is not None
    assert whole.winrate.temperatures == [0, 0.25, 0.5, 0.75, 1] and whole.task == part.task == "posts"
    assert {method.name for method in part.methods} <= {method.name for method in whole.methods}


def test_settings_start_without_torch():
    code = "import sys, prefsmith.methods.experiment.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
