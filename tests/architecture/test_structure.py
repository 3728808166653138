"""Rules of the tree that no single test would notice."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import prefsmith

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "prefsmith").rglob("*.py"))
MODULES = [each.name for each in pkgutil.walk_packages(prefsmith.__path__, "prefsmith.") if "__main__" not in each.name]

TORCH_FREE = [
    "prefsmith",
    "prefsmith.records",
    "prefsmith.config",
    "prefsmith.settings",
    "prefsmith.catalogue",
    "prefsmith.starter",
    "prefsmith.errors",
    "prefsmith.audit.checks",
    "prefsmith.cli",
    "prefsmith.report",
    "prefsmith.train.findings",
]

ALLOWED = {
    "transformers": {
        "model/load.py", "model/attention.py", "model/head.py", "model/score.py", "model/ladder.py",
        "model/adapters.py", "model/export.py", "model/reference.py", "model/generate.py", "model/merge.py",
        "model/scratch.py", "model/shape.py", "model/recompute.py", "model/quantize.py", "data/render.py",
        "model/reward.py",
        "data/chat.py", "data/encode.py", "data/keys.py", "data/tokens.py", "data/written.py", "assembly.py", "run.py",
    },
    "peft": {"model/adapters.py"},
    "datasets": {"data/hub.py"},
    "openai": {"feedback/remote.py"},
    "pyarrow": {"data/hub.py", "data/columnar.py"},
    "torch.distributed": {
        "train/parallel.py", "train/sharding.py", "train/parts.py", "train/checkpoint.py", "train/launch.py",
        "train/plan.py", "train/ledger.py",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_imported(name):
    importlib.import_module(name)


@pytest.mark.parametrize("name", TORCH_FREE)
def test_what_must_start_without_torch_does(name):
    code = f"import sys, {name}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_are_these_and_all_resolve():
    assert {name: type(getattr(prefsmith, name)).__name__ for name in prefsmith.__all__}.keys() == {
        "LOSSES", "Batch", "Comparison", "Completion", "ConfigError", "ConstitutionalDPOTrainer", "DPOTrainer",
        "DPOTrainerWithLoRA", "DataError", "Group", "Interrupted", "Message", "Preferences", "PrefsmithError",
        "ProbabilisticDPOTrainer", "Rating", "Ratings", "Run", "RunConfig", "SequenceScores", "TrainingError", "Vote",
        "fit", "read_groups",
    }  # fmt: skip
    with pytest.raises(AttributeError, match="has no 'nothing'"):
        prefsmith.nothing  # noqa: B018


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("library", ALLOWED)
def test_libraries_are_used_where_they_have_their_place(library):
    users = {
        path.relative_to(ROOT / "prefsmith").as_posix()
        for path in SOURCES
        if any(name == library or name.startswith(f"{library}.") for name in imports(path))
    }
    assert users <= ALLOWED[library]


def test_nothing_reads_pickles():
    """torch.load, pickle and unsafe YAML can run code that comes in a file."""
    for path in SOURCES:
        assert not re.search(r"\btorch\.load\(|\bpickle\.loads?\(|\byaml\.(unsafe_)?load\(", path.read_text()), path


def code_lines(text, node):
    """Lines of a module or function that are neither blank nor part of a docstring: pages may be long, code may not."""
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", text.count("\n") + 1)
    lines = [line for line in text.splitlines()[first - 1 : last] if line.strip()]
    pages = (
        ast.get_docstring(each)
        for each in ast.walk(node)
        if isinstance(each, (ast.Module, ast.ClassDef, ast.FunctionDef))
    )
    return len(lines) - sum(len([line for line in page.splitlines() if line.strip()]) for page in pages if page)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_and_functions_stay_readable(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert path.stem not in {"utils", "util", "helpers", "common", "base", "misc"}
    assert code_lines(text, tree) <= 300
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert code_lines(text, node) <= 60, f"{node.name} has {code_lines(text, node)} lines"


def test_every_metric_is_explained():
    from planted import config_for, pairs, train  # the keys are those of a real run

    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    import tempfile

    run = train(config_for(Path(tempfile.mkdtemp()), pairs(40), train={"pairs_per_step": 16}))
    for key in {key for row in run.metrics for key in row}:
        assert f"`{key}`" in text, f"docs/metrics.md does not explain {key}"


def test_import_contracts_are_kept():
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
