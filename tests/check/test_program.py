"""openvpn-mq-check over real queues and limits: what it prints, and its exit status."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.check import program
from tests.check.conftest import Result, proc_of, run
from tests.support.kernel import make, make_many, set_limit
from tests.support.needs import need
from tests.support.openvpn import wait_until

Check = Callable[..., Result]


def test_the_configuration_of_the_service_is_read_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is one that we may read."""
    file = tmp_path / "openvpn-mq-exporter.yml"
    monkeypatch.setattr(program, "CONFIG_FILE", file)
    assert program.configuration(None) is None
    file.write_text("discovery: {management: true}\n")
    found = program.configuration(None)
    assert found
    assert found.discovery.management


@pytest.fixture
def roomy() -> Iterator[None]:
    """The sysctls of our IPC namespace, put back as they were."""
    files = [Path("/proc/sys/kernel") / name for name in ("msgmnb", "msgmax", "msgmni")]
    before = [file.read_text() for file in files]
    yield
    for file, text in zip(files, before, strict=True):
        file.write_text(text)


def full_by_count() -> int:
    """Make a queue in which ten empty messages are as many as fit; return its msqid."""
    queue = make(0x4F560001)
    set_limit(queue.id, 10)
    for _ in range(10):
        queue.send(b"")
    return int(queue.id)


def test_no_queue(check: Check) -> None:
    result = check()
    assert result.status == 0
    assert "QUEUES  0 of at most" in result.text
    assert "no program uses a message queue here" in result.text
    assert "OPENVPN  none runs here" in result.text
    assert result.text.endswith("OK  nothing is wrong\n")
    assert result.errors == ""


def test_one_full_by_count(check: Check) -> None:  # noqa: ARG001  # for its queues
    """Its bytes are none, and it is full all the same; who waits and who should receive is told."""
    msqid = full_by_count()
    sender = subprocess.Popen([sys.executable, "-c", f"import sysv_ipc; sysv_ipc.MessageQueue({0x4F560001}).send(b'')"])
    try:
        syscall = Path(f"/proc/{sender.pid}/syscall")
        wait_until(lambda: syscall.read_text().split()[0] in ("69", "189"), "it sleeps in msgsnd")
        result = run()  # with the processes of the host, among which the sender is
    finally:
        sender.kill()
        sender.wait()
    assert result.status == 2
    text = " ".join(result.text.split())
    assert "Queue 0x4f560001 is full by count: 10 messages, and no more than 10 fit" in text
    assert "1 sender waits. Nobody has ever received from it: start the program that should." in text
    assert f"ipcs -q -i {msqid}" in result.text
    assert re.search(r"0x4f560001 +█+ +100 % +10 +10 root", result.text)
    assert f"sent by python ({os.getpid()})" in text or f"sent by pytest ({os.getpid()})" in text
    assert "1 waiting to send" in text


def test_full_by_bytes_and_nearly_full(check: Check) -> None:
    """A program that received and still runs is named; one that has ended is to be started again."""
    queue = make(1, b"", b"", b"x" * 96)
    set_limit(queue.id, 100)
    queue.receive()
    result = check()
    assert result.status == 2
    text = " ".join(result.text.split())
    assert "Queue 0x00000001 is 96 % full: 96 of 100 bytes, 2 messages. See why " in text
    assert f"(pid {os.getpid()}), which received from it last, does not keep up." in text
    assert check("--critical=97").status == 1
    receiver = subprocess.Popen([sys.executable, "-c", "import sysv_ipc; sysv_ipc.MessageQueue(1).receive()"])
    assert receiver.wait() == 0
    ended = f"The program that received from it last (pid {receiver.pid}) has ended: start it again."
    assert ended in " ".join(check().text.split())


