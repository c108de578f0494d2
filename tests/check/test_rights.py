"""Who may read what of a real OpenVPN, and the commands that change it."""

import os
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.check.grant import DROP_IN
from exporter.check.remedies import TMPFILES, remedies
from exporter.check.rights import Identity, by_modes, identity, try_as
from exporter.discovery.access import Access, Source
from tests.check.conftest import proc_of, run
from tests.support.folders import open_folder
from tests.support.needs import NOBODY, need, need_nobody, need_root
from tests.support.openvpn import Lab, OpenVpn, wait_until

RESTART = "systemctl restart openvpn-mq-exporter"
NOBODYS = Identity("nobody", NOBODY, NOBODY, (NOBODY,))


@pytest.fixture
def shared() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture
def server(lab: Lab) -> OpenVpn:
    """A server as distributions run it: its status file in a folder of root's, its configuration root's alone."""
    folder = lab.folder / "run"
    folder.mkdir()
    folder.chmod(0o710)
    script = lab.script("openvpn-mq-hook", "exit 0")
    server = lab.server(
        f"status {folder}/status.log 1",
        "max-clients 30",
        f'client-connect "{script} --record /var/log/none.jsonl -- /bin/true"',
        "client-disconnect /bin/true",
        name="office",
    )
    wait_until((folder / "status.log").exists, "the status file is there")
    (folder / "status.log").chmod(0o600)
    server.config.chmod(0o600)
    server.log.chmod(0o644)
    return server


def access(document: dict[str, object]) -> dict[str, str]:
    """What the document says of each source of the only instance."""
    (instance,) = document["openvpn"]["instances"]  # type: ignore[index]
    return {source["kind"]: source["access"] for source in instance["sources"]}


def test_an_unprivileged_user_and_the_commands_that_help(server: OpenVpn, tmp_path: Path) -> None:
    """Denied before, readable after; root reads everything, and the log was open all along."""
    need_nobody()
    procfs = f"--path.procfs={proc_of(tmp_path / 'proc', server.process.pid)}"
    before = run(procfs, "--as=nobody", "--format=json")
    assert before.status == 1
    assert access(before.json()) == {
        "config": "denied", "log": "ok", "status": "denied", "management": "ok", "hooks": "missing",
    } | {"certificate": access(before.json())["certificate"]}  # fmt: skip
    text = run(procfs, "--as=nobody", env={"COLUMNS": "200"}).text
    assert "User nobody cannot read everything of OpenVPN office: config" in " ".join(text.split())
    (finding,) = [one for one in before.json()["findings"] if "cannot read" in one["text"]]
    for command in finding["commands"]:
        assert command in text
        subprocess.run(["sh", "-ec", command], check=True)
    after = run(procfs, "--as=nobody", "--format=json")
    assert set(access(after.json()).values()) == {"ok", "missing"}
    assert "scripts: client-connect (in openvpn-mq-hook), client-disconnect" in text
    scripts = after.json()["openvpn"]["instances"][0]["scripts"]
    assert [(one["hook"], one["record"]) for one in scripts] == [
        ("client-connect", "/var/log/none.jsonl"),
        ("client-disconnect", None),
    ]
    assert after.json()["openvpn"]["instances"][0]["max_clients"] == 30
    assert run(procfs, "--as=root", "--format=json").json()["openvpn"]["instances"][0]["mode"] == "server"


