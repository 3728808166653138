"""Win rates of models whose rates are known, runs that are killed, and what a reader is warned of."""

import json
import math
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from planted import WORDS
from tiny import save_model, write_rows
from winrate_run import CONTEST

from prefsmith.data.prompts import read_prompts
from prefsmith.errors import ConfigError
from prefsmith.evaluate.reader import open_reader
from prefsmith.evaluate.sides import Side
from prefsmith.feedback.rules import RuleJudge, longer
from prefsmith.feedback.scores import ScoreJudge, each_answer
from prefsmith.methods.winrate import Contest, line_up, measure_win_rates

PROMPTS = [f"{colour} {word}" for colour in ("red", "blue") for word in ("w0", "w1", "w2", "w3", "w4", "w5")]
SAMPLES = 100


def reward(text):
    """A number for every word that the models know, with ties among them."""
    return float(sum(map(ord, text.strip())) % 7)


def judge():
    return ScoreJudge("planted", each_answer("planted", lambda _, answer: reward(answer)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models that answer differently, and prompts."""
    folder = tmp_path_factory.mktemp("winrate")
    save_model(folder / "ours", WORDS, seed=1, std=0.5)
    save_model(folder / "theirs", WORDS, seed=2, std=0.5)
    write_rows(folder / "prompts.jsonl", [{"prompt": prompt} for prompt in PROMPTS])
    return folder


def measured(folder, out, *, judge=judge, **options):
    contest = Contest(
        **{
            "methods": (f"ours={folder / 'ours'}",),
            "against": f"theirs={folder / 'theirs'}",
            "data": str(folder / "prompts.jsonl"),
            "max_new_tokens": 1,
            **options,
        }
    )
    said = []
    found = measure_win_rates(contest, lambda _: nullcontext(judge()), out, say=said.append)
    return found, said


def bandit(folder, prompt):
    """Logits of a one-token answer and the reward of each, as the model itself has them."""
    reader = open_reader(str(folder))
    (group,) = (each for each in read_prompts(folder.parent / "prompts.jsonl") if each.prompt == prompt)
    ids = reader.encoder.prompt_ids(group)
    with torch.no_grad():
        logits = reader.model.scorer.model(input_ids=torch.tensor([ids])).logits[0, -1].double()
    ends = reader.encoder.ends
    texts = ["" if token in ends else reader.encoder.text_after(ids, (token,)) for token in range(len(logits))]
    return logits, torch.tensor([reward(text) for text in texts])


def at_temperature(logits, temperature):
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(), len(logits)).double()
    return (logits / temperature).softmax(-1)


@pytest.fixture(scope="module")
def closed_form(folder):
    """Win rate of one-token answers at a temperature, and the standard error of its estimate."""
    arms = [(bandit(folder / "ours", prompt), bandit(folder / "theirs", prompt)) for prompt in PROMPTS]

    def rate(temperature, other):
        means, variances = [], []
        for (logits, rewards), (theirs, their_rewards) in arms:
            both = at_temperature(logits, temperature)[:, None] * at_temperature(theirs, other)[None, :]
            points = (torch.sign(rewards[:, None] - their_rewards[None, :]) + 1) / 2
            mean = float((both * points).sum())
            means.append(mean)
            variances.append(float((both * points**2).sum()) - mean**2)
        return sum(means) / len(means), math.sqrt(sum(variances) / SAMPLES) / len(means)

    return rate


@pytest.mark.parametrize("against", [None, 1.0])
def test_the_rate_over_temperatures_is_that_of_the_models_own_probabilities(folder, closed_form, tmp_path, against):
    found, _ = measured(folder, tmp_path / "out", samples=SAMPLES, against_temperature=against, batch=3000)
    rates, others = [], []
    for each in found.standings:
        expected, error = closed_form(each.temperature, each.temperature if against is None else against)
        rates.append((each.rate.rate.value, expected, error))
        others.append(closed_form(2.0 - each.temperature, 1.0)[0])
    assert [each.temperature for each in found.standings] == [0, 0.25, 0.5, 0.75, 1]
    # Ten points in all: of right ones, the farthest is beyond 3 errors once in 37 times, beyond 3.5 once in 200.
    assert all(abs(rate - expected) <= 3.5 * error + 1e-9 for rate, expected, error in rates), rates
    # The errors are small enough to see a wrong temperature.
    assert any(abs(rate - other) > 3.5 * error for (rate, _, error), other in zip(rates, others, strict=True))
    first = found.standings[0]
    assert first.pairs == (len(PROMPTS) if against is None else len(PROMPTS) * SAMPLES)  # greedy answers are drawn once


def test_a_model_against_itself_wins_half_of_its_pairs_and_not_by_ties_alone(folder, tmp_path):
    """With shared noise both sides would say the same; as two sides they are independent."""
    found, _ = measured(
        folder, tmp_path / "out", against=f"same={folder / 'ours'}", samples=60, temperatures=(1.0,), batch=800
    )
    (only,) = found.standings
    assert only.rate.rate.low < 0.5 < only.rate.rate.high
    assert only.rate.wins > 100 and only.rate.losses > 100


def test_methods_share_their_noise_and_the_baselines_answers(folder, tmp_path):
    found, _ = measured(
        folder,
        tmp_path / "out",
        methods=(f"a={folder / 'ours'}", f"b={folder / 'ours'}"),
        temperatures=(1.0,),
        samples=5,
    )
    assert [each.difference.value for each in found.between] == [0.0]
    assert found.between[0].test.p == 1.0
    first, second = found.standings
    assert first.rate == second.rate


def test_the_same_seed_gives_the_same_bytes_whatever_is_run_together(folder, tmp_path):
    for name, batch in (("a", 64), ("b", 3)):
        measured(folder, tmp_path / name, batch=batch, temperatures=(0.0, 1.0))
    measured(folder, tmp_path / "c", temperatures=(0.0, 1.0), seed=1)
    first, second, other = ((tmp_path / name / "evidence.json").read_bytes() for name in "abc")
    assert first == second != other


def test_a_second_run_asks_nobody_and_says_the_same(folder, tmp_path):
    class Silent:
        name = "planted"

        def votes(self, groups):
            raise AssertionError("asked again")

        def describe(self):
            return judge().describe()

    measured(folder, tmp_path, temperatures=(0.0, 1.0))
    before = (tmp_path / "evidence.json").read_bytes()
    _, said = measured(folder, tmp_path, judge=Silent, temperatures=(0.0, 1.0))
    assert said == [] and (tmp_path / "evidence.json").read_bytes() == before


def test_a_prompt_whose_answer_is_gone_is_answered_as_before(folder, tmp_path):
    """Noise goes with the number of a prompt, not with what is asked beside it."""
    measured(folder, tmp_path, temperatures=(1.0,), samples=3)
    before = (tmp_path / "evidence.json").read_bytes()
    file = tmp_path / "answers-0-1.0.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:3] + lines[5:]))
    _, said = measured(folder, tmp_path, temperatures=(1.0,), samples=3)
    assert said == ["ours at temperature 1: 2 prompts to answer"]
    assert (tmp_path / "evidence.json").read_bytes() == before


def killed(folder, *words):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    script = Path(__file__).parents[1] / "winrate_run.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder), *map(str, words)],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_killed_run_goes_on_and_does_nothing_twice(folder, tmp_path):
    place = tmp_path / "killed"
    place.mkdir()
    for part in ("ours", "theirs", "prompts.jsonl"):
        (place / part).symlink_to(folder / part)
    for words in (("draw", 6), ("votes", 2)):  # counts are of one process
        status, errors = killed(place, *words)
        assert status == -signal.SIGKILL, errors
        assert not (place / "out" / "evidence.json").exists()
    torn = place / "out" / "votes-0-0.0.jsonl"
    torn.write_bytes(torn.read_bytes()[:-10])  # as a crash of the machine could leave it
    status, errors = killed(place, "nothing", 0)
    assert status == 0, errors
    lines = [json.loads(line) for line in (place / "done.jsonl").read_text().splitlines()]
    drawn = [(*rows[:2], prompt) for what, rows in lines if what == "draw" for prompt in rows[2]]
    assert len(drawn) == len(set(drawn)) == 2 * 2 * len(PROMPTS)
    assert sum(what == "votes" for what, _ in lines) > 2
    measured(folder, tmp_path / "in-peace", judge=lambda: RuleJudge("longer", longer()), **CONTEST)
    first, second = ((where / "evidence.json").read_bytes() for where in (place / "out", tmp_path / "in-peace"))
    assert first == second


def test_other_settings_models_or_judges_do_not_mix_with_what_is_there(folder, tmp_path):
    measured(folder, tmp_path, temperatures=(0.0,))
    for changes in (
        {"temperatures": (0.0, 1.0)}, {"seed": 1}, {"samples": 2}, {"against": str(folder / "ours")},
        {"judge": lambda: RuleJudge("longer", longer())}, {"limit": 3},
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r"evaluate\.changed"):
            measured(folder, tmp_path, **{"temperatures": (0.0,), **changes})


def test_methods_in_another_order_do_not_get_each_others_votes(tmp_path):
    files = {"long": "berry berry", "short": "b", "base": "berry"}
    for name, text in files.items():
        write_rows(tmp_path / f"{name}.jsonl", [{"prompt": prompt, "completion": text} for prompt in PROMPTS])
    sides = tuple(f"{name}={tmp_path / name}.jsonl" for name in ("long", "short"))
    options = {
        "against": str(tmp_path / "base.jsonl"), "data": None, "judge": lambda: RuleJudge("longer", longer()),
    }  # fmt: skip
    found, _ = measured(tmp_path, tmp_path / "out", methods=sides, **options)
    assert [(each.method, each.rate.rate.value) for each in found.standings] == [("long", 1.0), ("short", 0.0)]
    with pytest.raises(ConfigError, match=r"evaluate\.changed.*order_of_methods"):
        measured(tmp_path, tmp_path / "out", methods=sides[::-1], **options)


def test_another_template_in_the_same_file_or_other_tools_do_not_mix_with_what_is_there(tmp_path):
    data, template = tmp_path / "rows.jsonl", tmp_path / "template.jinja"
    row = {"prompt": [{"role": "user", "content": "red"}], "completion": [{"role": "assistant", "content": "w0"}]}

    def again(tools, text):
        write_rows(data, [{**row, "tools": [{"type": "function", "function": {"name": name}} for name in tools]}])
        template.write_text(text)
        file = write_rows(tmp_path / "answers.jsonl", [row])
        measured(tmp_path, tmp_path / "out", methods=(f"a={file}",), against=f"b={file}", data=str(data),
                 template=str(template))  # fmt: skip

    again(["look"], "one")
    again(["look"], "one")
    with pytest.raises(ConfigError, match=r"other settings: template\.sha256\n"):
        again(["look"], "two")
    with pytest.raises(ConfigError, match=r"other settings: prompts\.sha256\n"):
        again(["find"], "one")
    template.unlink()
    with pytest.raises(ConfigError, match=r"data\.template_file"):
        measured(tmp_path, tmp_path / "other", methods=(f"a={tmp_path / 'answers.jsonl'}",), data=None,
                 against=str(tmp_path / "answers.jsonl"), template=str(template))  # fmt: skip


def test_a_file_of_answers_beside_a_model(folder, tmp_path):
    file = write_rows(tmp_path / "f.jsonl", [{"prompt": prompt, "completion": "berry"} for prompt in PROMPTS])
    found, _ = measured(
        folder, tmp_path / "out", methods=(f"ours={folder / 'ours'}", f"file={file}"), against=str(file),
        temperatures=(0.0, 1.0),
    )  # fmt: skip
    assert [(each.method, each.temperature) for each in found.standings] == [("ours", 0), ("ours", 1), ("file", None)]
    assert found.standings[2].identical == len(PROMPTS) and found.standings[2].rate.rate.value == 0.5


def test_warnings_name_whom_they_are_of(folder, tmp_path):
    found, _ = measured(folder, tmp_path / "out", temperatures=(0.0, 1.0), max_new_tokens=1)
    assert "only 12 prompts: the interval is wide, and rough" in found.warnings
    assert any("of the answers of ours were cut at 1 tokens" in each for each in found.warnings)
    assert found.evidence["warnings"] == list(found.warnings)


def test_prompts_that_do_not_fit_are_counted(folder, tmp_path):
    long = write_rows(tmp_path / "long.jsonl", [{"prompt": "w0 " * 200}, {"prompt": "red"}])
    found, _ = measured(folder, tmp_path / "out", data=str(long), temperatures=(0.0,), max_new_tokens=4)
    assert "1 prompts lost their start under ours, to leave room for an answer" in found.warnings


@pytest.mark.parametrize(
    "changes",
    [
        {"temperatures": ()}, {"temperatures": (0.5, 0.5)}, {"temperatures": (-1.0,)}, {"temperatures": (math.nan,)},
        {"temperatures": (math.inf,)}, {"samples": 0}, {"limit": 0}, {"seed": -1}, {"top_p": 0.0}, {"batch": 0},
        {"max_new_tokens": 0}, {"against_temperature": -1.0}, {"methods": ()},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_before_anything_is_read(changes):
    with pytest.raises(ConfigError, match=r"winrate\.(value|side)"):
        line_up(Contest(**{"methods": ("nowhere",), "against": "nowhere", **changes}))


def test_two_sides_of_one_name_are_refused_and_a_baseline_is_told_apart(folder):
    data = str(folder / "prompts.jsonl")
    with pytest.raises(ConfigError, match="two sides have the name a"):
        line_up(Contest(("a=x", "a=y"), "z", data))
    assert line_up(Contest(("a=x",), "a=z", data)).baseline == Side("a (baseline)", "z", "model")
