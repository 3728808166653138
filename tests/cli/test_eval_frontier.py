"""`prefsmith eval frontier`: what is refused, and what a dry run says."""

from pathlib import Path

from prefsmith.cli import main

ROOT = Path(__file__).parents[2]


def test_a_dry_run_says_what_would_be_trained(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "frontier", str(ROOT / "recipes" / "sentiment.yaml"), "--seed", "4", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("would train on seed 4, and measure every 100 steps:\n  dpo, beta 0.1\n")
    assert "  rloo, reward learned, beta 0.3\n" in out and "have to hold: V1, V2, V3, A1, A2, A3, A4\n" in out
    assert main(["eval", "frontier", str(ROOT / "recipes" / "summary.yaml"), "--dry-run"]) == 0
    assert "win rates on 500 prompts at temperatures 0, 0.25, 0.5, 0.75, 1\n" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_recipe_is_told_with_its_line(capsys, tmp_path):
    (tmp_path / "recipe.yaml").write_text("methods: [{name: dpo}]\ntraining: {stepps: 3}\n")
    assert main(["eval", "frontier", str(tmp_path / "recipe.yaml")]) == 2
    said = capsys.readouterr().err
    assert "[config.unknown_key]" in said and "recipe.yaml:2" in said and "steps" in said


def test_a_recipe_that_is_not_there(capsys, tmp_path):
    assert main(["eval", "frontier", str(tmp_path / "none.yaml")]) == 2
    assert "[config.file]" in capsys.readouterr().err


def test_a_loss_that_is_not_known(capsys, tmp_path):
    (tmp_path / "recipe.yaml").write_text("methods: [{name: dop}]\n")
    assert main(["eval", "frontier", str(tmp_path / "recipe.yaml"), "--dry-run"]) == 2
    assert "did you mean" in capsys.readouterr().err
