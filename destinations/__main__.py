"""``python -m destinations``: the command ``destinations``."""

import sys

from destinations.cli import main

sys.exit(main())
