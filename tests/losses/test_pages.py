"""A loss's page as data: taken from its docstring, its signature and its registration."""

import math

import pytest
import torch

from prefsmith.errors import ConfigError
from prefsmith.losses import LOSSES, resolve
from prefsmith.losses.pages import GROUPS, page, pages
from prefsmith.losses.registry import loss
from prefsmith.types import Preferences, SequenceScores

EVERY_PAGE = pytest.mark.parametrize("found", pages(), ids=lambda page: page.name)


def test_every_loss_has_its_page_by_what_it_reads():
    found = pages()
    assert sorted(each.name for each in found) == sorted(LOSSES)
    places = [list(GROUPS).index(each.group) for each in found]
    assert places == sorted(places)
    for group in GROUPS:
        names = [each.name for each in found if each.group == group]
        assert names == sorted(names)


@EVERY_PAGE
def test_no_part_is_empty_and_no_word_of_the_docstring_is_lost(found):
    assert found.summary.endswith(".") and found.value and found.source
    assert any(block.startswith("    ") and "L = " in block for block in found.body)
    assert [each.key for each in found.settings] == list(found.entry.settings)
    assert all(each.words for each in found.settings)
    shown = " ".join([found.summary, *found.body, found.value, found.source, *(each.words for each in found.settings)])
    documented = found.entry.fn.__doc__.split("    Args:")[0] + found.entry.fn.__doc__.split("Source:")[1]
    assert [word for word in documented.split() if word not in shown] == []


def test_a_page_is_cut_at_the_headings_of_its_docstring():
    ipo = page("ipo")
    assert ipo.summary == "Regress the margin on a fixed target, so that it cannot run away."
    assert ipo.body[0] == "    L = p (h - 1/(2 tau))^2 + (1 - p) (h + 1/(2 tau))^2"
    assert ipo.value == "One non-negative loss per comparison, in nats squared."
    assert ipo.source.startswith("Azar et al. 2023") and "Returns" not in ipo.source
    tau, norm = ipo.settings
    assert tau.words == "Strength of the pull to the reference. Larger keeps the policy closer."
    assert (tau.allowed, tau.default) == ("a number, above 0", 0.1)
    assert (norm.choices, norm.allowed) == (("none", "token"), "none, token")
    assert norm.words.endswith("and as TRL does.")  # lines that go on are joined


def test_formulas_keep_their_lines():
    assert page("kto").body[0].count("\n") == 2 and page("kto").body[0].startswith("    desirable    L = ")


@EVERY_PAGE
def test_the_words_about_a_range_are_those_of_the_check(found):
    for each in found.settings:
        for word, step in (("above", 0.0), ("below", 0.0), ("at least", -1e-6), ("at most", 1e-6)):
            if word in each.limits:
                edge = float(each.limits.split(f"{word} ")[1].split()[0])
                with pytest.raises(ConfigError):
                    resolve(found.name, {each.key: edge + step})
                if step:
                    resolve(found.name, {each.key: edge})
        for choice in each.choices:
            resolve(found.name, {each.key: choice})


def test_the_start_is_the_value_of_the_loss_where_policy_equals_reference():
    assert page("dpo").start == {"pair": pytest.approx(math.log(2))}
    assert page("ipo").start == {"pair": pytest.approx(25.0)}
    assert page("kto").start == {"desirable": pytest.approx(0.5), "undesirable": pytest.approx(0.5)}
    assert page("sft").start is None
    same = torch.tensor([-3.0, -4.0], dtype=torch.float64)
    one, none = torch.ones(1, dtype=torch.float64), torch.full((1,), math.nan, dtype=torch.float64)
    labels = Preferences(torch.tensor([0]), torch.tensor([1]), one, one, none)
    for name in ("dpo", "ipo"):
        value = LOSSES[name].fn(SequenceScores(same, same, torch.tensor([1, 2])), labels)
        assert page(name).start == {"pair": pytest.approx(value.item())}


@pytest.mark.parametrize(
    ("name", "move", "reads"),
    [
        ("dpo", "raises chosen, lowers rejected", "pairs"),
        ("kto", "raises desirable, lowers undesirable", "ratings"),
        ("sft", "raises desirable, has no say on undesirable", "desirable completions"),
    ],
)
def test_what_a_loss_declares_is_said_in_words(name, move, reads):
    assert (page(name).first_move, page(name).reads) == (move, reads)


@EVERY_PAGE
def test_the_example_gives_settings_that_the_loss_takes(found):
    words = [word.split("=") for word in found.example.split() if word.startswith("loss.")]
    assert words[0] == ["loss.name", found.name]
    given = {key.removeprefix("loss."): value for key, value in words[1:]}
    assert resolve(found.name, given).settings == found.entry.defaults and len(given) == min(1, len(found.settings))


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'kto'") as caught:
        page("ktoo")
    assert (caught.value.code, caught.value.where) == ("loss.unknown", "")


def test_a_setting_without_limits_is_any_number():
    def free(scores, labels, *, shift: float = 0.0):
        """Anything.

            L = 0

        Args:
            shift: where it is.

        Returns:
            Nothing.

        Source:
            None.
        """

    loss("free", kind="pairwise", first_move=(0, 0))(free)
    try:
        assert page("free").settings[0].allowed == "a number"
    finally:
        del LOSSES["free"]
