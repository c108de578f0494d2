"""The script runs as it would without the hook, and the hook ends as the script ended."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.hooks import HOOK, NOBODY, PATH, Command, last, lines, public_hook, run, script
from tests.support.needs import missing, need
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
    hook: Command = [HOOK, "--record", tmp_path / "record", "--", sys.executable, "-c", unblock]
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


@pytest.mark.parametrize(("language", "encoding"), [("de_DE", "ISO-8859-1"), ("ja_JP", "EUC-JP"), ("zh_TW", "BIG5")])
def test_a_locale_that_is_not_of_utf_8(tmp_path: Path, language: str, encoding: str) -> None:
    """What clients chose is UTF-8, or anything: the script gets each byte of it, and the record the name."""
    need("localedef")
    locale = tmp_path / f"{language}.{encoding}"
    subprocess.run(["localedef", "-i", language, "-f", encoding, locale], capture_output=True, check=False)
    if not locale.is_dir():
        missing(f"localedef cannot make {locale.name}")
    environment = {**PATH, "LOCPATH": str(tmp_path), "LC_ALL": locale.name, "script_type": "learn-address"}
    words = ["add", "10.8.0.2", "Jürgen \udc80\udcff"]
    show = script(tmp_path, 'printf "%s\n" "$@" | od -An -tx1')
    done = run(tmp_path / "record", "--record-client", "--", show, *words, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert bytes.fromhex(done.stdout) == os.fsencode("".join(f"{word}\n" for word in words))
    assert last(tmp_path / "record")["common_name"] == "Jürgen \ufffd\ufffd"


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
    options: Command = ["--record", folder / "record", "--timeout", "100ms"]
    stay: Command = [become, "--reuid=0", "--regid=0", "--clear-groups", "/bin/sh", "-c", body]
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
    command: Command = ["/bin/sh", "-c", 'trap "" CHLD; exec "$@"', "sh", HOOK, "--record", tmp_path / "record", "--"]
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
    command: Command = [hook, "--record", record, "--queue", "7", "--", script(public, "echo ran; exit 5")]
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
        (["SCRIPT"], "needs a script behind --"),
        ([], "needs a script behind --"),
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


# What OpenVPN appends to the command line of each script, where it appends anything.
APPENDED = {
    "client-connect": ["/tmp/openvpn_cc_1.tmp"],  # noqa: S108  # a word, not a file
    "client-disconnect": [],
    "learn-address": ["add", "10.8.0.2", "alice"],
    "tls-verify": ["0", "CN=alice"],
    "tls-crypt-v2-verify": [],
    "client-crresponse": ["/tmp/openvpn_cr_1.tmp"],  # noqa: S108
    "up": ["tun0", "1500", "0", "10.8.0.1", "255.255.255.0", "init"],
    "down": ["tun0", "1500", "0", "10.8.0.1", "255.255.255.0", "init"],
    "route-up": [],
    "route-pre-down": ["tun0", "1500", "0", "10.8.0.1", "255.255.255.0", "init"],
    "ipchange": ["198.51.100.7", "1194"],
}


@pytest.mark.parametrize(("kind", "words"), [*APPENDED.items(), ("learn-address", ["delete", "10.8.0.2"])], ids=str)
def test_without_a_script_it_only_records(tmp_path: Path, kind: str, words: list[str]) -> None:
    """The words that OpenVPN appends are no script."""
    record = tmp_path / "record"
    done = run(record, *words, environment={**PATH, "script_type": kind})
    assert (done.returncode, done.stderr) == (0, "")
    line = last(record)
    assert line["result"] == "ok"
    assert "script_seconds" not in line


@pytest.mark.parametrize(("kind", "words"), [*APPENDED.items(), ("learn-address", ["delete", "10.8.0.2"]), ("?", [])])
@pytest.mark.parametrize("name", ["verify.sh", "/nonexistent/verify.sh", "/etc/hostname", "/bin/true"])
def test_a_script_without_the_dashes_lets_nobody_in(tmp_path: Path, kind: str, words: list[str], name: str) -> None:
    """A script on the path, a missing one, one that cannot be executed, one that can: none of them would be run."""
    done = run(tmp_path / "record", name, *words, environment={**PATH, "script_type": kind})
    assert done.returncode == 1
    assert f"write: -- {name}" in done.stderr
    assert not (tmp_path / "record").exists()


@pytest.mark.parametrize("given", [{}, {"LC_CTYPE": "C"}, {"LC_CTYPE": "POSIX"}, {"LC_CTYPE": "UTF-8"}])
def test_the_locale_is_the_one_that_openvpn_gave(tmp_path: Path, given: dict[str, str]) -> None:
    """Python replaces LC_CTYPE in the C locale, also one that was there."""
    done = run(tmp_path / "record", "--", "/usr/bin/env", environment={**PATH, **given})
    assert set(done.stdout.splitlines()) == {f"{name}={value}" for name, value in {**PATH, **given}.items()}


def test_an_entry_without_a_name_is_left_out(tmp_path: Path) -> None:
    """No program can set one by the usual ways, and none of them hands it on; the client is served."""
    record = tmp_path / "record"
    start = """
import ctypes, os, sys
words = [os.fsencode(word) for word in sys.argv[1:]]
array = ctypes.c_char_p * (len(words) + 1)
ctypes.CDLL(None).execve(words[0], array(*words, None), (ctypes.c_char_p * 3)(b"=x", b"a=b", None))
"""
    hook: Command = [HOOK, "--record", record, "--", script(tmp_path, 'echo "$a"')]
    done = subprocess.run([sys.executable, "-c", start, *hook], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "b\n", "")


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
