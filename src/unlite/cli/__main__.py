"""``python -m unlite.cli``, the same as ``unlite``."""

import sys

from unlite.cli import main

sys.exit(main())
