"""Entry point of the program `lmcache-gateway`."""

import sys

from nodeagent.gateway.cli import main

if __name__ == "__main__":
    sys.exit(main())
