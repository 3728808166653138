"""`prefsmith eval`: what a result is worth."""

from cyclopts import App

from prefsmith.cli import eval_agreement, eval_frontier, eval_implicit, eval_winrate

evaluation = App(
    name="eval",
    help="Measure what a result is worth: numbers with intervals, as evidence.json and a page.",
    help_format="plaintext",
)
evaluation.command(eval_implicit.implicit, name="implicit", help=eval_implicit.HELP)
evaluation.command(eval_frontier.frontier, name="frontier", help=eval_frontier.HELP)
evaluation.command(eval_winrate.winrate, name="winrate", help=eval_winrate.HELP)
evaluation.command(eval_agreement.agreement, name="agreement", help=eval_agreement.HELP)
