"""`python -m exporter.check`, the same as openvpn-mq-check."""

import sys

from exporter.check.program import main

sys.exit(main())
