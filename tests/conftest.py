from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("prefsmith", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("prefsmith")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
APART = ("::test_every_block_of_a_page_runs[",)
"""Long tests of one file that share next to nothing: each goes to whichever process is free."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file's tests stay in one process, which makes what they share once, but for those that go apart."""
    from xdist.scheduler import LoadFileScheduling  # inside: tests run without it too

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return nodeid if any(part in nodeid for part in APART) else super()._split_scope(nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tiny models are faster on one thread, and give the same bits on every machine of a kind."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_cache_but_the_tests_own(tmp_path, monkeypatch):
    """No test reads or leaves anything in the cache of whoever runs it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def shared_data():
    """Real data and models beside the repository; tests that use them are skipped where they are absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("../shared is not on this machine")
    return SHARED / "data"
