"""A host with everything on, in trouble and not, and the Prometheus that scrapes it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sysv_ipc

from tests.support.hooks import HOOK, lines
from tests.support.kernel import make, set_limit
from tests.support.messages import in_c, with_tracefs
from tests.support.needs import missing, need, need_root, remove_all_queues
from tests.support.openvpn import Lab, wait_until
from tests.support.program import Program, running
from tests.support.prometheus import prometheus
from tests.support.releases import Release
from tests.support.rulebook import write_fast
from tests.support.site import Site
from tests.support.traced import Traced

KEY = 0x4F560001


@contextmanager
def flowing(queue: sysv_ipc.MessageQueue) -> Iterator[None]:
    """Messages go through the queue until the block is left."""
    stop = threading.Event()

    def flow() -> None:
        while not stop.wait(0.1):
            queue.send(b"message")
            queue.send(b"message")
            queue.receive()
            queue.receive()

    thread = threading.Thread(target=flow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def wrapped(lab: Lab, option: str, body: str) -> str:
    """The line of OpenVPN's configuration that runs a script under the hook."""
    script = lab.script(option, body)
    return f'{option} "{HOOK} --record {lab.folder}/hooks.jsonl --server vpn --queue {KEY:#x} -- {script}"'


@contextmanager
def busy_site(folder: Path, release: Release, *flags: str) -> Iterator[tuple[Site, Program]]:
    """Run everything: queues that flow, that are full and waited for, an OpenVPN whose scripts succeed and fail.

    `flags` are the exporter's, beside those that it needs.
    """
    need_root()
    need("bpftrace", "openvpn")
    if not Path(HOOK).exists():
        missing("openvpn-mq-hook is not installed; run: pip install -e '.[dev]'")
    remove_all_queues()
    with Lab() as lab, ExitStack() as stack:
        updates, through, full, idle = (make(key) for key in range(KEY, KEY + 4))
        set_limit(full.id, 10)
        record = lab.folder / "hooks.jsonl"
        record.touch()
        openvpn = lab.server(
            # Long enough to be seen on a busy machine too: of two scripts with the same wrapper, one that is gone at
            # once is known by neither's name.
            wrapped(
                lab, "client-connect", 'echo "Message queue full"; sleep 0.3; case $common_name in fail*) exit 3;; esac'
            ),
            wrapped(lab, "client-disconnect", "exit 0"),
        )
        config = folder / "exporter.yml"
        config.write_text(
            json.dumps(  # which is YAML
                {
                    "queues": {"names": [{"name": "status", "key": KEY}]},
                    "servers": [
                        {
                            "name": "vpn",
                            "log": str(openvpn.log),
                            "hooks": str(record),
                            "management": f"unix:{openvpn.management}",
                            "management_interval": "1s",
                            "status": str(openvpn.status),
                            "status_interval": "1s",
                        }
                    ],
                    "log_rules": [{"name": "started", "match": "Initiation with"}],
                }
            )
        )
        program = stack.enter_context(
            running("--collector.trace", f"--config.file={config}", *flags, before=with_tracefs(), cwd=folder)
        )
        Traced(program)
        rules = write_fast(folder)
        server = stack.enter_context(prometheus(folder, program.addresses(), release=release, rule_files=rules))
        server.wait_for("openvpn_management_up == 1")
        begin = time.time()
        stack.enter_context(flowing(through))
        for load in (in_c(full.id, "block", 12, 0), in_c(idle.id, "take", 1, 0)):
            stack.callback(load.gone)
            load.asleep()
        in_c(full.id, "nowait", 3, 0).truth()
        lab.client("alice").wait_connected()
        for runs in ("openvpn_script_runs_total", "openvpn_hook_runs_total"):  # rates need a value to start from
            server.wait_for(f'sum({runs}{{hook="client-connect"}}) >= 1')
        lab.client("bob").wait_connected()
        lab.client("fail").wait_refused()
        wait_until(lambda: sum(line["event"] == "end" for line in lines(record)) >= 3, "all scripts are recorded")
        updates.receive()
        server.wait_for('sum(openvpn_script_failures_total{hook="client-connect"}) >= 1')
        server.wait_for("sum(openvpn_hook_failures_total) >= 1")
        server.wait_for("sum(openvpn_server_connected_clients) >= 1")
        server.wait_for('sum(increase(sysv_msg_queue_send_failures_total{errno="EAGAIN"}[1m])) > 0')
        server.wait_for("count_over_time(openvpn_management_up[1m]) > 5")
        server.wait_for("count_over_time(instance:sysv_msg_queue_sends_refused:increase10m[1m]) > 2")
        server.wait_for("count_over_time(instance_server_hook:openvpn_scripts_failed:increase10m[1m]) > 2")
        choices = {
            "cluster": "",
            "job": "openvpn-mq",
            "instance": program.addresses()[0],
            "queue": "status",
            "server": "vpn",
        }
        yield Site(server, begin, choices), program
    remove_all_queues()
