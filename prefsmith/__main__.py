"""`python -m prefsmith` is `prefsmith`."""

import sys

from prefsmith.cli import main

sys.exit(main())
