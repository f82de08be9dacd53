"""``python -m ingest``."""

import sys

from ingest.service import main

if __name__ == "__main__":
    sys.exit(main())
