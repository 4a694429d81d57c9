"""`python -m tests.long`: every test marked long, which the normal suite runs in a short form or leaves out.

Arguments go to pytest: `python -m tests.long tests/chaos -k kills -s`.
"""

import sys

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-n", "0", "-m", "long", *sys.argv[1:]]))
