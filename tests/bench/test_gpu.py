"""The benchmark for a GPU: it runs whole on a processor, on a tiny model, and says where it cannot run."""

import json

import gpu
import pytest
import torch
from gpu import MODELS, Found
from speed import worker
from speed.arms import ARMS, MEMORY
from speed.driver import PYTHON
from speed.record import Spread
from speed.texts import ROOT


def found(**changes):
    seconds = {
        "trl": [0.4, 0.5, 0.9], "trl-cached": [0.3, None, 0.3], "trl-sorted": [0.2, 0.2, 0.2],
        "padded": [0.2, 0.2, 0.3], "each-step": [0.2, 0.1, 0.3], "cached": [0.1, 0.1, 0.2],
    }  # fmt: skip
    given = {
        "seconds": seconds,
        "rate": [1e13, 2e13, 3e13],
        "peak": {arm: None if arm == "trl-cached" else 2**30 for arm in (*ARMS, *MEMORY)},
        "loss": dict.fromkeys(ARMS, 0.7) | {"trl-cached": None},
        "norm": dict.fromkeys(ARMS, 3.0) | {"trl-cached": None},
    }
    return Found("some lengths", 8, (2.5, 1.5), {"each-step": 4e11, "cached": 3e11}, **given | changes)


def test_without_a_gpu_it_says_so_and_ends_with_status_2(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(gpu, "has_cuda", lambda: False)
    assert gpu.main(["--out", str(tmp_path / "gpu.json")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("there is no CUDA device here") and said.err.count("\n") == 1
    assert not (tmp_path / "gpu.json").exists()


def test_without_trls_environment_it_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    assert gpu.main(["--device", "cpu", "--shape", "tiny"]) == 2
    assert ".venv-agreement/installed" in capsys.readouterr().err


def run(tmp_path, capsys, *more):
    arguments = ["--device", "cpu", "--shape", "tiny", "--only", "chat", "--rounds", "1"]
    assert gpu.main([*arguments, "--out", str(tmp_path / "gpu.json"), *more]) == 0
    return json.loads((tmp_path / "gpu.json").read_text())["tiny"]["chat"], capsys.readouterr().out


@pytest.mark.slow
def test_prefsmiths_side_runs_whole_on_a_processor(tmp_path, capsys):
    kept, printed = run(tmp_path, capsys, "--without-trl")
    ours = {key for key, arm in ARMS.items() if arm.side == "ours"}
    assert kept["seconds"].keys() == kept["loss"].keys() == ours
    assert all(taken[0] > 0 for taken in kept["seconds"].values())
    assert kept["peak"].keys() == ours | MEMORY.keys()
    for arm in ours:  # bfloat16 alone apart, and the reference is another model than the policy
        assert kept["loss"][arm] == pytest.approx(kept["loss"]["cached"], rel=2e-3)
        assert kept["norm"][arm] == pytest.approx(kept["norm"]["cached"], rel=2e-2)
    assert abs(kept["loss"]["cached"] - 0.693147) > 1e-6
    assert "tiny on cpu" in printed and "padded loop" in printed and "TRL" not in printed


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / PYTHON["theirs"]).exists(), reason="TRL's environment is not set up")
def test_trls_side_computes_the_same(tmp_path, capsys):
    kept, _ = run(tmp_path, capsys)
    assert kept["seconds"].keys() == ARMS.keys()
    for arm in ARMS:
        assert kept["loss"][arm] == pytest.approx(kept["loss"]["cached"], rel=2e-3)
    assert kept["where"]["versions"].keys() >= {"trl", "prefsmith", "torch"}


def test_medians_ratios_and_shares_are_of_whole_rounds():
    measured = found()
    assert measured.median("trl") == 0.5 and measured.median("trl-cached") is None
    assert measured.ratio(ARMS["trl"]) == Spread(3.0, pytest.approx(2.0), pytest.approx(5.0))
    assert measured.ratio(ARMS["trl-cached"]) is None
    assert measured.share("cached") == pytest.approx(3e11 / 0.1 / 2e13)


def test_an_arm_whose_memory_ran_out_is_shown_as_that():
    printed = gpu.tables({"chat": found()})
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines() if line]
    heads = [row for row in cells if "TRL cached" in row]
    assert len(heads) == 4
    for head in heads:
        values = cells[cells.index(head) + 2]
        assert values[head.index("TRL cached")] == "out of memory"
        assert values[head.index("TRL sorted")] != "out of memory"


class Arms:
    """Memory runs out in the batches that are named `too large`."""

    def __init__(self):
        self.dropped = 0

    def gradient(self, arm, batch):
        if arm == "too large":
            raise torch.OutOfMemoryError("out of memory")
        return 0.5

    def update(self):
        pass

    def weights(self):
        return []

    def drop(self):
        self.dropped += 1


def test_memory_that_runs_out_ends_a_step_and_not_the_worker():
    made = worker.Worker("ours")
    made.arms = Arms()
    assert made.step("too large", [0]) == {"seconds": None}
    assert made.arms.dropped == 1
    assert made.peak("too large", [0])["peak"] is None
    assert made.compare("too large", [0]) == {"loss": None, "norm": None}
    assert made.step("cached", [0])["seconds"] >= 0


def test_the_models_are_as_large_as_they_are_called():
    from speed.work import body

    for name, billions in (("1b", 1.24), ("3b", 3.21), ("8b", 8.03)):
        each = MODELS[name]
        heads = 1 if each.shape.tied else 2
        size = body(each.shape) + heads * each.vocabulary * each.shape.hidden
        assert size / 1e9 == pytest.approx(billions, rel=0.01)
