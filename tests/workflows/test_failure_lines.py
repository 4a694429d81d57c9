"""What the log of a process says of an activity that failed."""

import logging

import pytest
from temporalio.exceptions import ApplicationError

from activities.failure_lines import FailureLines

ABOUT = {"activity_type": "prepare_run", "workflow_id": "first", "attempt": 2}


def logged(caplog: pytest.LogCaptureFixture, error: Exception) -> str:
    """A failure as the SDK logs it."""
    logger = logging.getLogger("tests.failures")
    logger.addFilter(each := FailureLines())
    extra = {"temporal_activity": ABOUT}
    logger.warning("Completing activity as failed (%s)", ABOUT, exc_info=(type(error), error, None), extra=extra)
    logger.removeFilter(each)
    return caplog.text


def test_a_failure_that_was_expected_is_one_line_with_its_remedy(caplog: pytest.LogCaptureFixture) -> None:
    said = logged(caplog, ApplicationError("repo: /x is no repository\nName another.", type="UserError"))
    assert said.count("\n") == 1
    assert said.endswith("prepare_run of first, try 2: UserError: repo: /x is no repository Name another.\n")


@pytest.mark.parametrize("error", [ValueError("seven"), ApplicationError("KeyError: 7", type="KeyError")])
def test_a_bug_keeps_its_traceback(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    said = logged(caplog, error)
    assert "Completing activity as failed" in said
    assert str(error) in said.splitlines()[-1]
