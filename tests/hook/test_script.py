"""The script runs as it would without the hook, and the hook ends as the script ended."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.hooks import HOOK, NOBODY, PATH, last, lines, public_hook, run, script
from tests.support.needs import need
from tests.support.openvpn import wait_until


@pytest.mark.parametrize("status", [0, 1, 2, 3, 126, 255])
def test_ends_with_the_scripts_exit_status(tmp_path: Path, status: int) -> None:
    record = tmp_path / "record"
    done = run(record, "--", script(tmp_path, f"exit {status}"))
    assert done.returncode == status
    assert done.stderr == ""
    line = last(record)
    assert (line["result"], line["exit"]) == ("exit_status" if status else "ok", status)
    assert "signal" not in line


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGUSR1])
def test_ends_by_the_scripts_signal(tmp_path: Path, number: signal.Signals) -> None:
    """And leaves no core file of its own."""
    record = tmp_path / "record"
    done = run(record, "--", script(tmp_path, f"kill -{number.value} $$"), cwd=tmp_path)
    assert done.returncode == -number
    line = last(record)
    assert (line["result"], line["signal"]) == ("signal", number)
    assert "exit" not in line


def test_a_signal_that_is_blocked_is_told_as_shells_do(tmp_path: Path) -> None:
    """The hook cannot die of it then: never is that a success."""
    unblock = "import os, signal; signal.pthread_sigmask(signal.SIG_UNBLOCK, [15]); os.kill(os.getpid(), 15)"
    block = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); os.execv(sys.argv[1], sys.argv[1:])"
    )
    hook = [HOOK, "--record", tmp_path / "record", "--", sys.executable, "-c", unblock]
    assert subprocess.run([sys.executable, "-c", block, *hook], check=False).returncode == 128 + 15


# What a script can see of how it was started; `$$` and the hook's pid differ of course.
_LOOK = """
printf '%s\\n' "$@" | od -c; pwd; umask; ulimit -a; tr '\\0' '\\n' </proc/self/environ | grep -v ^_=; cat
grep -E '^(SigBlk|NoNewPrivs|Groups|Uid)' /proc/self/status
# 32 and 33 are the C library's own signals, which its posix_spawn leaves ignored.
echo $(( 0x$(sed -n 's/^SigIgn:.//p' /proc/self/status) & ~0x180000000 ))
for fd in /proc/self/fd/*; do readlink "$fd" || true; done | sed 's/[0-9]*/N/g' | sort
echo to standard error >&2
"""


@pytest.mark.parametrize("locale", [{}, {"LANG": "C"}, {"LC_CTYPE": "C.UTF-8"}, {"LC_ALL": "POSIX"}])
def test_the_script_sees_what_it_would_see_without(tmp_path: Path, locale: dict[str, str]) -> None:
    """The same arguments, environment, standard streams, folder, limits, open files and signals."""
    look = script(tmp_path, _LOOK)
    arguments = ["", "a b", "--queue", "--", "ü\udcff\n"]
    environment = {**PATH, **locale, "script_type": "up", "odd": "\udcfe=x\n", "empty": ""}

    def see(*command: str) -> subprocess.CompletedProcess[bytes]:
        # OpenVPN ignores SIGPIPE, and so do its scripts.
        return subprocess.run(
            ["/bin/sh", "-c", 'trap "" PIPE; exec "$@"', "sh", *command, *arguments],
            env=environment, cwd=tmp_path, input=b"from standard input\n", capture_output=True, check=True,
        )  # fmt: skip

    direct, hooked = see(look), see(str(HOOK), "--record", str(tmp_path / "record"), "--", look)
    assert hooked.stdout.decode(errors="replace").splitlines() == direct.stdout.decode(errors="replace").splitlines()
    assert b"from standard input" in hooked.stdout
    assert b"\n4096\n" in hooked.stdout, "only SIGPIPE is ignored"
    assert hooked.stderr == direct.stderr == b"to standard error\n"


@pytest.mark.parametrize("kind", ["missing", "no permission", "no interpreter", "no script", "env finds nothing"])
def test_not_executable(tmp_path: Path, kind: str) -> None:
    """What cannot be executed is told from what fails: 127, which is how OpenVPN's own child ends."""
    path = tmp_path / "script"
    if kind != "missing":
        first = {"no interpreter": "#!/nonexistent/bash", "env finds nothing": "#!/usr/bin/env nonexistent"}
        path.write_text(first.get(kind, "") + "\nexit 0\n")
        path.chmod(0o644 if kind == "no permission" else 0o755)
    record = tmp_path / "record"
    assert run(record, "--", str(path)).returncode == 127
    line = last(record)
    assert (line["result"], line["exit"]) == ("not_executable", 127)


