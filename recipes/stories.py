"""Teach a small model of stories to tell happier ones, and show how far they moved and whether they still read well.

    .venv/bin/python recipes/stories.py --model MODEL
    .venv/bin/python recipes/stories.py --model MODEL --rule last --seed 1 --out runs/happy-ends

The model goes on from openings of stories. A rule that a program can check says which of two stories from one opening
is the better one, and DPO trains on the pairs that it tells apart most clearly. The trained model then goes on from
the same openings and from others that it was not trained on; both are compared with the stories from before. Ends with
the path of a report.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prefsmith.cli.live import display
from prefsmith.cli.terminal import complain, say
from prefsmith.errors import PrefsmithError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipe; returns the exit status, which after an error is that of its class."""
    options = _parser().parse_args(arguments)
    try:
        with display() as shown:
            from story.recipe import teach  # inside: --help answers without torch

            account = teach(**vars(options), say=shown.say, watch=shown.watch)
        for line in (*account.lines(), *_what_next(account.folder)):
            say(line)
    except PrefsmithError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("[run.interrupted] stopped at once\n  fix:   start again; the recipe begins anew")
        return 130
    return 0


def _what_next(run: Path) -> tuple[str, ...]:
    return (
        f"The report is {run / 'report.html'}; {run.parent / 'samples.jsonl'} has every story that was measured.",
        f"The same run again: prefsmith train {run / 'run.yaml'} --out NEW",
        f"More of its stories: prefsmith generate --model {run} --reference auto --temperature 0.8 --prompt 'One day,'",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--model", required=True, help="folder or hub id of a small model that was trained on stories")
    add("--out", type=Path, help="folder for everything; default: the first free runs/stories")
    add("--rule", choices=("share", "last"), default="share", help="share: upbeat words less sad ones, in each hundred;"
        " last: a happy last sentence; default: %(default)s")  # fmt: skip
    add("--seed", type=int, default=0, help="of openings, samples and training; default: %(default)s")
    add("--learning-rate", default="1e-5", help="of DPO; default: %(default)s")
    add("--beta", default="0.1", help="of DPO; default: %(default)s")
    add("--openings", type=Path, help="file of rows with a prompt, instead of the recipe's own openings")
    add("--samples", type=int, default=512, help="stories in each set; default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
