"""From a run's folder on disk to one page that shows what happened. Knows no trainer and starts without torch."""
