"""The record: whole lines, whatever happens to the file, and never at the VPN's cost."""

import os
import resource
import subprocess
from pathlib import Path

import pytest

from exporter.hook.jsonline import encode
from exporter.hook.record import Record
from tests.support.clientenv import CLIENT, SECRETS
from tests.support.hooks import HOOK, NOBODY, PATH, Command, last, lines, public_hook, run, script
from tests.support.needs import need, need_root
from tests.support.openvpn import wait_until


def test_a_start_and_an_end(tmp_path: Path) -> None:
    """Each with what tells the run from any other."""
    record = tmp_path / "record"
    environment = {**PATH, "script_type": "client-connect", "config": "/etc/openvpn/server/udp1194.conf"}
    run(record, "--", script(tmp_path, "sleep 0.2; exit 1"), environment=environment)
    start, end = lines(record)
    assert start.pop("event") == "start"
    assert end.pop("event") == "end"
    duration = end.pop("time") - start.pop("time")
    assert end.pop("script_seconds") == pytest.approx(duration, abs=0.15)
    assert duration >= 0.2
    assert {**start, "result": "exit_status", "exit": 1} == end
    assert start.keys() == {"server", "hook", "pid", "pid_start_ticks", "pid_namespace"}
    assert (start["server"], start["hook"]) == ("udp1194", "client-connect")


def test_names_and_addresses_only_on_request_and_secrets_never(tmp_path: Path) -> None:
    for options, wanted in (([], False), (["--record-client"], True)):
        record = tmp_path / f"record{wanted}"
        environment = {**PATH, **SECRETS, **CLIENT, "script_type": "user-pass-verify"}
        run(record, *options, "--", script(tmp_path, "exit 0"), "hunter2-argument", environment=environment)
        text = record.read_text()
        assert "hunter2" not in text
        assert [value in text for value in ("alice-the-client", "198.51.100.7", "40123", "10.8.0.77")] == [wanted] * 4
        # What names people is not for everybody to read.
        assert record.stat().st_mode & 0o777 == (0o640 if wanted else 0o644)


def test_two_hundred_hooks_at_once(tmp_path: Path) -> None:
    """No line is torn and none is lost."""
    record = tmp_path / "record"
    gate, hold = os.pipe()
    wait = script(tmp_path, "read line; exit $1")
    command = [str(HOOK), "--record", str(record), "--server", "s" * 200, "--", wait]
    hooks = [subprocess.Popen([*command, str(number)], stdin=gate) for number in range(200)]
    os.close(gate)
    wait_until(lambda: record.exists() and record.read_bytes().count(b"\n") == 200, "all have started")
    os.close(hold)  # all scripts see the end of their standard input, and end, at once
    statuses = [hook.wait(60) for hook in hooks]
    assert statuses == list(range(200))
    written = lines(record)
    assert len(written) == 400
    begun = {line["pid"] for line in written if line["event"] == "start"}
    assert begun == {hook.pid for hook in hooks}
    ended = {line["pid"]: line["exit"] for line in written if line["event"] == "end"}
    assert ended == {hook.pid: number for number, hook in enumerate(hooks)}


def test_a_rotated_record_is_made_anew(tmp_path: Path) -> None:
    """The end goes where the record is then."""
    record = tmp_path / "record"
    assert run(record, "--", script(tmp_path, f"mv {record} {record}.1")).stderr == ""
    (start,) = lines(tmp_path / "record.1")
    (end,) = lines(record)
    assert (start["event"], end["event"]) == ("start", "end")


