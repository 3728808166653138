"""The pages that `make docs` writes say what the package says now."""

import ast
import re
import shutil
from pathlib import Path

import pytest
from generator.errors import errors_page
from generator.markdown import default, prose, table
from generator.messages import PACKAGE, Message, messages
from generator.regions import filled, region
from generator.write import check, write

from prefsmith.config import RunConfig
from prefsmith.losses import LOSSES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_no_page_is_stale_and_every_error_is_explained():
    assert check() == [], "run `make docs`"


def stale(docs):
    """What `make docs` would mend."""
    return [each for each in check(docs) if each.endswith("is stale: run `make docs`")]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A copy of docs/ as `make docs` writes it."""
    docs = shutil.copytree(
        DOCS, tmp_path_factory.mktemp("written") / "docs", ignore=shutil.ignore_patterns("generator")
    )
    write(docs)
    return docs


@pytest.mark.parametrize("name", ["settings.md", "commands.md", "errors.md", "losses/README.md", "losses/dpo.md"])
def test_a_changed_page_is_stale_and_is_mended(tmp_path, written, name):
    docs = shutil.copytree(written, tmp_path / "docs")
    page = docs / name
    word = {"errors.md": "did you mean", "commands.md": "Usage"}.get(name, "beta")
    page.write_text(page.read_text(encoding="utf-8").replace(word, "gamma", 1), encoding="utf-8")
    assert stale(docs) == [f"docs/{name} is stale: run `make docs`"]
    write(docs)
    assert stale(docs) == [] and page.read_bytes() == (written / name).read_bytes()


def test_a_page_of_no_loss_goes_and_a_missing_one_comes(tmp_path, written):
    docs = shutil.copytree(written, tmp_path / "docs")
    (docs / "losses" / "dpo.md").rename(docs / "losses" / "odp.md")
    assert stale(docs) == [f"docs/losses/{name}.md is stale: run `make docs`" for name in ("dpo", "odp")]
    write(docs)
    assert {each.stem for each in (docs / "losses").iterdir()} == {"README", *LOSSES}


def test_what_stands_around_a_part_is_kept(written):
    text = (written / "settings.md").read_text(encoding="utf-8").replace("# Settings\n", "# Settings\n\nBy hand.\n")
    assert "By hand." in filled(text, {"settings": "anew"}) and "model.path" not in filled(text, {"settings": "anew"})


@pytest.mark.parametrize("text", ["", region("a", "x") * 2, region("b", "x"), region("a", "x") + region("b", "x")])
def test_parts_that_a_page_lacks_or_has_too_often_are_refused(text):
    with pytest.raises(ValueError, match="the page has the parts"):
        filled(text, {"a": "y"})


def test_every_setting_of_every_section_and_loss_is_on_the_page(written):
    text = (written / "settings.md").read_text(encoding="utf-8")
    for name, field in RunConfig.model_fields.items():
        for key in getattr(field.annotation, "model_fields", {}):
            assert f"| `{name}.{key}` |" in text
    for name, entry in LOSSES.items():
        assert f"(losses/{name}.md)" in text and all(f"| `loss.{key}` |" in text for key in entry.settings)


def test_the_help_of_every_command_is_on_the_page(written):
    from prefsmith.cli.main import app

    text = (written / "commands.md").read_text(encoding="utf-8")
    commands = []
    for name in (name for name in app if not name.startswith("-")):
        commands += [name, *(f"{name} {part}" for part in app[name] if not part.startswith("-"))]
    assert {"train", "init", "losses", "eval winrate"} <= set(commands)
    assert re.findall(r"^## (.+)$", text, re.M) == ["prefsmith", *(f"prefsmith {name}" for name in commands)]
    assert max(map(len, re.search(r"```text\n(.*?)```", text, re.S)[1].splitlines())) == 100


# --- Errors ---


def strings(node):
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def codes():
    """Every code that some line raises, found more roughly than `messages` does: by the look of the strings."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).endswith(("Error", "__init__")):
                found |= strings(node.args[0])
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code":
                found |= strings(node.value)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"^\[([a-z]+\.[a-z_]+)\]", node.value))
    return {each for each in found if re.fullmatch(r"[a-z]+\.[a-z_]+", each)}


def test_the_messages_are_those_of_every_code():
    assert {each.code for each in messages()} == codes()


def test_every_section_has_its_error_and_every_error_its_section(written):
    text = (written / "errors.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^### `([a-z.]+_?[a-z_]*)`$", text, re.M)) == sorted(codes())


SOURCE = """
from prefsmith.errors import ConfigError, DataError, Interrupted, TrainingError, nearest

CALL = "call for help"


def plain(name, rows):
    raise ConfigError("a.plain", f"{name!r} is not in {', '.join(rows)}", where=name, fix=nearest(name, rows))


def together(value, low):
    code = "a.low" if low else "a.high"
    what, fix = f"{value:g} is too {'low' if low else 'high'}", "raise it" if low else "lower it"
    raise DataError(code, what, where="here", fix=fix)


def branches(kind, count):
    what, fix = "nothing is there", "put something there"
    if kind:
        what, fix = f"there are {len(count)}" + (" of them" if count else ""), CALL
    raise TrainingError("a.branches", what, fix=fix)


def passed(what, found):
    fix = found.fix
    raise DataError("a.passed", what, fix=fix)


def passing(place):
    passed("the first", place)
    passed(what=f"the second of {place.name}", found=place)


def stopped(number):
    raise Interrupted(number, f"stopped by {number}", fix="go on")


def printed(error):
    return _fail(f"[a.printed] {error}\\n  fix:   look", 2)


class Shape:
    def __init__(self, code, what):
        raise ValueError("not.ours", what)
"""


