"""prefsmith beside TRL: the same model, the same pairs, the same optimiser steps, alternated.

cd bench && ../.venv/bin/python -m speed quick | bench | full | gate

Two processes, each in its own environment, answer commands over pipes; only one of them computes at a time.
"""
