"""`python -m jaxloss`, the same as the command `jaxloss`."""

import sys

from jaxloss.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
