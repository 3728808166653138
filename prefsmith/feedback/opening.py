"""A judge from its settings."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import assert_never

from prefsmith.errors import DataError
from prefsmith.feedback import rules
from prefsmith.feedback.asked import Answering, AskedJudge
from prefsmith.feedback.functions import load_function
from prefsmith.feedback.judge import Judge
from prefsmith.feedback.question import Asking
from prefsmith.feedback.recorded import read_votes
from prefsmith.feedback.rules import RuleJudge
from prefsmith.feedback.scores import ScoreJudge, each_answer
from prefsmith.feedback.settings import LocalConfig, RewardConfig, RuleConfig, ServerConfig, VotesConfig
from prefsmith.feedback.verdicts import Journal


@contextmanager
def open_judge(
    config: RuleConfig | RewardConfig | LocalConfig | ServerConfig | VotesConfig,
    *,
    journal: Path | None = None,
    say: Callable[[str], None] = print,
    sleep: Callable[[float], object] | None = None,
) -> Iterator[Judge]:
    """The judge that the settings name, while the context is open.

    Args:
        config: which; `settings.judge_config` makes it.
        journal: where replies of model judges are kept, so that a run that was stopped goes on; the others need none.
        say: is told what a reader should know.
        sleep: waits between attempts at a server.

    Raises:
        ConfigError: a model, a function or a file cannot be had, or another process has the journal.
        DataError: the journal or a file of votes cannot be read.
    """
    if isinstance(config, RuleConfig):
        yield _rule(config)
    elif isinstance(config, RewardConfig):
        yield _reward(config, say)
    elif isinstance(config, VotesConfig):
        yield read_votes(Path(config.path).expanduser(), config.name or Path(config.path).name, config.annotator)
    elif isinstance(config, LocalConfig | ServerConfig):
        with Journal(journal) as kept:
            if kept.cut_off:
                say(f"{journal}: the last line was half written; what it held is asked again")
            name = config.name or _named(config.model)
            asking = Asking(config.criterion, config.ties, thinks=isinstance(config, ServerConfig))
            yield AskedJudge(name, _model(config, sleep), asking, kept, say)
    else:
        assert_never(config)


def _rule(config: RuleConfig) -> RuleJudge:
    """The facts tell the rule from any other one, whatever name it is given."""
    name = config.name or (f"{config.rule} {config.pattern}" if config.pattern else config.rule)
    if config.pattern is not None:
        search = rules.contains if config.rule == "contains" else rules.matches
        return RuleJudge(name, search(config.pattern), facts={"rule": config.rule, "pattern": config.pattern})
    if config.rule in ("longer", "shorter"):
        rule = rules.longer() if config.rule == "longer" else rules.shorter()
        return RuleJudge(name, rule, facts={"rule": config.rule})
    rule, digest = load_function(config.rule, "judge.rule")
    return RuleJudge(name, rule, facts={"function": _function(config.rule), "digest": digest})


def _reward(config: RewardConfig, say: Callable[[str], None]) -> ScoreJudge:
    """A function of the user's, or a reward model: what it cannot read whole has no number, and so no verdict."""
    told: set[str] = set()

    def refused(error: DataError) -> None:
        if error.code not in told:  # the first of its kind says it for all; the votes count them
            told.add(error.code)
            say(f"{error.where}: {error.what}; such answers have no verdict")

    if config.is_function:
        name = config.name or config.reward
        function, sha256 = load_function(config.reward, "judge.reward")
        facts = {"function": _function(config.reward), "digest": sha256}
        return ScoreJudge(name, each_answer(name, function), tie_margin=config.tie_margin, facts=facts)
    from prefsmith.feedback.reward import open_reward
    from prefsmith.model.load import digest

    learned = open_reward(config.reward, device=config.device, refused=refused)
    facts = {"weights": digest(learned.model.inner), **learned.encoder.renderer.identity()}
    return ScoreJudge(config.name or _named(config.reward), learned.rewards, tie_margin=config.tie_margin, facts=facts)


def _model(config: LocalConfig | ServerConfig, sleep: Callable[[float], object] | None) -> Answering:
    """What answers; libraries that take long to start are imported only for the one that needs them."""
    if isinstance(config, ServerConfig):
        from prefsmith.feedback.remote import Server

        return Server(config, sleep=sleep)
    from prefsmith.feedback.local import open_local

    return open_local(config)


def _function(named: str) -> str:
    """The name of the function alone: of its file the digest counts, and not where it lies."""
    return named.rpartition(":")[2]


def _named(model: str) -> str:
    """A folder by its last part, anything else as it is."""
    path = Path(model).expanduser()
    return path.resolve().name if path.exists() else model
