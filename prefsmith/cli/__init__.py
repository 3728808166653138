"""`prefsmith`: each command parses, calls one library function, prints, and exits."""

import sys

try:
    from prefsmith.cli.main import main
except KeyboardInterrupt:  # while modules are imported, `main` is not there to answer it
    print("[run.interrupted] stopped at once", file=sys.stderr)
    raise SystemExit(130) from None

__all__ = ["main"]
