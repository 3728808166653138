"""`train.token_budget`: a number that holds every row, or the largest that memory holds."""

from pathlib import Path

import pytest
import torch
import yaml
from planted import config_for, pairs, train
from tiny import encoded_groups, tiny_llama

from prefsmith.config import RunConfig
from prefsmith.data.pack import plan
from prefsmith.data.stream import Stream
from prefsmith.errors import ConfigError, TrainingError
from prefsmith.losses import resolve
from prefsmith.model.moving import MovingReference
from prefsmith.model.score import NOTHING_MORE, PATHS, Scorer
from prefsmith.preflight.survey import preflight
from prefsmith.run import fit
from prefsmith.settings import parse_settings
from prefsmith.train import budget as budgets
from prefsmith.train.budget import Machine, largest_budget, largest_computed, settle
from prefsmith.train.objective import Objective
from prefsmith.train.peak import computed_tokens, measured

GROUPS = encoded_groups(40, prompt=(15, 25), answer=(5, 40))
LONGEST = max(group.tokens for group in GROUPS)
DPO = Objective((resolve("dpo", {}),))


def stream(groups=GROUPS, **settings):
    return Stream(groups, **{"pairs_per_step": 16, "epochs": 1, "seed": 0, **settings})


def found(room, monkeypatch, *, path="shared", reference=None, groups=GROUPS, known=None, **train):
    """The budget that is found where so many bytes may still be taken, and what is said."""
    said = []
    monkeypatch.setattr(budgets, "_room", lambda device, limit: round(room))
    config = RunConfig.model_validate({"train": {"token_budget": "auto", **train}})
    policy = Scorer(tiny_llama(400), path)
    settled = settle(config, DPO, policy, reference, stream(groups), [], said.append, known=known)
    return settled.train.budget, said


@pytest.mark.parametrize("known", [None, 2000])
@pytest.mark.parametrize("answer", [(5, 40), (600, 700)])
def test_a_cpu_takes_a_thousand_tokens_or_its_longest_row_where_no_budget_is_named(answer, known):
    """And goes on, when it is resumed, with what it began with."""
    groups = encoded_groups(6, prompt=(15, 25), answer=answer)
    longest = max(group.tokens for group in groups)
    policy = Scorer(tiny_llama(400), "shared")
    settled = settle(RunConfig(), DPO, policy, None, stream(groups[:3]), groups[3:], print, known=known)
    assert settled.train.token_budget == (known or max(1024, longest))


def test_a_budget_that_is_named_stays_and_is_not_stretched():
    groups, policy = encoded_groups(6, answer=(5, 40)), Scorer(tiny_llama(400), "shared")
    named = RunConfig.model_validate({"train": {"token_budget": 300}})
    assert settle(named, DPO, policy, None, stream(groups), [], print, known=200).train.token_budget == 300
    short = RunConfig.model_validate({"train": {"token_budget": 20}})
    with pytest.raises(ConfigError, match="more than a micro-batch may have"):
        settle(short, DPO, policy, None, stream(groups), [], print)


def bytes_for(tokens, path="shared"):
    """What a micro-batch of so many tokens takes, with gradients and averages, as the search must have it."""
    policy = Scorer(tiny_llama(400), path)
    trained = sum(4 * each.numel() for each in policy.model.parameters())
    return measured(policy, None, NOTHING_MORE, GROUPS).at(tokens) / budgets.SHARE + 3 * trained


@pytest.mark.parametrize("path", PATHS)
def test_the_budget_is_the_largest_that_the_room_holds(monkeypatch, path):
    budget, said = found(bytes_for(700, path), monkeypatch, path=path)
    assert largest_computed(stream(), path, budget) <= 700
    assert budget % 64 == 0 or budget == LONGEST
    larger = largest_computed(stream(), path, budget + 128)
    assert larger > 700 or (path == "shared" and budget + 64 > 700)
    assert f"train.token_budget=auto: {budget:,} tokens" in said[0]


def test_more_room_than_a_step_needs_holds_the_step(monkeypatch):
    budget, said = found(bytes_for(10**6), monkeypatch)
    steps = [sum(group.tokens for group in step.groups) for step in stream().steps()]
    assert max(steps) - 64 < budget <= max(steps)
    assert "GiB" in said[0]


def test_a_moving_reference_takes_its_part(monkeypatch):
    room = bytes_for(900)
    moving = MovingReference(Scorer(tiny_llama(400), "shared"), alpha=0.5, every=1)
    assert found(room, monkeypatch, reference=moving)[0] < found(room, monkeypatch)[0]


@pytest.mark.parametrize("room", [-(10**6), 0])
def test_a_row_that_does_not_fit_is_refused(monkeypatch, room):
    with pytest.raises(ConfigError, match=r"micro-batches of \d+ tokens, which do not fit") as caught:
        found(room, monkeypatch)
    assert (caught.value.code, caught.value.exit_code) == ("train.token_budget", 2)


def test_memory_that_runs_out_while_it_is_measured_is_the_same(monkeypatch):
    monkeypatch.setattr(budgets, "measured", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("none")))
    with pytest.raises(ConfigError, match="do not fit into memory"):
        found(10**9, monkeypatch)


