"""The program openvpn-mq-demo: plays the story at its own pace until it is told to end."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import exporter
from exporter.demo.site import DemoQueue, Site
from exporter.demo.story import FULL, ROUTING, USUAL, QueueStory, ScriptStory, scripts
from exporter.errors import BadInputError, RefusedError
from exporter.signals import Signals, handle_signals

PROGRAM: Final = "openvpn-mq-demo"
_SERVER: Final = "demo"


def command_line() -> argparse.ArgumentParser:
    """Return the parser of its flags."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Plays the traffic of a made-up site on four message queues of its own, and removes them at the "
        "end: to look at pages and dashboards, or to try the way from a full queue to your telephone.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--full", action="store_true",
        help="keep the queue routing full until the end, instead of five minutes in ten",
    )  # fmt: skip  # one line of arguments and one of help
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {exporter.__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    options = command_line().parse_args(argv)
    stories = FULL if options.full else USUAL
    try:
        hook = _hook()
        with (
            handle_signals([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]) as signals,
            tempfile.TemporaryDirectory(prefix=f"{PROGRAM}-") as folder,
            Site(stories) as site,
        ):
            config = Path(folder) / "demo.yml"
            record = Path(folder) / "hooks.jsonl"
            config.write_text(_config(stories, record))
            _say(f"{len(site.queues)} queues are there until you press Ctrl-C. To see them:")
            _say(f"    openvpn-mq-exporter --config.file={config}")
            _play(site, hook, record, signals)
    except (BadInputError, RefusedError) as error:
        sys.stderr.write(f"{PROGRAM}: {error}\n")
        return error.exit_status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain when it closes it
    return 0


def _config(stories: Sequence[QueueStory], record: Path) -> str:
    names = "".join(f"    - {{name: {story.name}, key: 0x{story.key:08x}}}\n" for story in stories)
    return f"queues:\n  names:\n{names}servers:\n  - {{name: {_SERVER}, hooks: {record}}}\n"


def _play(site: Site, hook: str, record: Path, signals: Signals) -> None:
    start = time.monotonic()
    second = 0
    full: set[str] = set()
    while True:
        for queue in site.queues:
            queue.send(second)
        for script in scripts(second):
            _run(script, hook, record)
        for queue in site.queues:
            _tell(queue, full)
        # The daemons read half a second later, so that there is something to see in between.
        if signals.next(max(0.0, start + second + 0.5 - time.monotonic())) is not None:
            return
        for queue in site.queues:
            queue.read(second)
        second += 1
        if signals.next(max(0.0, start + second - time.monotonic())) is not None:
            return


def _tell(queue: DemoQueue, known: set[str]) -> None:
    name, now = queue.story.name, time.strftime("%H:%M:%S")
    if queue.is_full and name not in known:
        _say(f"{now} queue {name} is full: its daemon does not read")
        known.add(name)
    elif not queue.is_full and name in known:
        _say(f"{now} queue {name} is read again; {queue.refused} messages have not fitted so far")
        known.remove(name)


def _hook() -> str:
    own = Path(sys.argv[0]).parent / "openvpn-mq-hook"
    found = str(own) if own.exists() else shutil.which("openvpn-mq-hook")
    if found is None:
        raise BadInputError("openvpn-mq-hook, which belongs to it, is not installed beside it")
    return found


def _run(script: ScriptStory, hook: str, record: Path) -> None:
    """Run a script behind the hook, as OpenVPN would."""
    options = [f"--record={record}", f"--server={_SERVER}", f"--queue=0x{ROUTING.key:08x}"]
    subprocess.run(  # noqa: S603  # a script of the story's
        [hook, *options, "--", "/bin/sh", "-c", f"exit {script.status}"],
        env={"PATH": os.defpath, "script_type": script.hook, "common_name": "client", "trusted_ip": "192.0.2.1"},
        check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
