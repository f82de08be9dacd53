"""What is said of an exception that a handler raised, whatever the exception does."""

from __future__ import annotations

from shared.errors import Reject, describe_error
from shared.handlers.python import judge_exception
from shared.model import Rejected, Retry

SAYS_NOTHING = "its text cannot be told"


class RaisesItself(Exception):
    """One whose text is asked for in vain."""

    def __str__(self) -> str:
        raise self


class HasNoText(Reject):
    """A mistake as people make it."""

    def __str__(self) -> str:
        return self.args[7]  # type: ignore[no-any-return]


def test_an_error_is_its_class_and_text() -> None:
    """Both, as a traceback ends."""
    assert describe_error(ValueError("no stock")) == "ValueError: no stock"


def test_an_exception_without_a_text_still_means_what_it_means() -> None:
    """A mistake in ``__str__`` makes no retry of a reject."""
    assert judge_exception(RaisesItself()) == Retry(
        error=f"RaisesItself: {SAYS_NOTHING} (RaisesItself)"
    )
    assert judge_exception(HasNoText()) == Rejected(error=f"HasNoText: {SAYS_NOTHING} (IndexError)")
