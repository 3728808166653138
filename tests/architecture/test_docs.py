"""Every command and block in the README runs, in order, in a folder that has the files it speaks of."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from planted import WORDS, examples, pairs, ratings
from tiny import save_model, write_rows

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```(bash|python|yaml)\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
SET_UP = ("make venv", "make test", "make check")  # continuous integration runs these


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """A folder with a model, data and the installed command, as somebody has it after setting up."""
    folder = tmp_path_factory.mktemp("newcomer")
    save_model(folder / "MODEL", WORDS)
    write_rows(folder / "pairs.jsonl", pairs(60))
    write_rows(folder / "thumbs.jsonl", ratings(60))
    write_rows(folder / "answers.jsonl", examples(60))
    (folder / "run.yaml").write_text(next(iter(lines("yaml"))))
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "prefsmith").symlink_to(Path(sys.executable).with_name("prefsmith"))
    return folder


def lines(kind):
    for block_kind, text in BLOCKS:
        if block_kind == kind == "bash":
            yield from (line for line in text.splitlines() if line.strip())
        elif block_kind == kind:
            yield text


def run(words, folder, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PAGER": "cat"}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, env=environment, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_set_up_commands_are_targets_of_the_makefile():
    commands = [line.split("#")[0].strip() for line in lines("bash") if line.startswith("make")]
    assert tuple(commands) == SET_UP
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {command.split()[1] for command in commands} <= set(targets)
    script = (ROOT / ".ci" / "run").read_text()
    assert "make test" in script and "make check" in script


@pytest.mark.parametrize("command", [line for line in lines("bash") if not line.startswith("make")])
def test_every_command_runs(newcomer, command):
    output = run(["bash", "-c", command], newcomer)
    assert "--resume" not in command or "resuming after step" in output


@pytest.mark.parametrize("number", range(len(list(lines("python")))))
def test_every_python_block_runs(newcomer, number):
    assert run([sys.executable, "-c", list(lines("python"))[number]], newcomer)


def test_every_link_leads_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