def test_what_nobody_cannot_write_is_told_once_with_the_command_that_mends_it(public: Path) -> None:
    """The script runs all the same, and after the command the record is written."""
    hook = public_hook(public)
    folder = public / "log dir"
    record = folder / "hooks.jsonl"
    body = script(public, "exit 7")

    def as_nobody() -> str:
        done = run(record, "--", body, hook=hook, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
        assert done.returncode == 7
        assert done.stderr.count("\n") <= 1
        return done.stderr

    def mend(told: str, reason: str) -> None:
        assert told.startswith(f"openvpn-mq-hook: cannot record in {record}: {reason}; run: ")
        subprocess.run(told.partition("run: ")[2], shell=True, check=True)  # noqa: S602  # the command as it is told
        assert as_nobody() == ""
        assert [line["event"] for line in lines(record)][-2:] == ["start", "end"]

    mend(as_nobody(), "No such file or directory")
    record.unlink()  # now the folder is there, and root's
    mend(as_nobody(), "Permission denied")
    os.chown(record, 0, 0)
    mend(as_nobody(), "Permission denied")
    folder.chmod(0o700)
    record.unlink()
    mend(as_nobody(), "Permission denied")


def test_root_writes_as_the_owner_of_the_folder(public: Path) -> None:
    """So a file that OpenVPN's first hook makes can be written by the later ones, which run as nobody."""
    need_root()
    folder = public / "log"
    folder.mkdir()
    os.chown(folder, NOBODY, 54321)
    record = folder / "record"
    done = run(record, "--", script(public, "id -u; id -g"))
    assert (done.stderr, done.stdout) == ("", "0\n0\n"), "the script itself keeps root's rights"
    assert (record.stat().st_uid, record.stat().st_gid) == (NOBODY, 54321)
    assert len(lines(record)) == 2


def test_within_openvpns_systemd_unit(public: Path) -> None:
    """As root with no more capabilities than the unit leaves it, and no new privileges."""
    need_root()
    need("setpriv")
    folder = public / "log"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    capabilities = (
        "ipc_lock net_admin net_bind_service net_raw setgid setuid setpcap sys_chroot dac_override audit_write"
    )
    kept = ",".join(f"+{name}" for name in capabilities.split())
    unit = ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set=-all,{kept}"]
    record = folder / "record"
    command: Command = [
        *unit,
        HOOK,
        "--record",
        record,
        "--",
        script(public, "grep -E '^(CapEff|Uid)' /proc/self/status"),
    ]
    done = subprocess.run(command, env=PATH, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "Uid:\t0\t0\t0\t0" in done.stdout
    expected = sum(1 << bit for bit in (1, 6, 7, 8, 10, 12, 13, 14, 18, 29))
    assert f"CapEff:\t{expected:016x}" in done.stdout, "the script has the rights back that the hook laid down"
    assert record.stat().st_uid == NOBODY
    assert [line["event"] for line in lines(record)] == ["start", "end"]


def test_no_link_leads_elsewhere(tmp_path: Path) -> None:
    """A symbolic link in the record's place is not followed."""
    record = tmp_path / "record"
    (tmp_path / "precious").write_text("precious")
    record.symlink_to(tmp_path / "precious")
    done = run(record, "--", script(tmp_path, "exit 0"))
    assert done.returncode == 0
    assert f"rm {record}" in done.stderr
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_fifo_holds_nothing_up(tmp_path: Path) -> None:
    record = tmp_path / "record"
    os.mkfifo(record)
    done = run(record, "--", script(tmp_path, "exit 4"))
    assert done.returncode == 4
    assert "cannot record in" in done.stderr


def test_a_full_disk(public: Path) -> None:
    """Is told, refuses nobody, and leaves lines that can be told apart when there is room again."""
    need_root()
    disk = public / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", disk], check=True)
    try:
        filler, record = disk / "filler", disk / "record"
        filler.write_bytes(b"x" * 4096)
        record.write_bytes(b"#" * 4030 + b"\n")  # 65 bytes are left: a line is torn
        done = run(record, "--", script(public, f"rm {filler}; exit 3"))
        assert done.returncode == 3
        assert done.stderr.count("\n") == 1
        assert "No space left on device; free some space" in done.stderr
        torn, whole = record.read_bytes().splitlines()[1:2], record.read_bytes().splitlines()[2:]
        assert torn[0].startswith(b'{"time":')
        assert [line.partition(b'"event":')[2][:5] for line in whole] == [b'"star', b'"end"'], "the start is not lost"
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("cut", [1, 2, 60, 120])
@pytest.mark.parametrize("full", [False, True])
def test_a_line_that_fits_but_for_its_end_is_there_once(tmp_path: Path, cut: int, *, full: bool) -> None:
    """Even if nothing but the newline is missing: read twice, it would count as two scripts."""
    path = tmp_path / "record"
    record = Record(str(path), 0o644)
    lines = [encode({"time": 1.0, "event": event, "hook": "client-connect"}) for event in ("start", "end", "verdict")]
    # The first line is cut, or the first two are when the first has found no room at all.
    rooms = [0, max(0, len(lines[0]) + len(lines[1]) + 3 - cut)] if full else [max(0, len(lines[0]) + 1 - cut)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for room, line in zip([*rooms, soft, soft], lines, strict=False):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
            record.write(line)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [line for line in path.read_bytes().split(b"\n") if line.endswith(b"}")] == lines


def test_a_device_that_is_full(tmp_path: Path) -> None:
    """Nothing can be written at all, and standard error is closed too: the script's result stands."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", HOOK, "--record", "/dev/full", "--", script(tmp_path, "exit 6")],
        check=False,
    )
    assert done.returncode == 6
    assert "No space left" in run("/dev/full", "--", script(tmp_path, "exit 6")).stderr


def test_no_proc(tmp_path: Path) -> None:
    """In a chroot without /proc the record does without what /proc tells."""
    need_root()
    record = tmp_path / "record"
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc; exec "$@"', "sh"]
    command: Command = [*hidden, HOOK, "--record", record]
    done = subprocess.run([*command, "--", script(tmp_path, "exit 5")], check=False, env={**PATH, "LANG": "C"})
    assert done.returncode == 5
    assert "pid_start_ticks" not in last(record)
