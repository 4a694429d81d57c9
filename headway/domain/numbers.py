"""Whole numbers in the environment, with one message for each that is wrong."""

from collections.abc import Mapping

from headway.domain.errors import UserError

MOST_DIGITS = 18
"""Digits of the largest number; Python refuses to read thousands of them."""


def whole_number(env: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    """The number that a variable holds; the default where it is unset or blank.

    Raises:
        UserError: It is no whole number, or below `least`.
    """
    text = env.get(name, "").strip()
    if not text:
        return default
    digits = text.replace("_", "")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= MOST_DIGITS) or int(digits) < least:
        raise wrong_number(name, text, least, default)
    return int(digits)


def wrong_number(name: str, text: str, least: int, default: object) -> UserError:
    """The error for a text that is no whole number of at least `least`."""
    return UserError(
        f"{name} must be an integer >= {least} (got '{text[:80]}').",
        f"Set it to such a number, or unset it for the default ({default}).",
    )
