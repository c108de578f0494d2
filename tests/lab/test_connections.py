"""Connections of a real OpenVPN's clients, each with an end that the test made: counts exactly equal."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.logged import Watched, lines_of, watched_file
from tests.support.openvpn import Lab, OpenVpn, pki, wait_until
from tests.support.program import Program, running

SLEEP = 1.5  # seconds that the client-connect script of slow clients takes


def counted(watched: Watched, name: str, label: str) -> dict[str, float]:
    """What is not 0 of a metric, by one of its labels."""
    return {
        dict(labels)[label]: value for (sample, labels), value in watched.samples().items() if sample == name and value
    }


def value(watched: Watched, name: str, **labels: str) -> float | None:
    return watched.samples().get((name, frozenset({"server": "server", **labels}.items())))


def scripts(lab: Lab) -> list[str]:
    """One that refuses some and is slow for others, and one that checks passwords."""
    connect = lab.script(
        "connect", f'case "$common_name" in refused*) exit 3;; slow*) sleep {SLEEP};; esac; exit 0'
    )  # fmt: skip
    verify = lab.script("verify", 'test "$password" = right')
    return [
        f"client-connect {connect}",
        *(f"auth-user-pass-verify {verify} via-env", "script-security 3", "auth-user-pass-optional"),
    ]


def finish(watched: Watched, server: OpenVpn) -> None:
    server.stop()
    watched.settle(lambda: lines_of(server))


def ends(client: OpenVpn, server: OpenVpn) -> None:
    """Let a client say goodbye, and the server take note."""
    before = server.text().count("client-instance")
    client.stop()
    server.wait_for("client-instance", before + 1)


@pytest.mark.parametrize("tcp", [False, True])
def test_every_end_of_an_attempt(tmp_path: Path, tcp: bool) -> None:
    with watched_file(tmp_path) as watched:
        lab = watched.lab
        server = watched.server(
            *scripts(lab), *(["proto tcp-server"] if tcp else []), "machine-readable-output", "hand-window 10",
            f"crl-verify {pki().crl('revoked')}",
        )  # fmt: skip
        right = lab.login("right", "alice", "right")
        wrong = lab.login("wrong", "alice", "wrong")
        slow = lab.client("slow", right, tcp=tcp)
        slow.wait_connected()
        lab.client("refused", right, tcp=tcp).wait_refused()
        lab.client("alice", wrong, tcp=tcp).wait_refused()
        for name, lines in (("revoked", []), ("late", pki().expired("late"))):
            before = server.text().count("TLS handshake failed")
            client = lab.client(name, right, *lines, tcp=tcp)
            server.wait_for("TLS handshake failed", before + 1)
            client.stop()
        if not tcp:  # the refused ones are there for five seconds more
            server.wait_for("client-instance exiting", 2)
        ends(slow, server)
        finish(watched, server)

        text = server.text()
        results = counted(watched, "openvpn_connections_total", "result")
        handshakes = text.count("TLS Error: TLS handshake failed")  # clients try again until they are stopped
        assert results == {"answered": 1, "script_failed": 1, "auth_failed": 1, "tls_failed": handshakes}
        errors = counted(watched, "openvpn_verify_errors_total", "reason")
        assert errors == {
            "revoked": text.count("error=certificate revoked"), "expired": text.count("error=certificate has expired"),
        }  # fmt: skip
        assert min(errors.values()) >= 1
        assert counted(watched, "openvpn_disconnects_total", "reason") == {
            "connection-reset" if tcp else "delayed-exit": 1
        }
        assert value(watched, "openvpn_connections_in_progress") == 0
        script = value(watched, "openvpn_connection_phase_seconds_sum", phase="script")
        assert script == pytest.approx(SLEEP, abs=0.3)
        assert value(watched, "openvpn_connection_phase_seconds_count", phase="script") == 1
        assert (value(watched, "openvpn_connection_phase_seconds_count", phase="tls") or 0) == (
            results["answered"] + results["script_failed"] + results["auth_failed"] if tcp else 0
        )
        assert value(watched, "openvpn_connection_setup_seconds_count") == 1


def test_too_many_clients_and_a_full_pool(tmp_path: Path) -> None:
    with watched_file(tmp_path) as watched:
        lab = watched.lab
        server = watched.server(
            "server 10.8.0.0 255.255.255.0 nopool", "ifconfig-pool 10.8.0.2 10.8.0.3", "max-clients 3"
        )
        clients = [lab.client(name) for name in ("alice", "bob")]
        for client in clients:
            client.wait_connected()
        lab.client("carol")
        server.wait_for("no free --ifconfig-pool")
        server.wait_for("SENT CONTROL [carol]: 'PUSH_REPLY")
        lab.client("dave")
        server.wait_for("would exceed maximum number of clients", 2)
        wait_until(
            lambda: (
                counted(watched, "openvpn_connections_total", "result")
                == {"answered": 2, "pool_exhausted": 1, "limit": 1}
            ),
            "all four",
        )
        versions = {
            (dict(labels)["version"], dict(labels)["platform"]): count
            for (name, labels), count in watched.samples().items()
            if name == "openvpn_client_versions"
        }
        assert list(versions.values()) == [2]
        assert next(iter(versions))[1] == "linux"
        finish(watched, server)
        assert counted(watched, "openvpn_disconnects_total", "reason") == {"server-exit": 2}


def test_an_exporter_that_is_restarted_in_the_midst(tmp_path: Path) -> None:
    """A connection that is waiting for its script is counted by the one that sees its end, and by no other."""
    with Lab() as lab:
        log = lab.folder / "server.log"
        log.touch()
        flags = (f"--openvpn.log={log}", f"--state.directory={tmp_path / 'state'}")
        go = lab.folder / "go"
        with running(*flags) as program:
            wait_until(lambda: any((tmp_path / "state").glob("*.json")), "its place is remembered")
            wait = f"test $common_name = first || while ! test -e {go}; do sleep 0.05; done"
            server = lab.server(f"client-connect {lab.script('connect', wait)}")
            first = lab.client("first")
            first.wait_connected()
            second = lab.client("second")
            server.wait_for("second/")
            wait_until(lambda: sample(program, "openvpn_connections_in_progress") == 1, "the second is seen")
            assert sample(program, "openvpn_connections_total", result="answered") == 1
            assert program.stop() == 0
        go.touch()
        second.wait_connected()
        ends(first, server)
        with running(*flags) as program:
            wait_until(lambda: sample(program, "openvpn_connections_total", result="answered") == 1, "the second")
            wait_until(lambda: sample(program, "openvpn_disconnects_total", reason="delayed-exit") == 1, "the first")
            assert sample(program, "openvpn_connections_total", result="lost") == 0
            assert sample(program, "openvpn_connections_in_progress") == 0
            assert sample(program, "openvpn_connection_phase_seconds_count", phase="script") == 1
        server.stop()


def sample(program: Program, name: str, **labels: str) -> float | None:
    return program.value(name, server="server", **labels)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_hundred_connections(tmp_path: Path) -> None:
    """Of every kind, ten at a time; counts equal, and durations within the stamps' precision."""
    kinds = ["plain", "slow", "refused", "wrong", "revoked", "late", "killed", "plain", "slow", "plain"]
    with watched_file(tmp_path) as watched:
        lab = watched.lab
        server = watched.server(
            *scripts(lab), "machine-readable-output", "hand-window 10", "keepalive 1 4",
            f"crl-verify {pki().crl(*[f'revoked{number}' for number in range(20)])}",
        )  # fmt: skip
        right, wrong = lab.login("right", "alice", "right"), lab.login("wrong", "alice", "wrong")
        truth: Counter[str] = Counter()
        for number in range(20):
            clients: list[tuple[str, OpenVpn]] = []
            for kind in kinds:
                name = f"{kind}{number}"
                lines = pki().expired(name) if kind == "late" else []
                client = lab.client(name, wrong if kind == "wrong" else right, *lines, "connect-retry-max 1")
                clients.append((kind, client))
                truth[kind] += 1
            for kind, client in clients:
                if kind in ("refused", "wrong"):
                    client.wait_refused()
                elif kind in ("revoked", "late"):
                    server.wait_for(f"CN={kind}{number},")
                    client.stop()
                else:
                    client.wait_connected()
                    if kind == "killed":
                        client.process.kill()
            for _, client in clients:
                client.stop()
        wait_until(lambda: value(watched, "openvpn_connections_in_progress") == 0, "all have ended")
        time.sleep(6)  # the last delayed exits and ping-restarts
        finish(watched, server)
        text = server.text()
        results = counted(watched, "openvpn_connections_total", "result")
        answered = truth["plain"] + truth["slow"] + truth["killed"]
        assert results == {
            "answered": answered, "script_failed": truth["refused"], "auth_failed": truth["wrong"],
            "tls_failed": text.count("TLS Error: TLS handshake failed"),
        }  # fmt: skip
        assert results["tls_failed"] >= truth["revoked"] + truth["late"]
        gone = counted(watched, "openvpn_disconnects_total", "reason")
        # A server that is held up by scripts gives up some clients who said goodbye, too.
        assert gone["ping-restart"] == text.count("SIGUSR1[soft,ping-restart] received, client-instance")
        assert gone["ping-restart"] >= truth["killed"]
        assert gone["ping-restart"] + gone["delayed-exit"] == answered
        script = value(watched, "openvpn_connection_phase_seconds_sum", phase="script") or 0
        assert value(watched, "openvpn_connection_phase_seconds_count", phase="script") == answered
        # A script holds up everybody, so of ten that connect at once others wait as well; never less than their own.
        assert script >= truth["slow"] * SLEEP * 0.98
