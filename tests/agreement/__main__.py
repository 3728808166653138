"""Compare, print the table, write the page.

    cd tests && ../.venv/bin/python -m agreement FOLDER PAGE

FOLDER holds what `agreement.theirs` wrote. The exit status is 1 where a row is not as declared.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from .compare import compare
from .page import page, summary


def main(folder: Path, target: Path) -> int:
    """Write the page; 0 where every row is as declared."""
    torch.set_num_threads(1)
    theirs = json.loads((folder / "theirs.json").read_text(encoding="utf-8"))
    found = compare(theirs, load_file(folder / "theirs.safetensors"), folder)
    target.write_text(page(found, theirs), encoding="utf-8")
    print(summary(found))
    return 0 if found.as_declared else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
