"""Deferred answers of a real OpenVPN's wrapped scripts: each is counted by its verdict, with its time."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.hooks import HOOK, lines
from tests.support.openvpn import Lab, wait_until
from tests.support.program import running

# Says "later" at once, and a second after that what the user's name says, if anything.
AUTH = """user=$(head -1 "$1")
case $user in
yes*) (sleep 1; printf 1 >"$auth_control_file") >/dev/null 2>&1 & ;;
no*) (sleep 1; printf 0 >"$auth_control_file") >/dev/null 2>&1 & ;;
esac
exit 2"""
CONNECT = """printf 2 >"$client_connect_deferred_file"
(sleep 0.6; printf 1 >"$client_connect_deferred_file") >/dev/null 2>&1 &
exit 0"""


@pytest.mark.timeout(180)
def test_every_verdict(tmp_path: Path) -> None:
    """Clients that are let in, refused, and never answered; none of them is a failure of the script."""
    config = tmp_path / "config.yml"
    with Lab() as lab:
        record = lab.folder / "hooks.jsonl"
        record.touch()
        config.write_text(f"servers: [{{name: vpn, hooks: {record}}}]\n")
        hook = f"{HOOK} --record {record} --"
        server = lab.server(
            *(
                "script-security 3",
                "hand-window 8",
                f'auth-user-pass-verify "{hook} {lab.script("auth", AUTH)}" via-file',
            ),
            f'client-connect "{hook} {lab.script("connect", CONNECT)}"',
        )
        with running("--config.file", str(config)) as program:
            program.addresses()

            def counted(hook: str) -> Counter[str]:
                found = {
                    result: program.value("openvpn_hook_verdicts_total", server="vpn", hook=hook, result=result) or 0
                    for result in ("ok", "refused", "undecided")
                }
                return Counter({result: int(count) for result, count in found.items() if count})

            wait_until(lambda: program.value("openvpn_hook_runs_total", server="vpn", hook="up") == 0, "it follows")
            for user in ("yes1", "yes2"):
                lab.client(user, lab.login(user, user, "x"), "auth-retry none").wait_connected()
            lab.client("no1", lab.login("no1", "no1", "x"), "auth-retry none").wait_refused()
            silent = lab.client("silent", lab.login("silent", "silent", "x"), "auth-retry none", "hand-window 8")
            wait_until(lambda: counted("auth-user-pass-verify")["undecided"] == 1, "OpenVPN has given up")
            silent.stop()
            expected = {"ok": 2, "refused": 1, "undecided": 1}
            wait_until(lambda: counted("auth-user-pass-verify") >= Counter(expected), "all are decided")
            wait_until(lambda: counted("client-connect") == {"ok": 2}, "both have connected")
            seconds = [line["verdict_seconds"] for line in lines(record) if line.get("verdict") in ("ok", "refused")]
            assert len(seconds) >= 5
            # A file's time is that of the last clock tick, so a few milliseconds less than a script slept.
            assert all(0.5 <= each < 5 for each in seconds), seconds
            failures = "openvpn_hook_failures_total"
            for name in ("auth-user-pass-verify", "client-connect"):
                assert program.value(failures, server="vpn", hook=name, reason="exit_status") == 0
        server.stop()