def test_an_old_limit_and_its_remedy(check: Check, roomy: None) -> None:  # noqa: ARG001
    """The commands that it prints mend it."""
    make(0x17)
    make(None)
    Path("/proc/sys/kernel/msgmnb").write_text("65536")
    result = check()
    assert result.status == 1
    text = " ".join(result.text.split())
    assert "These queues keep their old limit of 16384 bytes until they are made again" in text
    commands = [line.strip() for line in result.text.splitlines() if line.strip().startswith("ipcrm ")]
    assert len(commands) == 2
    assert "ipcrm -Q 0x00000017" in commands
    for command in commands:
        subprocess.run(command.split(), check=True)
    make(0x17)
    assert check().status == 0


def test_names_of_the_configuration(check: Check, tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text("queues: {names: [{name: status, key: 0x4f560001}]}\n")
    full_by_count()
    result = check(f"--config.file={config}")
    assert "Queue status is full" in result.text
    assert "ipcrm -Q 0x4f560001" in result.text


def test_sysctl_files_give_what_the_profile_wants(check: Check, roomy: None, tmp_path: Path) -> None:  # noqa: ARG001
    """The very commands of the finding, but for the file's place and the namespace that they reach."""
    need("sysctl")
    before = check("--profile", "large")
    assert before.status == 1
    assert "kernel.msgmnb is 16384, and should be at least 65536" in " ".join(before.text.split())
    assert "openvpn-mq-check --sysctl large > /etc/sysctl.d/60-openvpn-mq.conf" in before.text
    file = tmp_path / "60-openvpn-mq.conf"
    file.write_text(run("--sysctl", "large").text)
    subprocess.run(["sysctl", "-q", "-p", str(file)], check=True)
    assert check("--profile", "large").status == 0
    file.write_text(run("--sysctl", "small").text)
    assert [line for line in file.read_text().splitlines() if not line.startswith("#")] == [
        "kernel.msgmnb = 16384",
        "kernel.msgmax = 8192",
    ]


def test_nearly_all_queues_used_up(check: Check, roomy: None) -> None:  # noqa: ARG001
    Path("/proc/sys/kernel/msgmni").write_text("10")
    make_many(9)
    result = check()
    assert result.status == 1
    assert "There are 9 queues, and kernel.msgmni allows 10" in " ".join(result.text.split())
    make_many(1, 0x99)
    assert check().status == 2


def test_thresholds(check: Check) -> None:
    make(1, *[b"x" * 2048] * 4)  # half of 16384 bytes
    runs = [check(), check("--warning=40"), check("--warning=30%", "--critical=45")]
    assert [one.status for one in runs] == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--warning=x"], "not a percentage"),
        (["--critical=101"], "not a percentage"),
        (["--warning=90", "--critical=80"], "--warning is above --critical"),
        (["--as=no-such-user"], "there is no such user"),
        (["--watch=0"], "not a number of seconds"),
        (["--sysctl=huge"], "invalid choice"),
        (["--config.file=/none.yml"], "cannot read the configuration"),
        (["--unknown"], "--help"),
    ],
)
def test_a_wrong_command_line_is_unknown(options: list[str], complaint: str) -> None:
    """Not 2, as programs else end: for a monitoring system that would be critical."""
    result = run(*options)
    assert (result.status, result.text) == (3, "")
    assert complaint in result.errors
    assert result.errors.count("\n") == 1


def test_hidden_processes_are_unknown(check: Check, tmp_path: Path) -> None:  # noqa: ARG001
    procfs = proc_of(tmp_path / "hidden")
    (procfs / "1").unlink()
    result = run(f"--path.procfs={procfs}")
    assert result.status == 3
    assert "hidepid" in result.text


def test_only_the_fullest_are_shown_unless_all_are_wanted(check: Check) -> None:
    make_many(30)
    queue = make(0xAAAA, b"x")
    result = check()
    assert "and 11 more, less full (--all shows them)" in result.text
    assert "0x0000aaaa" in result.text
    assert check("--all").text.count("nothing sent yet") == 30
    queue.remove()


