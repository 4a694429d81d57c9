"""Failures of activities in the log of a process: one line for an expected one, a traceback for a bug."""

import logging

from temporalio.exceptions import ApplicationError

from headway.domain.printable import one_line

EXPECTED = frozenset({"UserError", "TransientError", "LeaseLost", "Shortage"})
"""Types of errors that `told_to_temporal` gives to failures which are no fault of this program."""


class FailureLines(logging.Filter):
    """Makes one line of an expected failure: its stack names a place in the code, and no remedy."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true: no record is dropped."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ApplicationError) and error.type in EXPECTED:
            about = getattr(record, "temporal_activity", {})
            what = f"{about.get('activity_type', 'an activity')} of {about.get('workflow_id', 'a workflow')}"
            record.msg = f"{what}, try {about.get('attempt', 1)}: {error.type}: {one_line(error.message)}"
            record.args, record.exc_info, record.exc_text = (), None, None
        return True


def tell_failures() -> None:
    """Apply it to the SDK's log of activities in this process."""
    logging.getLogger("temporalio.activity").addFilter(FailureLines())
