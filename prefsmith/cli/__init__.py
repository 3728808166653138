"""`prefsmith`: each command parses, calls one library function, prints, and exits."""

from prefsmith.cli.main import main

__all__ = ["main"]
