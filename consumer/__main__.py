"""``python -m consumer``."""

import sys

from consumer.service import main

if __name__ == "__main__":
    sys.exit(main())
