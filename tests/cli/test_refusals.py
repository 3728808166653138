"""What a loss cannot use is refused before the model is loaded: its weights here are none that could be."""

import pytest
from tiny import save_model, write_rows

from prefsmith.cli import main

PAIRS = [{"prompt": f"what is {row}", "chosen": " good", "rejected": " bad"} for row in range(8)]
THUMBS = [{"prompt": f"what is {row}", "completion": " good", "label": row % 2 == 0} for row in range(8)]
RANKED = [{"prompt": f"what is {row}", "completions": [" good", " bad"], "ranks": [1, 2]} for row in range(8)]
SCORED = [{**row, "score_chosen": 8, "score_rejected": 6} for row in PAIRS]


def fifth(rows, **changes):
    """The rows, all of them with the columns, the fifth with the values that are wrong."""
    return [{**row, **({name: after for name, (_, after) in changes.items()} if number == 4 else
                       {name: before for name, (before, _) in changes.items()})}
            for number, row in enumerate(rows)]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = save_model(tmp_path_factory.mktemp("model"), ["what", "is", "good", "bad", *map(str, range(8))])
    (folder / "model.safetensors").write_bytes(b"no weights")
    return folder


@pytest.fixture
def refused(model, tmp_path, monkeypatch, capsys):
    """Trains on the rows; gives exit status, code, and what is said."""

    def refused(rows, *words):
        monkeypatch.chdir(tmp_path)
        write_rows(tmp_path / "rows.jsonl", rows)
        capsys.readouterr()
        status = main(["train", "--model", str(model), "--data", "rows.jsonl", "data.eval_fraction=0", *words])
        said = capsys.readouterr().err
        assert "Traceback" not in said and "[bug]" not in said
        return status, said[1:].partition("]")[0], said

    return refused


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["loss.name=dpoo"], "loss.unknown", "did you mean 'dpo' or 'odpo'?"),
        (["loss.name=simpo", "loss.gama=1"], "loss.setting", "did you mean 'gamma'?"),
        (["loss.name=dpo", "loss.gamma=1"], "loss.setting", "it is one of: beta, label_smoothing"),
        (["loss.name=robust_dpo", "loss.noise=0.5"], "loss.value", "'0.5' is not a number in [0, 0.5)"),
        (["loss.name=robust_dpo", "loss.noise=-0.1"], "loss.value", "where: loss.noise"),
        (["loss.name=fdpo", "loss.divergence=reverse"], "loss.value", "not one of reverse_kl, forward_kl, js"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_loss_or_setting_that_is_wrong(refused, words, code, says):
    status, found, said = refused(PAIRS, *words)
    assert (status, found) == (2, code) and says in said


@pytest.mark.parametrize(
    ("rows", "words", "status", "code", "says"),
    [
        (THUMBS, ["loss.name=simpo"], 3, "data.no_pairs", "where: rows.jsonl:1\n"),
        (THUMBS, ["loss.name=plackett_luce"], 3, "data.no_pairs", "plackett_luce ranks several answers"),
        (PAIRS, ["loss.name=rebel"], 3, "data.scores", "where: rows.jsonl:1\n"),
        (fifth(SCORED, score_rejected=(6, None)), ["loss.name=rebel"], 3, "data.scores", "where: rows.jsonl:5\n"),
        (fifth(SCORED, score_rejected=(6, 9)), ["loss.name=odpo"], 3, "data.scores", "where: rows.jsonl:5\n"),
        (PAIRS, ["loss.name=infonca"], 3, "data.scores", "a score of each of several answers"),
        (RANKED, ["loss.name=infonca"], 3, "data.scores", "infonca needs scores"),
        (RANKED, ["loss.name=rpo"], 3, "data.scores", "rpo needs scores"),
        (THUMBS, ["loss.name=qrpo"], 3, "data.scores", "qrpo needs scores"),
        ([{**row, "label": True} for row in THUMBS], ["loss.name=kto"], 3, "data.one_class", "all 8 are desirable"),
        ([{**row, "label": False} for row in THUMBS], ["loss.name=kto"], 3, "data.one_class", "all 8 are undesirable"),
        ([{**row, "label": True} for row in THUMBS], ["loss.name=npo"], 3, "data.one_class", "none of the 8"),
        ([{**row, "prompt": "what"} for row in THUMBS], ["loss.name=kto"], 2, "train.lonely_prompt", "rows.jsonl"),
        (fifth(PAIRS, prob=(1, 0.7)), ["loss.name=hinge"], 3, "data.soft_label", "where: rows.jsonl:5\n"),
        (fifth(PAIRS, prob=(1, 0.7)), ["loss.name=kto"], 3, "data.soft_label", "probability is 0.7"),
        (fifth(PAIRS, prob=(1, 0.7)), ["loss.name=plackett_luce"], 3, "data.soft_label", "rows.jsonl:5\n"),
        ([{**row, "prob": 0.5} for row in PAIRS], ["loss.name=plackett_luce"], 3, "data.one_class", "are tied"),
        ([{**row, "ranks": [1, 1]} for row in RANKED], ["loss.name=hinge"], 3, "data.no_rows", "8 comparisons"),
    ],
)
def test_rows_that_the_loss_cannot_use(refused, rows, words, status, code, says):
    done, found, said = refused(rows, *words)
    assert (done, found) == (status, code) and says in said and "  fix:   " in said


@pytest.mark.parametrize("rows", [PAIRS, fifth(PAIRS, prob=(1, 0.7)), THUMBS, RANKED, SCORED])
def test_the_model_is_what_stops_rows_that_can_be_used(refused, rows):
    """Otherwise the tests above would pass with a model that is loaded first."""
    assert refused(rows, "loss.name=bco_unpaired")[:2] == (2, "model.load")
