import sys

from textstats.cli import main

sys.exit(main(sys.argv[1:]))