def test_a_script_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """TERM ends it; its status is a failure whatever it says itself."""
    record = tmp_path / "record"
    hang = script(tmp_path, f'trap "exit 0" TERM; sleep 1000 & echo $! >{tmp_path}/child; wait')
    assert run(record, "--timeout", "300ms", "--", hang).returncode == 124
    line = last(record)
    assert (line["result"], line["exit"]) == ("timeout", 124)
    assert line["script_seconds"] >= 0.3
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "the script's own child is gone")


def test_a_script_that_ignores_term_is_killed(tmp_path: Path) -> None:
    record = tmp_path / "record"
    assert (
        run(record, "--timeout=100ms", "--", script(tmp_path, 'trap "" TERM; while :; do sleep 1; done')).returncode
        == 124
    )
    line = last(record)
    assert line["result"] == "timeout"
    assert line["script_seconds"] >= 2.1, "KILL comes two seconds after TERM"


def test_a_script_that_cannot_be_ended_is_given_up(public: Path) -> None:
    """It has become root, so nobody's hook may not kill it: OpenVPN must not wait for it all the same."""
    need("setpriv")
    hook = public_hook(public)
    become = public / "setpriv"
    shutil.copy("/usr/bin/setpriv", become)
    become.chmod(0o4755)
    stays = public / "stays"
    body = script(public, f"echo $$ >{stays}; exec sleep 1000", "body")
    os.chown(body, 0, 0)
    folder = public / "log"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    options = ["--record", folder / "record", "--timeout", "100ms"]
    stay = [become, "--reuid=0", "--regid=0", "--clear-groups", "/bin/sh", "-c", body]
    # Its standard streams are those of the tests: a pipe would stay open as long as it lives.
    status = subprocess.call(
        [hook, *options, "--", *stay], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env=PATH
    )
    child = int(stays.read_text())
    assert Path(f"/proc/{child}").exists()
    os.kill(child, signal.SIGKILL)
    assert status == 124
    assert last(folder / "record")["result"] == "timeout"


def test_ignored_ends_of_children(tmp_path: Path) -> None:
    """A parent that ignores SIGCHLD does not keep the hook from learning how the script ended."""
    command = ["/bin/sh", "-c", 'trap "" CHLD; exec "$@"', "sh", HOOK, "--record", tmp_path / "record", "--"]
    assert subprocess.run([*command, script(tmp_path, "exit 3")], check=False).returncode == 3


def test_a_script_in_time_is_left_alone(tmp_path: Path) -> None:
    record = tmp_path / "record"
    assert run(record, "--timeout", "1h", "--", script(tmp_path, "exit 3")).returncode == 3
    assert last(record)["result"] == "exit_status"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_hands_signals_on_to_the_script(tmp_path: Path, number: signal.Signals) -> None:
    """The script alone decides what a signal means; the hook waits for its end and records it."""
    record = tmp_path / "record"
    body = f'trap "exit 9" {number.value}; touch {tmp_path}/ready; while :; do sleep 0.01; done'
    hook = subprocess.Popen([HOOK, "--record", record, "--", script(tmp_path, body)])
    wait_until((tmp_path / "ready").exists, "the script runs")
    hook.send_signal(number)
    assert hook.wait(60) == 9
    assert last(record)["exit"] == 9


