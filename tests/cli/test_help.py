"""`--help` of every command: it answers without the libraries that take seconds to load, and fits a terminal."""

import os
import subprocess
import sys

import pytest

from prefsmith.cli.evaluation import evaluation
from prefsmith.cli.main import app, main

COMMANDS = [
    [],
    *([name] for name in app if not name.startswith("-")),
    *(["eval", name] for name in evaluation if not name.startswith("-")),
]
HEAVY = ("torch", "transformers", "peft", "numpy", "datasets", "pyarrow", "pandas", "matplotlib")
NARROW = 40


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "prefsmith")
def test_help_loads_nothing_heavy_and_fits_a_narrow_terminal(words):
    code = (
        f"import sys; from prefsmith.cli import main; status = main({[*words, '--help']!r}); "
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules], status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "COLUMNS": str(NARROW)},
    )  # fmt: skip
    *lines, last = done.stdout.splitlines()
    assert last == "heavy: [] 0" and max(map(len, lines)) <= NARROW
    assert lines[0].startswith(f"Usage: {' '.join(['prefsmith', *words])}") and len(lines) > 5


def test_help_of_train_says_where_the_settings_of_a_loss_are(capsys):
    main(["train", "--help"])
    assert "prefsmith losses" in capsys.readouterr().out
