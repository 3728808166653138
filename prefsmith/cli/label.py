"""`prefsmith label`: from votes to labels, and what to ask next."""

from cyclopts import App

from prefsmith.cli import label_aggregate, label_next, label_rank

label = App(name="label", help="Make labels of votes, and choose what to label next.", help_format="plaintext")
label.command(label_aggregate.aggregate, name="aggregate", help=label_aggregate.HELP)
label.command(label_next.next_, name="next", help=label_next.HELP)
label.command(label_rank.rank, name="rank", help=label_rank.HELP)