@pytest.fixture
def package(tmp_path):
    def package(source):
        (tmp_path / "module.py").write_text(source, encoding="utf-8")
        return tmp_path

    return package


def test_messages_are_read_as_they_are_printed(package):
    def shown(code):
        return [(each.what, each.fix) for each in found if each.code == code]

    found = messages(package(SOURCE))
    assert shown("a.plain") == [("'<name>' is not in <rows>", "did you mean <nearest>?")]
    assert shown("a.low") == [("<value> is too low", "raise it")]  # the branches of one condition belong together
    assert shown("a.high") == [("<value> is too high", "lower it")]
    assert sorted(shown("a.branches")) == [
        ("nothing is there", "put something there"),
        ("there are <number>", "call for help"),
        ("there are <number> of them", "call for help"),
    ]
    assert shown("a.passed") == [("the first", ""), ("the second of <name>", "")]
    assert shown("run.interrupted") == [("stopped by <number>", "go on")]
    assert shown("a.printed") == [("<error>", "look")]
    status = {each.code: (each.kind, each.status) for each in found}
    assert (status["a.plain"], status["a.low"]) == (("ConfigError", "2"), ("DataError", "3"))
    assert (status["a.branches"], status["a.printed"]) == (("TrainingError", "4"), ("", "2"))
    assert status["run.interrupted"] == ("Interrupted", "128 + the signal's number")
    assert "not.ours" not in status


def test_an_error_whose_code_is_made_at_run_time_is_refused(package):
    source = 'from prefsmith.errors import DataError\n\n\ndef f(x):\n    raise DataError(f"data.{x}", "what")\n'
    with pytest.raises(ValueError, match=r"module.py:5: the code of DataError cannot be read"):
        messages(package(source))


def some(code, kind="DataError", status="3", what="it is wrong", fix="mend it"):
    return Message(code, kind, status, what, fix)


PAGE = "# Errors\n\nIn general.\n\n## Some\n\n### `a.one`\n\nThe first.\n\n## Others\n\n### `a.two`\n\nThe second.\n"


def test_messages_stand_below_the_explanation_and_nothing_else_changes():
    text, wrong = errors_page(PAGE, [some("a.one"), some("a.one", what="it is odd"), some("a.two"), some("a.two")])
    assert wrong == []
    assert "The first.\n\n<!-- make docs: a.one -->\n\n`DataError`, exit status 3:" in text
    assert "[a.one] it is wrong\n  fix:   mend it\n[a.one] it is odd\n  fix:   mend it\n" in text
    assert text.count("[a.two]") == 1
    kept = re.sub(r"<!-- make docs: (\S+) -->.*?<!-- end: \1 -->\n\n?", "", text, flags=re.S)
    assert kept.rstrip() == PAGE.rstrip()
    assert errors_page(text, [some("a.one"), some("a.one", what="it is odd"), some("a.two")])[0] == text


@pytest.mark.parametrize(
    ("page", "found", "says"),
    [
        (PAGE, ["a.one", "a.two", "a.three"], "a.three: write a section"),
        (PAGE, ["a.one"], "a.two: no line raises it"),
        (PAGE.replace("The first.\n\n", ""), ["a.one", "a.two"], "a.one: its section explains nothing"),
    ],
    ids=["not explained", "not raised", "empty"],
)
def test_what_only_a_person_can_mend_is_told(page, found, says):
    _, wrong = errors_page(page, [some(code) for code in found])
    assert len(wrong) == 1 and wrong[0].startswith(says)


def test_the_exit_status_is_said_once():
    text, _ = errors_page(PAGE.replace("first.", "first. Exit\nstatus 2."), [some("a.one"), some("a.two")])
    assert text == errors_page(PAGE, [some("a.one"), some("a.two")])[0]


def test_an_explanation_without_words_is_one_also_behind_messages():
    text, _ = errors_page(PAGE, [some("a.one"), some("a.two")])
    assert errors_page(text.replace("The first.\n", ""), [some("a.one"), some("a.two")])[1] != []


# --- Markdown ---


def test_text_is_shown_as_it_is():
    assert prose("runs/<loss> in [0, 1) *so* `a < [b]`") == r"runs/\<loss> in \[0, 1) \*so\* `a < [b]`"
    assert table(("a",), [("x | y",)]) == "| a |\n| --- |\n| x \\| y |"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), ("", ""), ({}, ""), (1e-05, "`1e-05`"), (32.0, "`32`"), (False, "`false`"), ("auto", "`auto`")],
)
def test_defaults_are_shown_as_yaml_reads_them(value, shown):
    assert default(value) == shown
