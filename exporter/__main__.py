"""`python -m exporter`: the same as openvpn-mq-exporter."""

import sys

from exporter.cli import main

sys.exit(main())
