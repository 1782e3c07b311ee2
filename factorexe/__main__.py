"""``python -m factorexe`` is the command ``factorexe``."""

import sys

from factorexe.cli import main

sys.exit(main())