def test_without_root_it_says_what_it_cannot_know(server: OpenVpn, shared: Path) -> None:
    """As nobody itself: its own rights are tried; those of others are judged by what can be seen."""
    need_nobody()
    procfs = proc_of(shared / "proc", server.process.pid)
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all"]
    program = [sys.executable, "-m", "exporter.check", f"--path.procfs={procfs}"]
    done = subprocess.run([*as_nobody, *program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ""
    assert "as far as user nobody can read it" in done.stdout
    assert "config      denied" in done.stdout


def test_the_exporter_that_runs_is_judged_as_it_runs(shared: Path, tmp_path: Path) -> None:
    """With CAP_DAC_READ_SEARCH its user reads what the modes deny to it."""
    need_nobody()
    program = shared / "openvpn-mq-exporter"
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    program.chmod(0o755)
    closed = shared / "closed"
    closed.write_text("x")
    closed.chmod(0o600)
    source = Source("config", str(closed), closed)
    ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    verdicts = {}
    for given_rights in ([], rights):
        process = subprocess.Popen(["setpriv", *ids, *given_rights, str(program)])
        try:
            comm = Path(f"/proc/{process.pid}/comm")
            wait_until(lambda: comm.read_text() == "openvpn-mq-expo\n", "it runs")  # noqa: B023  # within the turn
            who = identity("nobody", proc_of(tmp_path / f"proc{len(given_rights)}", process.pid))
            assert who.service == process.pid
            verdicts[len(given_rights)] = try_as(who, [source])[0].verdict
        finally:
            process.kill()
            process.wait()
    assert verdicts == {0: "denied", 2: "ok"}
    assert identity("nobody", proc_of(tmp_path / "nothing")).service is None


VIEW = """
set -e
mount --bind "$1/etc" "$1/stash"
mount -t tmpfs tmpfs "$1/etc"
for name in kept replaced; do touch "$1/etc/$name"; mount --bind "$1/stash/$name" "$1/etc/$name"; done
umount "$1/stash"
exec setpriv --reuid=$2 --regid=$2 --clear-groups "$1/openvpn-mq-exporter"
"""


def test_a_service_with_a_view_of_its_own(shared: Path, tmp_path: Path) -> None:
    """As access.conf gives it: files by themselves, which stay the old ones; what is not named there is hidden."""
    need_nobody()
    program, etc = shared / "openvpn-mq-exporter", shared / "etc"
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    program.chmod(0o755)
    etc.mkdir()
    (shared / "stash").mkdir()
    for name in ("kept", "replaced", "new"):
        (etc / name).write_text(name)
        (etc / name).chmod(0o644)
    view = ["unshare", "--mount", "--propagation=private", "sh", "-c", VIEW, "sh", str(shared), str(NOBODY)]
    process = subprocess.Popen(view)
    try:
        comm = Path(f"/proc/{process.pid}/comm")
        wait_until(lambda: comm.read_text() == "openvpn-mq-expo\n", "it runs")
        who = identity("nobody", proc_of(tmp_path / "proc", process.pid))
        sources = [Source("config", str(etc / name), etc / name) for name in ("kept", "replaced", "new", "none")]
        assert [access.verdict for access in try_as(who, sources)] == ["ok", "ok", "hidden", "missing"]
        (etc / "fresh").write_text("replaced")
        (etc / "fresh").chmod(0o644)
        (etc / "fresh").replace(etc / "replaced")
        tried = try_as(who, sources)
    finally:
        process.kill()
        process.wait()
    assert [access.verdict for access in tried] == ["ok", "hidden", "hidden", "missing"]
    assert remedies(who, tried[:2]) == ("systemctl restart openvpn-mq-exporter",)
    (_, *commands) = remedies(who, tried[2:])
    assert commands == [f"openvpn-mq-check --access > {DROP_IN}", "systemctl daemon-reload", RESTART]


def test_what_a_service_does_not_see_in_homes_has_to_be_moved() -> None:
    """No drop-in would show it."""
    access = Access(Source("config", "/root/a.conf", Path("/root/a.conf")), "hidden", "the service does not see it")
    assert remedies(NOBODYS._replace(service=5), [access]) == ()


def test_other_programs_may_have_any_name(tmp_path: Path) -> None:
    """The kernel cuts names at 15 bytes, also within a character."""
    for pid, name in (("400", "\N{CYRILLIC SMALL LETTER PE}".encode() * 8), ("500", b"bash")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "comm").write_bytes(name[:15] + b"\n")
    assert identity("nobody", tmp_path).service is None


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 0o777), min_size=3, max_size=3),
    st.lists(st.tuples(st.sampled_from([0, NOBODY]), st.sampled_from([0, NOBODY])), min_size=3, max_size=3),
    st.sampled_from(["status", "management"]),
)
def test_judged_by_modes_as_the_kernel_does(modes: list[int], owners: list[tuple[int, int]], kind: str) -> None:
    """For any modes and owners of two folders and a file, and for reading as for writing."""
    need_root()
    top = Path("/tmp") / f"mq-rights-{os.getpid()}-{time.monotonic_ns()}"  # noqa: S108  # readable for nobody
    path = top / "folder" / "file"
    path.parent.mkdir(parents=True)
    path.write_text("x")
    try:
        for place, mode, (uid, gid) in zip((top, path.parent, path), modes, owners, strict=True):
            os.chown(place, uid, gid)
            place.chmod(mode)
        source = Source(kind, str(path), path)  # type: ignore[arg-type]  # one of its kinds
        tried, judged = try_as(NOBODYS, [source])[0].verdict, by_modes(NOBODYS, source).verdict
        assert tried == judged
    finally:
        for place in (top, path.parent):
            place.chmod(0o700)
        path.unlink()
        path.parent.rmdir()
        top.rmdir()


def test_what_capabilities_give_is_not_to_be_seen_in_modes(tmp_path: Path) -> None:
    """Without root, nobody can tell what an exporter reads that runs with access.conf; it is not denied, though."""
    closed = tmp_path / "closed"
    closed.touch(0o600)
    source = Source("config", str(closed), closed)
    running = NOBODYS._replace(service=5, capabilities=1 << 2)  # CAP_DAC_READ_SEARCH
    assert by_modes(running, source) == Access(source, "unknown", "run as root to know")


def test_a_link_into_a_closed_folder(shared: Path) -> None:
    """The folders on the way to the file itself count, too; the commands, run for real, open them."""
    need_nobody()
    closed, open_one = shared / "closed", shared / "open"
    for folder, mode in ((closed, 0o700), (open_one, 0o755)):
        folder.mkdir()
        folder.chmod(mode)
    (closed / "vpn").mkdir()
    (closed / "vpn" / "a.conf").write_text("x")
    (closed / "vpn" / "a.conf").chmod(0o644)
    link = open_one / "a.conf"
    link.symlink_to("../closed/vpn/a.conf")
    source = Source("config", str(link), link)
    assert by_modes(NOBODYS, source).verdict == try_as(NOBODYS, [source])[0].verdict == "denied"
    commands = remedies(NOBODYS, [denied(str(link))])
    assert len(commands) == 2
    for command in commands:
        subprocess.run(["sh", "-ec", command], check=True)
    assert by_modes(NOBODYS, source).verdict == try_as(NOBODYS, [source])[0].verdict == "ok"


