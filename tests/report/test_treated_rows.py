"""What an audit changed is said by the report and by `check`."""

from prefsmith.report.run import RecordedRun
from prefsmith.report.tables import treated_rows

AUDIT = {"path": "audit.yaml", "left_out": 8, "weighed": 3, "left_out_by": {"x": 8}, "weighed_by": {"y": 3}}


def test_rows_that_an_audit_changed_are_in_the_report():
    run = object.__new__(RecordedRun)  # its other parts are not looked at
    object.__setattr__(run, "data", {"train": {"rows": 200, "rejected": 0, "audit": AUDIT}, "eval": {"rows": 9}})
    told = [(each.side, each.what, each.rows, each.of) for each in treated_rows(run)]
    assert told == [
        ("training file", "left out by the audit", 8, 200),
        ("training file", "weighed anew by the audit", 3, 200),
    ]
