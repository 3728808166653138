import pytest
from stub_judge import Judging


@pytest.fixture
def judging(tmp_path, monkeypatch):
    """Runs of a judge in a folder of their own, with nothing of the environment but what a test sets."""
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    return Judging(tmp_path)