def denied(path: str, kind: str = "status") -> Access:
    return Access(Source(kind, path, Path(path)), "denied", "Permission denied")  # type: ignore[arg-type]


def look(entries: dict[str, tuple[int, int, int]]) -> object:
    """A stat(2) of a host that has these files, by mode, uid and gid, and whose folders are open."""

    def answer(path: Path) -> os.stat_result:
        mode, uid, gid = entries.get(str(path), (stat.S_IFDIR | 0o755, 0, 0))
        return os.stat_result((mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))

    return answer


def test_files_that_a_reboot_makes_anew_get_a_line_for_tmpfiles() -> None:
    entries = {"/run/openvpn-server": (stat.S_IFDIR | 0o710, 0, 0), "/run/openvpn-server/s.log": (0o100600, 0, 0)}
    commands = remedies(NOBODYS, [denied("/run/openvpn-server/s.log")], look(entries))  # type: ignore[arg-type]
    assert commands == (
        f"echo 'z /run/openvpn-server 0710 root nogroup -' >> {TMPFILES}",
        f"echo 'f /run/openvpn-server/s.log 0640 root nogroup -' >> {TMPFILES}",
        f"systemd-tmpfiles --create {TMPFILES}",
    )


def test_lines_for_tmpfiles_hold_one_path_each() -> None:
    """A blank and a percent sign have meanings there; a path with a line break is left alone."""
    path = "/run/open vpn/100%"
    (first, _) = remedies(NOBODYS, [denied(path)], look({path: (0o100600, 0, 0)}))  # type: ignore[arg-type]
    line = shlex.split(first)[1]
    assert line == 'f "/run/open vpn/100%%" 0640 root nogroup -'
    for path in ("/run/user/1000/x\nf /etc/cron.d/y", '/run/"', "/run/\\"):
        assert remedies(NOBODYS, [denied(path)], look({path: (0o100600, 0, 0)})) == ()  # type: ignore[arg-type]


def test_a_group_that_may_is_joined_and_nobodys_group_is_taken_away() -> None:
    """Fedora's folder is 0750 root:openvpn: with another group, OpenVPN itself could not read it."""
    entries = {"/etc/openvpn/server": (stat.S_IFDIR | 0o750, 0, 4), "/etc/openvpn/server/a.conf": (0o100600, 0, 4)}
    commands = remedies(NOBODYS, [denied("/etc/openvpn/server/a.conf")], look(entries))  # type: ignore[arg-type]
    assert commands == ("usermod -aG adm nobody", "chmod g+r /etc/openvpn/server/a.conf")


def test_a_home_is_left_alone() -> None:
    entries = {"/root": (stat.S_IFDIR | 0o700, 0, 0)}
    assert remedies(NOBODYS, [denied("/root/vpn.conf")], look(entries)) == ()  # type: ignore[arg-type]


def test_homes_behind_a_link_are_left_alone(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many hosts have /home on another file system."""
    (shared / "data" / "alice").mkdir(parents=True)
    (shared / "data" / "alice").chmod(0o700)
    (shared / "home").symlink_to("data")
    monkeypatch.setattr("exporter.check.remedies._HOMES", (shared / "home",))
    assert remedies(NOBODYS, [denied(f"{shared}/home/alice/vpn.conf")]) == ()


def test_the_journal_and_a_service_that_must_be_restarted() -> None:
    running = NOBODYS._replace(service=5)
    access = Access(Source("journal", "openvpn@a.service", Path("/")), "denied", "Permission denied")
    assert remedies(running, [access]) == (
        "usermod -aG systemd-journal nobody",
        "systemctl restart openvpn-mq-exporter",
    )


@pytest.mark.parametrize("name", ["mq-test", "mq test %n'"], ids=["plain", "odd"])
def test_lines_for_tmpfiles_do_what_they_promise(tmp_path: Path, name: str) -> None:
    """The commands, run for real, but for the file that they write to."""
    need_root()
    need("systemd-tmpfiles")
    folder = Path(f"/run/{name}-{os.getpid()}")
    folder.mkdir()
    try:
        folder.chmod(0o710)
        status = folder / "status.log"
        status.write_text("kept")
        status.chmod(0o600)
        source = Source("status", str(status), status)
        assert try_as(NOBODYS, [source])[0].verdict == "denied"
        for command in remedies(NOBODYS, [denied(str(status))]):
            subprocess.run(["sh", "-ec", command.replace(TMPFILES, str(tmp_path / "mq.conf"))], check=True)
        assert try_as(NOBODYS, [source])[0].verdict == "ok"
        assert status.read_text() == "kept"
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