def test_sixty_columns(check: Check) -> None:
    """Everything fits, but for commands, which are to be pasted."""
    full_by_count()
    make(None, *[b"x" * 2000] * 3)
    for columns in ("60", "10"):
        lines = check(env={"COLUMNS": columns}).text.splitlines()
        assert max(len(line) for line in lines if not line.startswith("       ")) <= 60
        assert any(len(line) > 50 for line in lines)


def test_a_pipe_gets_no_colour_and_ascii_if_it_knows_no_more(check: Check) -> None:
    full_by_count()
    assert "\x1b" not in check().text
    plain = check(env={"PYTHONIOENCODING": "ascii:replace"}).text
    assert "####" in plain
    assert "█" not in plain


def test_a_closed_pipe_is_no_crash(check: Check, tmp_path: Path) -> None:  # noqa: ARG001
    make_many(2000)
    script = f"{sys.executable} -m exporter.check --all --path.procfs={tmp_path}/empty-proc | head -1"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("QUEUES  2000")
    assert done.stderr == ""


def test_a_full_disk_is_told(check: Check, tmp_path: Path) -> None:  # noqa: ARG001
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "exporter.check", f"--path.procfs={tmp_path}/empty-proc"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr == "openvpn-mq-check: [Errno 28] No space left on device\n"


def on_terminal(*options: str, env: dict[str, str] | None = None, looks: int = 0) -> tuple[str, int]:
    """Run it on a terminal; after so many looks, if given, press Ctrl-C. Returns what it showed and its exit status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(env or {})
        os.execv(sys.executable, [sys.executable, "-m", "exporter.check", *options])  # noqa: S606
    shown = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not data:
            break
        shown += data
        if looks and shown.count(b"QUEUES") >= looks:
            os.kill(pid, signal.SIGINT)
            looks = 0
    os.close(terminal)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_terminal_gets_colour_unless_it_is_not_wanted(check: Check, tmp_path: Path) -> None:  # noqa: ARG001
    full_by_count()
    procfs = f"--path.procfs={tmp_path}/empty-proc"
    assert "\x1b[31mCRITICAL\x1b[0m" in on_terminal(procfs)[0]
    assert "\x1b" not in on_terminal(procfs, env={"NO_COLOR": "1"})[0]


def test_watch_shows_it_again_until_it_is_interrupted(check: Check, tmp_path: Path) -> None:  # noqa: ARG001
    shown, status = on_terminal(f"--path.procfs={tmp_path}/empty-proc", "--watch", "0.2", looks=3)
    assert shown.count("QUEUES  0 of at most") >= 3
    assert "Traceback" not in shown
    assert status == 130


def test_names_of_programs_cannot_steer_the_terminal(check: Check, tmp_path: Path) -> None:  # noqa: ARG001
    """Anybody may send to a queue of mode 0622 and call itself what it likes."""
    evil = "\x1b[2J\nx"
    script = "import sys, sysv_ipc, time; open('/proc/self/comm', 'w').write(sys.argv[1])\n"
    script += "sysv_ipc.MessageQueue(7).send(b'x'); print(flush=True); time.sleep(60)"
    make(7)
    sender = subprocess.Popen([sys.executable, "-c", script, evil], stdout=subprocess.PIPE)
    try:
        assert sender.stdout
        sender.stdout.readline()
        result = run()
        assert f"sent by ?[2J?x ({sender.pid})" in result.text
        assert "\x1b" not in result.text
        assert "\x1b" not in run("--format=plugin").text
    finally:
        sender.kill()
        sender.communicate()


PERFORMANCE = re.compile(r"('[^'=]+'|[^ '=]+)=([0-9.]+)(%?)((;[0-9.]*){0,4})")


def test_plugin_output(check: Check) -> None:
    """One line: status, text, then data in the form of the monitoring plugins' guidelines."""
    assert check("--format=plugin").text == f"OPENVPN-MQ OK - 0 queues | queues=0;;;0;{msgmni()}\n"
    full_by_count()
    queue = make(None, *[b"x" * 2048] * 4)
    result = check("--format=plugin", "--warning=70")
    assert result.status == 2
    text, _, data = result.text.partition(" | ")
    assert text.startswith("OPENVPN-MQ CRITICAL - Queue 0x4f560001 is full by count: 10 messages")
    assert result.text.count("\n") == 1
    assert PERFORMANCE.sub("", data).strip() == ""
    values = {match[1].strip("'"): match[0].partition("=")[2] for match in PERFORMANCE.finditer(data)}
    assert values == {
        "queues": f"2;;;0;{msgmni()}",
        "0x4f560001 fill": "100.00%;70;95;0;100",
        "0x4f560001 messages": "10",
        f"private:{queue.id} fill": "50.00%;70;95;0;100",
        f"private:{queue.id} messages": "4",
    }


