"""What docs/losing-messages.md tells a reader to ask finds the queue that it is meant to find."""

import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from exporter.trace.bpftrace import PROGRAM
from tests.support.kernel import make, set_limit
from tests.support.markdown import blocks
from tests.support.messages import in_c, with_tracefs
from tests.support.needs import need, need_root
from tests.support.program import running
from tests.support.prometheus import prometheus
from tests.support.traced import Traced, until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "losing-messages.md").read_text()


@pytest.mark.xdist_group("bpftrace")
@pytest.mark.usefixtures("queues")
def test_queries(tmp_path: Path) -> None:
    """One queue that drops, one that blocks, one that nobody receives from, one where messages lie for a while."""
    need_root()
    need("bpftrace", "prometheus")
    drops, share, blocked, slow, orphan, lying = blocks(PAGE, "promql")
    rules = yaml.safe_load((ROOT / "dashboards" / "rules" / "recording.yml").read_text())
    recorded = {rule["record"]: f"({rule['expr']})" for group in rules["groups"] for rule in group["rules"]}
    # The server of this test evaluates no rules, so one that reads another is written out.
    stay = re.sub("|".join(map(re.escape, recorded)), lambda name: recorded[name[0]], recorded[lying.strip()])
    with (
        ExitStack() as stack,
        running("--collector.trace", before=with_tracefs()) as program,
        prometheus(tmp_path, program.addresses()) as server,
    ):
        Traced(program)
        dropping, blocking, lonely, busy = (make(key) for key in range(1, 5))
        for queue in (dropping, blocking, busy):
            set_limit(queue.id, 10)
        load = in_c(blocking.id, "block", 12, 0)
        stack.callback(load.gone)
        load.asleep()
        server.wait_for('sysv_msg_queue_send_failures_total{queue="0x00000001"} == 0')
        in_c(dropping.id, "nowait", 30, 0).truth()
        in_c(lonely.id, "nowait", 1, 0).truth()
        in_c(lonely.id, "nowait", 1, 0).truth()
        in_c(lonely.id, "take", 1, 0).truth()
        server.wait_for('sysv_msg_queue_received_messages_total{queue="0x00000004"} == 0')
        sender = in_c(busy.id, "block", 30, 0)
        in_c(busy.id, "take", 25, 0).truth()
        sender.truth()

        def finds(query: str, *queues: str) -> None:
            until(lambda: {series["metric"]["queue"] for series in server.query(query)} == set(queues), query)

        finds(drops, "0x00000001")
        finds(f"({share}) > 0", "0x00000001")
        finds(blocked, "0x00000002")
        server.wait_for(f'({slow}) >= 0 and on (queue) sysv_msg_queue_bytes{{queue="0x00000004"}}')
        finds(orphan, "0x00000003", "0x00000004")  # five of its messages are left, and who took is gone
        server.wait_for(f'({stay}) > 0 and on (queue) sysv_msg_queue_bytes{{queue="0x00000004"}}')
        program.stop(signal.SIGTERM)


def test_the_program_is_printed_as_the_page_says(tmp_path: Path) -> None:
    """The command that installs queues.bt, in any folder."""
    (words,) = re.findall(r"^openvpn-mq-exporter (--trace.print-program) >", PAGE, re.MULTILINE)
    program = Path(sys.executable).with_name("openvpn-mq-exporter")
    printed = subprocess.run([program, words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (printed.stdout, printed.stderr, printed.returncode) == (PROGRAM.read_text(), "", 0)
