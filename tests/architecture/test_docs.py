"""Every command and block in README and docs runs, in order, in a folder that has the files they speak of."""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from planted import WORDS, examples, pairs, ranked, ratings, scored
from tiny import save_model, write_rows

from prefsmith.cli import main
from prefsmith.losses import resolve
from prefsmith.settings import load_settings

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = sorted(path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts)
PROGRAM = ".venv/bin/prefsmith"
BLOCK = re.compile(r"^```(bash|python|yaml)\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def blocks(page):
    """Kind and text of every block that is to be executed, in order."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(text):
    """The lines of a bash block, those that go on behind a backslash as one."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


README_COMMANDS = [line for kind, text in blocks(README) if kind == "bash" for line in commands(text)]
PAGES = [page for page in (README, *DOCS) if blocks(page)]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A folder with a model, data and the installed command, as somebody has it after setting up."""
    folder = tmp_path_factory.mktemp("material")
    save_model(folder / "MODEL", WORDS)
    write_rows(folder / "pairs.jsonl", pairs(60))
    write_rows(folder / "scored.jsonl", scored(60))
    write_rows(folder / "ranked.jsonl", ranked(60))
    write_rows(folder / "thumbs.jsonl", ratings(60))
    write_rows(folder / "answers.jsonl", examples(60))
    shutil.copytree(ROOT / "recipes", folder / "recipes", ignore=shutil.ignore_patterns("*.py", "story", "__pycache__"))
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / PROGRAM).symlink_to(Path(sys.executable).with_name("prefsmith"))
    return folder


def provided(material, page, folder):
    """A copy of the material; the page's first YAML block is its run.yaml."""
    shutil.copytree(material, folder, symlinks=True)
    first = next((text for kind, text in blocks(page) if kind == "yaml"), None)
    if first is not None:
        (folder / "run.yaml").write_text(first, encoding="utf-8")
    return folder


def shell(words, folder):
    """Run words in another process; gives exit status and what was printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PAGER": "cat"}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, env=environment, check=False)
    return done.returncode, done.stdout + done.stderr


def in_process(arguments):
    """Run our own command here, which saves the seconds that loading torch takes."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = main(arguments)
    return status, printed.getvalue()


def run(command, folder):
    """A line of a bash block. It succeeds, but where a comment behind it names another exit status."""
    words = shlex.split(command, comments=True)
    expected = int(found[1]) if (found := re.search(r"# exit status (\d+)", command)) else 0
    alone = words[0] == PROGRAM and not set(command.partition("#")[0]) & set("|<>&;$*`")
    status, printed = in_process(words[1:]) if alone else shell(["bash", "-c", command], folder)
    assert status == expected, f"{command}\n{printed}"
    if "--resume" in words and "train" in words and status == 0:
        assert "resuming after step" in printed, command


def test_set_up_commands_are_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    used = {line.split()[1] for line in README_COMMANDS if line.startswith("make ")}
    assert {"demo", "test"} <= used <= targets
    script = (ROOT / ".ci" / "run").read_text()
    assert all(f"make {target}\n" in script for target in (*used, "check"))


def test_the_installed_command_runs(material, tmp_path):
    command = next(line for line in README_COMMANDS if line.startswith(PROGRAM))
    status, printed = shell(["bash", "-c", command], provided(material, README, tmp_path / "folder"))
    assert status == 0, printed


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_a_page_runs(material, tmp_path, monkeypatch, page):
    folder = provided(material, page, tmp_path / "folder")
    monkeypatch.chdir(folder)
    for kind, text in blocks(page):
        if kind == "bash":
            for command in commands(text):
                if not command.startswith("make "):  # setting up is continuous integration's
                    run(command, folder)
        elif kind == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(text, str(page), "exec"), {"__name__": "__main__"})
        else:
            (folder / "run.yaml").write_text(text, encoding="utf-8")
            for loss in load_settings(folder / "run.yaml").losses:
                resolve(loss.name, loss.settings)


def anchors(page):
    """What the headings of a page are called in links: lower case, words joined by hyphens, without other marks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.M)
    }


@pytest.mark.parametrize(
    "page",
    [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=name_of,
)
def test_every_link_leads_somewhere(page):
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {path}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {path}#{anchor}"


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / path).resolve() for path, _ in LINK.findall(index.read_text(encoding="utf-8"))}
    pages = {page for page in DOCS if page.parent == ROOT / "docs"} - {index}
    assert {page.name for page in pages if page not in linked} == set()
