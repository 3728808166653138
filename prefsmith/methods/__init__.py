"""Programs over `run.py`, one file each."""
