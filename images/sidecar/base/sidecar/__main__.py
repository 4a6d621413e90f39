"""`python3 -m sidecar`: the process of a container, configured by its environment."""

import sys

from sidecar.process import main

sys.exit(main())