def test_json(check: Check) -> None:
    """Every queue, with what the kernel has of it; null for what is not known."""
    msqid = full_by_count()
    make_many(30)
    document = check("--format=json").json()
    assert (document["status"], document["exit_status"], document["queues"]["total"]) == ("CRITICAL", 2, 31)
    assert len(document["queues"]["shown"]) == 31
    (status,) = [one for one in document["queues"]["shown"] if one["msqid"] == msqid]
    assert status["last_sender"]["pid"] == os.getpid()
    assert status["last_receiver"] is None
    assert status["last_receive"] is None
    assert abs(status["last_send"] - time.time()) < 60
    assert [status[key] for key in ("key", "mode", "owner")] == ["0x4f560001", "0600", "root"]
    assert [status[key] for key in ("bytes", "messages", "limit_bytes", "fill")] == [0, 10, 10, 1.0]
    assert document["limits"]["current"]["msgmni"] == msgmni()
    assert document["findings"][0]["commands"] == [f"ipcs -q -i {msqid}"]
    assert document["openvpn"]["instances"] == []


def msgmni() -> int:
    """The sysctl of our namespace."""
    return int(Path("/proc/sys/kernel/msgmni").read_text())


def test_it_never_sends_receives_makes_or_changes(check: Check, tmp_path: Path) -> None:  # noqa: ARG001
    """Of the calls for queues only msgctl's readings are made."""
    need("strace")
    full_by_count()
    trace = tmp_path / "trace"
    command = [sys.executable, "-m", "exporter.check", f"--path.procfs={tmp_path}/empty-proc"]
    subprocess.run(
        ["strace", "-f", "-o", str(trace), "-e", "trace=msgsnd,msgrcv,msgget,msgctl", *command],
        check=False, capture_output=True,
    )  # fmt: skip
    calls = [re.sub(r"^\d+ +", "", line) for line in trace.read_text().splitlines() if "msg" in line]
    assert len(calls) >= 2
    assert [call for call in calls if not re.match(r"msgctl\(\d+, (MSG_INFO|MSG_STAT_ANY|0xd|MSG_STAT)\b", call)] == []


@pytest.mark.slow
def test_thirty_two_thousand_queues(check: Check, roomy: None, tmp_path: Path) -> None:  # noqa: ARG001
    """At most the time of ipcs -q, as CPU time: the best of twelve runs each, taken in turn."""
    Path("/proc/sys/kernel/msgmni").write_text("32000")
    make_many(32000)
    best = {"ipcs": 9.0, "check": 9.0}
    commands = {
        "ipcs": ["ipcs", "-q"],
        "check": [sys.executable, "-m", "exporter.check", f"--path.procfs={tmp_path}/empty-proc"],
    }
    for _ in range(12):
        for name, command in commands.items():
            before = os.times()
            done = subprocess.run(command, capture_output=True, check=False)
            after = os.times()
            assert len(done.stdout) > 500
            spent = after.children_user + after.children_system - before.children_user - before.children_system
            best[name] = min(best[name], spent)
    assert best["check"] <= best["ipcs"] + 0.01, best  # the clock of CPU time ticks a hundred times a second
