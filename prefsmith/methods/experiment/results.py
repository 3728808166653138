"""What tasks returned, each in a file of its own, so that an experiment that was stopped goes on behind them.

Every result is read back from its file before it is used: an experiment that was stopped and one that was not compute
with the same values.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from prefsmith.errors import ConfigError, TrainingError
from prefsmith.files import write_durably
from prefsmith.methods.experiment.settings import ExperimentConfig
from prefsmith.methods.experiment.tasks import Task


class Results:
    """The results of an experiment's tasks.

    Args:
        folder: of the experiment.
        config: its settings.

    Raises:
        ConfigError: the folder holds another experiment.
    """

    def __init__(self, folder: Path, config: ExperimentConfig) -> None:
        self.folder = folder / "results"
        recipe = config.model_dump_json(exclude={"workers", "required"}, indent=1).encode()
        stored = folder / "recipe.json"
        if stored.is_file() and stored.read_bytes() != recipe:
            what, fix = "the folder holds an experiment with other settings", "give another folder with --out"
            raise ConfigError("run.changed", what, where=str(stored), fix=fix)
        self.folder.mkdir(exist_ok=True)
        self._write(stored, recipe)

    def known(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """Results of the tasks that are done; what the others had begun is taken away.

        Raises:
            ConfigError: a result is not one.
        """
        found: dict[str, Any] = {}
        for task in tasks:
            if self._file(task).is_file():
                found[task.name] = self._read(task)
            elif task.folder.exists():
                shutil.rmtree(task.folder)
        return found

    def keep(self, task: Task, result: object) -> Any:  # noqa: ANN401
        """Write a result down; returns it as it is read back.

        Raises:
            TrainingError: the disk is full or fails.
        """
        self._write(self._file(task), TypeAdapter(task.returns).dump_json(result))
        return self._read(task)

    def _file(self, task: Task) -> Path:
        return self.folder / f"{task.name.replace(', ', '-').replace(' ', '-')}.json"

    def _read(self, task: Task) -> Any:  # noqa: ANN401
        path = self._file(task)
        try:
            return TypeAdapter(task.returns).validate_json(path.read_bytes())
        except ValidationError as error:
            what = f"what {task.name} returned cannot be read again: {error.errors()[0]['msg']}"
            raise ConfigError(
                "run.changed", what, where=str(path), fix="delete the file; the task is done again"
            ) from error

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_durably(path, data)
        except OSError as error:
            what = f"the experiment cannot be written: {error.strerror}"
            raise TrainingError("run.write", what, where=str(path), fix="make room, or give another --out") from error
