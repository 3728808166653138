"""From a run's folder on disk to one page that shows what happened. Knows no trainer and starts without torch."""

from prefsmith.report.draw import Drawn, draw, write
from prefsmith.report.run import RecordedRun, read_run

__all__ = ["Drawn", "RecordedRun", "draw", "read_run", "write"]
