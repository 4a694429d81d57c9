"""The command line: `python3 -m textstats STATISTIC FILE`."""

import sys

from textstats.words import count_characters

STATISTICS = {
    "characters": count_characters,
}


def main(arguments):
    """Print one statistic of one file; the exit code."""
    if len(arguments) != 2 or arguments[0] not in STATISTICS:
        print(f"usage: textstats {'|'.join(STATISTICS)} FILE", file=sys.stderr)
        return 2
    with open(arguments[1], encoding="utf-8") as file:
        print(STATISTICS[arguments[0]](file.read()))
    return 0