def test_what_was_found_when_the_run_began_is_not_measured_again(monkeypatch):
    monkeypatch.setattr(budgets, "measured", lambda *_: pytest.fail("measured"))
    assert found(0, monkeypatch, known=777)[0] == 777


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("most", [150, 400, 5000])
def test_a_budget_counts_tokens_as_the_path_computes_them(path, most):
    steps = stream()
    least = max(computed_tokens([group], path) for group in GROUPS)
    budget, computed = largest_budget(steps, path, max(most, least), LONGEST)
    sizes = [
        computed_tokens([step.groups[index] for index in members], path)
        for step in steps.steps()
        for members in plan(step.groups, budget)
    ]
    assert max(sizes) == computed
    assert computed <= max(most, least) or budget == LONGEST


def test_a_row_longer_than_the_budget_is_refused_with_its_place(tmp_path):
    settings = config_for(tmp_path, pairs(40), train={"token_budget": 12})
    with pytest.raises(ConfigError, match=r"a row has (\d+) tokens, .*\(12\)") as caught:
        train(settings)
    assert "rows.jsonl:" in caught.value.where
    assert not (Path(settings.out) / "checkpoints").is_dir() or not list((Path(settings.out) / "checkpoints").iterdir())
    fits = int(caught.value.fix.split("train.token_budget=")[1].split(",")[0])
    looked = preflight(settings)
    assert [each.code for each in looked.problems] == ["train.token_budget"] and looked.work is not None
    train(settings.model_copy(update={"train": settings.train.model_copy(update={"token_budget": fits})}))


def test_a_run_keeps_the_number_and_resumes_with_it(tmp_path, monkeypatch):
    steps = {"token_budget": "auto", "memory_limit": 64.0, "pairs_per_step": 16, "max_steps": 3}
    settings = config_for(tmp_path, pairs(60), train=steps, checkpoint={"every": 1})
    said = []

    def stop(row, _steps):
        if row["step"] == 2:
            raise TrainingError("train.nonfinite", "stopped by hand")

    with pytest.raises(TrainingError):
        fit(settings, say=said.append, watch=stop)
    stored = yaml.safe_load((Path(settings.out) / "run.yaml").read_text())["train"]
    assert isinstance(stored["token_budget"], int) and stored["memory_limit"] is None
    assert any(f"auto: {stored['token_budget']:,} tokens" in line for line in said)
    monkeypatch.setattr(budgets, "measured", lambda *_: pytest.fail("measured"))
    train(settings, resume=True)  # the file still says auto
    again = yaml.safe_load((Path(settings.out) / "run.yaml").read_text())["train"]
    assert again == stored


def test_the_preflight_finds_the_number_too(tmp_path):
    settings = config_for(tmp_path, pairs(40), train={"token_budget": "auto", "memory_limit": 64.0})
    looked = preflight(settings)
    assert looked.problems == () and looked.work is not None
    short = preflight(config_for(tmp_path, pairs(40), train={"token_budget": "auto", "memory_limit": 0.01}))
    assert [each.code for each in short.problems] == ["train.token_budget"] and short.work is None


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.token_budget=0", "greater than or equal to 1"),
        ("train.token_budget=much", "valid integer"),
        ("train.memory_limit=2", "set token_budget=auto"),
    ],
)
def test_settings_that_mean_nothing_are_refused(setting, words):
    with pytest.raises(ConfigError, match=words) as caught:
        parse_settings([setting])
    assert "constrained" not in str(caught.value)


def test_linux_tells_what_is_free_in_machine_and_container(tmp_path):
    memory, container = tmp_path / "meminfo", tmp_path / "cgroup"
    container.mkdir()
    machine = Machine(memory, container)
    assert machine.free_bytes() is None
    memory.write_text("MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable:    5000 kB\n")
    assert machine.free_bytes() == 5000 * 1024
    (container / "memory.current").write_text("3000000\n")
    (container / "memory.stat").write_text("anon 2000000\ninactive_file 1000000\n")
    (container / "memory.max").write_text("max\n")
    assert machine.free_bytes() == 5000 * 1024
    (container / "memory.max").write_text("4000000\n")
    assert machine.free_bytes() == 2_000_000


def test_processes_of_one_machine_share_its_memory(monkeypatch):
    """Each would plan with all of it, and the run would take a multiple."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(budgets, "resident_bytes", lambda: 1000)
    monkeypatch.setattr(Machine, "free_bytes", lambda self: 8000)
    assert budgets._room(torch.device("cpu"), 40_000) == 9000
    assert budgets._room(torch.device("cpu"), None) == 2000


def test_where_nobody_tells_a_limit_has_to_be_given(monkeypatch):
    monkeypatch.setattr(Machine, "free_bytes", lambda self: None)
    with pytest.raises(ConfigError, match="cannot be told") as caught:
        budgets._room(torch.device("cpu"), None)
    assert "train.memory_limit" in caught.value.fix
    monkeypatch.setattr(budgets, "resident_bytes", lambda: 2**20)
    assert budgets._room(torch.device("cpu"), 2**50) == 2**50 - 2**20
