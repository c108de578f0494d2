"""Records bench/fleet.prom anew: what the exporter serves with every collector on, beside an OpenVPN that is in use.

    sudo .venv/bin/python -m bench.fleet_page

Runs the real things that the tests of the dashboards run, in namespaces of their own, so it needs root and what
`make tools` installs. To be run when metrics have come, gone or changed.
"""

import re
import tempfile
from pathlib import Path

from bench.fleet_hosts import PAGE
from tests.support.busy import busy_site
from tests.support.needs import leave_ipc_namespace
from tests.support.releases import OLD


def main() -> None:
    """Write the page."""
    leave_ipc_namespace()
    with tempfile.TemporaryDirectory() as folder, busy_site(Path(folder), OLD, "--openvpn.discovery") as (_, program):
        page = re.sub(r'config="[^"]*/', 'config="/etc/openvpn/server/', program.page())
    PAGE.write_text(page)
    print(f"{PAGE}: {len(page.splitlines())} lines")


if __name__ == "__main__":
    main()
