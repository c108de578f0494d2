"""An OpenVPN server with a script for every hook that a server has, each of which writes down what it does."""

import base64
import contextlib
import os
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.support.openvpn import Lab, OpenVpn, wait_until

# What a client's name makes each script do; TRUTH lines are written at the beginning and at the end.
DEEDS = {
    "client-connect": "fail*) status=3 ;; crash*) kill -SEGV $$ ;; slow*) sleep 1 ;; hang*) sleep 30 ;; "
    "long*) sleep 5 ;; daemon*) setsid sleep 20 >/dev/null 2>&1 & ;;",
    "client-disconnect": "",
    "learn-address": "",
    "auth-user-pass-verify": "wrong*) status=1 ;; defer*) status=2 ;;",
    "tls-verify": "stranger*) status=1 ;;",
    "tls-crypt-v2-verify": "",
    "client-crresponse": "",
    "up": "",
    "route-up": "",
    "route-pre-down": "",
    "down": "",
}
_WHO = {"auth-user-pass-verify": "$(head -1 $1)", "tls-verify": "${2#CN=}"}
_MORE = {
    "auth-user-pass-verify": ('[ $status = 2 ] && printf "30\\ncrtext\\nCR_TEXT:E,R:say it" >"$auth_pending_file"'),
    "client-crresponse": 'printf 1 >"$auth_control_file"',
}


class Run(NamedTuple):
    """One run of a script, as it wrote it down itself."""

    hook: str
    seconds: float | None  # None: it did not come to its end
    status: int | None  # that it ended with; likewise
    since_fork: float | None  # seconds, at most a clock tick too many: a busy host may let it wait before it begins


class ScriptedServer:
    """A server and clients; `runs` is the truth."""

    def __init__(self, lab: Lab, name: str, *more: str, interpreter: str = "/bin/sh") -> None:
        self.lab = lab
        self.name = name
        self.truth = lab.folder / f"{name}.truth"
        self.truth.touch()
        self.truth.chmod(0o666)
        self.scripts = {hook: self._script(hook, interpreter) for hook in DEEDS}
        self._key = _genkey(lab.folder / f"{name}.v2", "tls-crypt-v2-server")
        lines = [f"{hook} {path}" for hook, path in self.scripts.items() if hook != "auth-user-pass-verify"]
        self.server = lab.server(
            *lines, f"auth-user-pass-verify {self.scripts['auth-user-pass-verify']} via-file",
            f"tls-crypt-v2 {self._key}", "auth-user-pass-optional", *more, name=name,
        )  # fmt: skip
        self._clients = 0

    def _script(self, hook: str, interpreter: str) -> Path:
        who = _WHO.get(hook, "$common_name")
        body = f"""
started() {{ shift 21; fork=$1; }}
read -r stat </proc/$$/stat
started $stat
begin=$(date +%s%N)
echo "begin {hook} $$ $begin $fork" >>{self.truth}
status=0
case {who} in {DEEDS[hook]} *) ;; esac
{_MORE.get(hook, "")}
echo "end {hook} $$ $(date +%s%N) $status" >>{self.truth}
exit $status"""
        return self.lab.script(f"{self.name}-{hook}", body, interpreter=interpreter)

    def client(self, deed: str, *more: str) -> OpenVpn:
        """A client of this name, which tells the scripts what to do."""
        self._clients += 1
        name = f"{deed}{self._clients}"
        wrapped = self.lab.folder / f"{self.name}-{name}.v2"
        _genkey(wrapped, "tls-crypt-v2-client", "--tls-crypt-v2", str(self._key))
        login = self.lab.login(f"{self.name}-{name}", name, "secret")
        return self.lab.client(name, login, f"tls-crypt-v2 {wrapped}", "auth-retry none", "connect-retry-max 1", *more)

    def deferred_client(self) -> OpenVpn:
        """One that is asked a question by its auth script, and answers it."""
        path = self.lab.folder / f"{self.name}-answer.sock"
        client = self.client("defer", f"management {path} unix", "setenv IV_SSO crtext", "push-peer-info")
        with socket.socket(socket.AF_UNIX) as connection:

            def is_open() -> bool:  # the file is there before OpenVPN listens
                return path.exists() and connection.connect_ex(str(path)) == 0

            wait_until(lambda: is_open() or client.ended(), f"the client's management:\n{client.text()}")
            said = b""
            while b">INFOMSG:CR_TEXT" not in said:
                said += connection.recv(4096)
            connection.sendall(b"cr-response " + base64.b64encode(b"it") + b"\n")
            while b"SUCCESS" not in said.partition(b">INFOMSG:CR_TEXT")[2]:
                said += connection.recv(4096)
        return client

    def runs(self) -> list[Run]:
        """All runs so far."""
        begun: dict[tuple[str, str], tuple[int, float]] = {}
        found = []
        boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        for line in self.truth.read_text().splitlines():
            what, hook, pid, moment, number = line.split()
            if what == "begin":
                begun[hook, pid] = int(moment), boot + int(number) / os.sysconf("SC_CLK_TCK")
            else:
                begin, fork = begun.pop((hook, pid))
                found.append(Run(hook, (int(moment) - begin) / 1e9, int(number), int(moment) / 1e9 - fork))
        return found + [Run(hook, None, None, None) for hook, _ in begun]

    def counts(self) -> Counter[str]:
        """How often each script ran."""
        return Counter(run.hook for run in self.runs())

    def quiet(self) -> None:
        """Wait until no script has run for a moment."""
        seen = [-1]

        def still() -> bool:
            seen.append(len(self.truth.read_text()))
            return len(seen) > 50 and len(set(seen[-50:])) == 1  # a second

        wait_until(still, "the scripts have ended")

    def kill_running(self, hook: str) -> None:
        """Kill the script of this hook that runs now."""
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["pkill", "-KILL", "-f", str(self.scripts[hook])], check=True)


def _genkey(path: Path, kind: str, *more: str) -> Path:
    subprocess.run(["openvpn", *more, "--genkey", kind, str(path)], check=True, capture_output=True)
    return path
