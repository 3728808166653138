"""The whole plan of a run: what it needs, how long it takes, and what to change where it does not fit."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from prefsmith.assembly import objective_of, resolved
from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError
from prefsmith.model.load import check_origin, find_device
from prefsmith.model.shape import Shape, read_shape
from prefsmith.preflight.forecast import Forecast, Job, forecast, refuse_unknown
from prefsmith.preflight.remedies import SHARE, Remedy, fits, remedies
from prefsmith.preflight.times import Count, Times, count, measured_rate, times
from prefsmith.preflight.workload import Lengths, workload_of
from prefsmith.train.operations import Operations
from prefsmith.train.plan import refuse_processes

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a plan is for.

    Args:
        gpus: processes, each with a GPU.
        nodes: machines that they are on.
        memory: bytes of a GPU; None to be told what is needed.
        rate: operations a second of a GPU; `here` to measure this machine; None for no times.
        lengths: of rows, where they are stated.
        rows: how many training rows there are, where nobody can look.
        full_depth: follow the model as deep as it is.
    """

    gpus: int
    nodes: int = 1
    memory: int | None = None
    rate: float | str | None = None
    lengths: Lengths | None = None
    rows: int | None = None
    full_depth: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What was found.

    Args:
        asked: what it is for.
        job: the run.
        forecast: of one process.
        count: operations of a step.
        times: None where no rate is known.
        fits: None where no memory is stated.
        remedies: where it does not fit.
    """

    asked: Asked
    job: Job
    forecast: Forecast
    count: Count
    times: Times | None
    fits: bool | None
    remedies: tuple[Remedy, ...]

    @property
    def exit_status(self) -> int:
        """4 where the run would end for want of memory."""
        return 4 if self.fits is False else 0

    def to_json(self) -> dict[str, object]:
        """Every number under its name; bytes, seconds, operations."""
        found, job = self.forecast, self.job
        operations: Operations = found.operations
        return {
            "gpus": job.gpus,
            "nodes": self.asked.nodes,
            "parallel": "fsdp" if job.in_parts else "ddp" if job.gpus > 1 else "none",
            "memory": {
                **found.parts,
                "total": found.total,
                "moment": found.moment,
                "peaks": found.peaks,
                "available": self.asked.memory,
                "usable": None if self.asked.memory is None else round(SHARE * self.asked.memory),
            },
            "fits": self.fits,
            "layers": job.shape.depth,
            "followed_layers": list(found.depths),
            "path": found.path,
            "micro_batch": asdict(found.turn),
            "idle_processes": found.spread.idle,
            "rows": job.workload.words,
            "operations": {"micro_batch": operations.all(), **asdict(self.count)},
            "time": None if self.times is None else asdict(self.times),
            "remedies": [asdict(each) for each in self.remedies],
            "exit_status": self.exit_status,
        }


def plan(config: RunConfig, asked: Asked, *, tell: Tell = lambda _: None) -> Plan:
    """Forecast a run; where it does not fit, find what makes it fit.

    Args:
        config: every setting.
        asked: what the plan is for.
        tell: is given a few words on what is done now.

    Raises:
        ConfigError: a setting is wrong or not forecast, the model's configuration cannot be read or built.
        DataError: a row that is there cannot be used.
    """
    refuse_processes()
    _refuse_machines(asked)
    objective = objective_of(config)
    config = resolved(config, objective)
    refuse_unknown(config)
    tell("reading the model's configuration")
    shape = _shape(config, config.model.path, "model.path")
    other = None if config.reference.path is None else _shape(config, config.reference.path, "reference.path")
    tell("reading the rows")
    workload = workload_of(config, objective, shape, asked.lengths, asked.rows)
    config = _with_budget(config, workload.longest)
    job = Job(config, objective, shape, other, workload, asked.gpus)
    tell("following a pass")
    found = forecast(job, full_depth=asked.full_depth)
    enough = None if asked.memory is None else fits(found.total, asked.memory)
    changes: list[Remedy] = []
    if enough is False and asked.memory is not None:
        changes = remedies(job, found, asked.memory, tell=tell)
    return Plan(asked, job, found, count(job, found), _times(job, found, asked, tell), enough, tuple(changes))


def _shape(config: RunConfig, path: str, key: str) -> Shape:
    origin = check_origin(path, key, whole=False)
    return read_shape(origin, trust_remote_code=config.model.trust_remote_code)


def _times(job: Job, found: Forecast, asked: Asked, tell: Tell) -> Times | None:
    if asked.rate is None:
        return None
    if isinstance(asked.rate, float):
        return times(job, found, asked.rate)
    tell("timing a product")
    return times(job, found, measured_rate(job.config.train.precision, find_device(job.config.model.device)))


def _refuse_machines(asked: Asked) -> None:
    if asked.gpus < 1 or asked.nodes < 1:
        what = f"{asked.gpus} GPUs on {asked.nodes} machines train nothing"
        raise ConfigError("plan.gpus", what, where="--gpus", fix="at least one of each")
    if asked.gpus % asked.nodes:
        what = f"{asked.gpus} GPUs are not as many on each of {asked.nodes} machines"
        raise ConfigError("plan.gpus", what, where="--nodes", fix="--gpus counts those of all machines")


def _with_budget(config: RunConfig, longest: int) -> RunConfig:
    """Where none is named, that of a GPU, or the longest row."""
    if config.train.token_budget is None:
        budget = max(config.train.budget, longest)
        return config.model_copy(update={"train": config.train.model_copy(update={"token_budget": budget})})
    if longest > config.train.budget:
        what = f"a row has {longest} tokens, which is more than a micro-batch may have ({config.train.budget})"
        fix = f"train.token_budget={longest}, or shorter rows"
        raise ConfigError("train.token_budget", what, where="train.token_budget", fix=fix)
    return config