def test_a_killed_hook_leaves_a_start_that_tells_its_process(tmp_path: Path) -> None:
    record = tmp_path / "record"
    hook = subprocess.Popen(
        [HOOK, "--record", record, "--", script(tmp_path, f"touch {tmp_path}/ready; exec sleep 1000")]
    )
    wait_until((tmp_path / "ready").exists, "the script runs")
    (start,) = lines(record)
    stat = Path(f"/proc/{hook.pid}/stat").read_text().rpartition(")")[2].split()
    child = int(Path(f"/proc/{hook.pid}/task/{hook.pid}/children").read_text())
    hook.kill()
    hook.wait()
    os.kill(child, signal.SIGKILL)
    assert (start["event"], start["pid"], start["pid_start_ticks"]) == ("start", hook.pid, int(stat[19]))
    assert start["pid_namespace"] == os.stat("/proc/self/ns/pid").st_ino
    assert abs(start["time"] - time.time()) < 600


def test_where_no_process_is_left_the_script_takes_the_hooks_place(public: Path) -> None:
    """OpenVPN's unit allows few processes: the client must not be refused because the hook takes one of them."""
    hook = public_hook(public)
    folder = public / "log"
    folder.mkdir()
    os.chown(folder, 54321, 54321)
    record = folder / "record"
    command = [hook, "--record", record, "--queue", "7", "--", script(public, "echo ran; exit 5")]
    done = subprocess.run(
        ["prlimit", "--nproc=1", *command],
        user=54321, group=54321, extra_groups=[], cwd="/", env=PATH, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (5, "ran\n")
    assert "LimitNPROC=" in done.stderr
    line = last(record)
    assert (line["result"], line["update"]) == ("unwatched", "other")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--qeue", "1"], "unknown option --qeue"),
        (["--queue"], "--queue needs a value"),
        (["--queue", "0"], "not a key"),
        (["--"], "nothing follows --"),
        (["SCRIPT"], "write -- before the script"),
        ([], "needs a script"),
    ],
)
def test_a_wrong_command_line_lets_nobody_in(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    """One sentence, and exit status 1; not 2, which OpenVPN takes as a deferred answer of an auth script."""
    here = script(tmp_path, "exit 0")
    words = [here if word == "SCRIPT" else word for word in arguments]
    done = run(tmp_path / "record", *words, environment={**PATH, "script_type": "user-pass-verify"})
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.startswith("openvpn-mq-hook: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "record").exists()


def test_without_a_script_it_only_records(tmp_path: Path) -> None:
    """The words that OpenVPN adds are no script."""
    record = tmp_path / "record"
    done = run(record, "openvpn_cc_1.tmp", environment={**PATH, "script_type": "client-connect"})
    assert (done.returncode, done.stderr) == (0, "")
    line = last(record)
    assert line["result"] == "ok"
    assert "script_seconds" not in line


def test_an_auth_script_may_defer(tmp_path: Path) -> None:
    """Exit status 2 is no failure where OpenVPN offers to wait for the answer (from 2.6 on)."""
    record = tmp_path / "record"
    for kind, offered, result in (
        ("user-pass-verify", {"auth_control_file": "acf"}, "deferred"),
        ("user-pass-verify", {}, "exit_status"),
        ("client-connect", {"auth_control_file": "acf"}, "exit_status"),
    ):
        environment = {**PATH, "script_type": kind, **offered}
        assert run(record, "--", script(tmp_path, "exit 2"), environment=environment).returncode == 2
        assert last(record)["result"] == result


def test_help_and_version(tmp_path: Path) -> None:
    assert run(tmp_path / "record", "--help").stdout.startswith("usage: openvpn-mq-hook ")
    assert run(tmp_path / "record", "--version").stdout.startswith("openvpn-mq-hook 0.")
    assert not (tmp_path / "record").exists()
