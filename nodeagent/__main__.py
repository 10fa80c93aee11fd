"""Entry point of the program `lmcache-node-agent`."""

import sys

from nodeagent.cli import main

if __name__ == "__main__":
    sys.exit(main())
