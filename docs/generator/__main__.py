"""Write the generated pages, or with `--check` say which of them are stale.

cd docs && ../.venv/bin/python -m generator [--check]
"""

import sys

from .write import check, write

if __name__ == "__main__":
    problems = check() if sys.argv[1:] == ["--check"] else write()
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    sys.exit(1 if problems else 0)
