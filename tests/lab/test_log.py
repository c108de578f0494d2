"""Counters against what a real OpenVPN server wrote because the test made it so: exactly equal, or the test fails."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.journald import Journald, journald
from tests.support.logged import WARNING, Watched, failing, finish, runs, watched_file
from tests.support.openvpn import Lab, wait_until
from tests.support.program import running


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """By --openvpn.log, which names a file that is not there yet."""
    with watched_file(tmp_path) as what:
        yield what


@pytest.mark.parametrize("form", ["", "suppress-timestamps", "machine-readable-output", "verb 4"])
def test_a_connection_that_goes_wrong_in_every_way(watched: Watched, form: str) -> None:
    """Each failure once, in every form of the log; with `verb 4` the stamp has microseconds."""
    lab = watched.lab
    server = watched.server(
        f"client-connect {lab.script('connect', 'test $common_name = bob || exit 3')}",
        f"client-disconnect {lab.script('disconnect', 'kill -9 $$')}",
        f"learn-address {failing(lab, 'learn')}",
        *([form] if form else []),
    )
    lab.client("alice").wait_refused()
    bob = lab.client("bob")
    bob.wait_connected()
    server.wait_for("Learn FAILED")
    bob.stop()
    server.wait_for("did not exit normally", 2)
    assert finish(watched, server) == {
        ("client-connect", "exit_status"): 1,
        ("client-disconnect", "signal"): 2,  # it also runs for the client that was refused
        ("learn-address", "exit_status"): runs(lab, "learn"),
        ("learn_failed",): 1,
    }
    assert runs(lab, "learn") >= 1


def test_scripts_that_cannot_run(watched: Watched) -> None:
    """One whose interpreter is missing, and a client that is refused because of it."""
    lab = watched.lab
    script = lab.script("connect", "exit 0", interpreter="/no/such/interpreter")
    server = watched.server(f"client-connect {script}")
    lab.client("alice").wait_refused()
    assert finish(watched, server) == {("client-connect", "not_executable"): 1}


def test_a_script_that_is_killed(watched: Watched) -> None:
    lab = watched.lab
    server = watched.server(f"client-connect {lab.script('connect', 'kill -TERM $$')}")
    lab.client("alice").wait_refused()
    assert finish(watched, server) == {("client-connect", "signal"): 1}


def test_script_security(watched: Watched) -> None:
    """At level 1 OpenVPN runs no script; that is a failure for each one that it would have run."""
    lab = watched.lab
    server = watched.server(f"client-connect {lab.script('connect', 'exit 0')}", "script-security 1")
    lab.client("alice").wait_refused()
    assert finish(watched, server) == {("client-connect", "script_security"): 1}


def test_a_deferred_refusal(watched: Watched) -> None:
    """The script says `later` (2), and then `no` (0): no warning tells, only CC_RET_FAILED does."""
    lab = watched.lab
    body = 'echo 2 > $client_connect_deferred_file; (sleep 0.5; echo 0 > "$client_connect_deferred_file") & exit 0'
    server = watched.server(f"client-connect {lab.script('connect', body)}")
    lab.client("alice").wait_refused()
    assert finish(watched, server) == {("client-connect", "deferred"): 1}


def test_tls_verify(watched: Watched) -> None:
    """It refuses one certificate; the client only sees silence, and the server says more than one line of it."""
    lab = watched.lab
    script = failing(lab, "verify", 'case "$2" in *mallory*) ;; *) exit 0;; esac')
    server = watched.server(f"tls-verify {script}", "hand-window 5")
    client = lab.client("mallory")
    server.wait_for("TLS handshake failed")
    client.stop()
    counts = finish(watched, server)
    failed = runs(lab, "verify")
    assert counts == {("tls-verify", "exit_status"): failed, ("tls_error",): server.text().count(" TLS Error: ")}
    assert failed >= 1
    assert server.text().count(" TLS Error: ") >= 1


def test_auth_user_pass_verify(watched: Watched) -> None:
    """Exit status 1 is a wrong password, which is no failure of the script; 255 is one."""
    lab = watched.lab
    script = lab.script("verify", 'test "$username" = broken && exit 255; exit 1')
    server = watched.server(f"auth-user-pass-verify {script} via-env", "script-security 3")
    lab.client("alice", lab.login("wrong", "alice", "wrong password")).wait_refused()
    assert "--auth-user-pass-verify" not in server.text().split("TLS Auth Error")[-1]
    lab.client("bob", lab.login("broken", "broken", "x")).wait_refused()
    counts = finish(watched, server)
    errors = server.text().count(" TLS Auth Error: ")
    assert counts == {("auth-user-pass-verify", "exit_status"): 1, ("auth_failed",): errors}
    assert errors == 2


def test_mute(watched: Watched) -> None:
    """What OpenVPN says it left out is counted."""
    lab = watched.lab
    server = watched.server("mute 1")
    alice = lab.client("alice")
    alice.wait_connected()
    alice.stop()
    server.wait_for("suppressed by --mute", 2)
    assert finish(watched, server) == {}
    left_out = [
        int(line.split(" variation(s)")[0].split()[-1]) for line in server.text().splitlines() if "variation" in line
    ]
    assert watched.total("openvpn_log_suppressed_lines_total") == sum(left_out) > 0


def test_max_clients(watched: Watched) -> None:
    lab = watched.lab
    server = watched.server("max-clients 1")
    alice = lab.client("alice")
    alice.wait_connected()
    bob = lab.client("bob")
    server.wait_for("would exceed maximum number of clients")
    bob.stop()
    alice.stop()
    assert finish(watched, server) == {("max_clients",): server.text().count("would exceed maximum number of clients")}


def test_a_server_that_cannot_start(watched: Watched) -> None:
    """Its last words are counted."""
    with pytest.raises(AssertionError, match="the server ended"):
        watched.server("dev tun0", "local 192.0.2.77")
    log = watched.lab.folder / "server.log"
    assert watched.settle(lambda: log.read_bytes().count(b"\n")) == {("fatal_exit",): 1}


def test_words_of_clients_and_scripts_do_not_count(watched: Watched) -> None:
    """A user name that is the warning, one that is a prefix by username-as-common-name, and a script that prints it."""
    lab = watched.lab
    connect = lab.script(
        "connect", f"echo '{WARNING}'\necho 'TLS Error: not really'\necho 'Message queue full: update lost'"
    )
    server = watched.server(
        f"client-connect {connect}",
        f"auth-user-pass-verify {lab.script('verify', 'exit 0')} via-env",
        "script-security 3",
    )
    for name in (WARNING, "Exiting due to fatal error"):
        client = lab.client("alice", lab.login("alice", name, "x"))
        client.wait_connected()
        client.stop()
    assert finish(watched, server) == {("full",): 2}
    assert server.text().count(WARNING) >= 3


def test_a_user_name_that_is_the_prefix(watched: Watched) -> None:
    lab = watched.lab
    server = watched.server(
        *(f"auth-user-pass-verify {lab.script('verify', 'exit 0')} via-env", "script-security 3"),
        *("username-as-common-name", f"learn-address {failing(lab, 'learn')}", "suppress-timestamps"),
    )
    client = lab.client("alice", lab.login("alice", "TLS Error: Exiting due to fatal error", "x"))
    client.wait_connected()
    server.wait_for("Learn FAILED")
    client.stop()
    assert finish(watched, server) == {
        ("learn-address", "exit_status"): runs(lab, "learn"),
        ("learn_failed",): 1,
    }
    assert re.search(r"\nTLS Error: Exiting due to fatal error/(udp4:)?10\.200\.", server.text())


def test_without_stamps_an_echo_counts(watched: Watched) -> None:
    """Nothing tells a script's echo of the warning from the warning itself, and the documentation says so."""
    lab = watched.lab
    server = watched.server(f"client-connect {lab.script('connect', f'''echo '{WARNING}' ''')}", "suppress-timestamps")
    client = lab.client("alice")
    client.wait_connected()
    client.stop()
    assert finish(watched, server) == {("client-connect", "exit_status"): 1}


def test_ipv6(watched: Watched) -> None:
    """The prefix of a client that comes over IPv6."""
    lab = watched.lab
    server = watched.server("proto udp6", f"client-connect {lab.script('connect', 'exit 3')}")
    lab.client("alice", ipv6=True).wait_refused()
    assert finish(watched, server) == {("client-connect", "exit_status"): 1}


@pytest.fixture
def journal() -> Iterator[Journald]:
    with journald() as daemon:
        yield daemon


def test_the_journal(journal: Journald, tmp_path: Path) -> None:
    """Through a real journald; there, what a script prints is told apart even without stamps."""
    unit = "openvpn-server@server.service"
    config = tmp_path / "config.yml"
    config.write_text(
        f"servers: [{{name: server, journal: {unit}}}]\n"
        "log_rules: [{name: pools, match: 'pool returned IPv4=[0-9.]+'}]\n"
    )
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        stream = stack.enter_context(journal.stream(unit))
        flags = (f"--config.file={config}", f"--state.directory={tmp_path / 'state'}")
        program = stack.enter_context(running(*flags, before=journal.inside()))
        wait_until(lambda: any((tmp_path / "state").glob("*.json")), "the journal's end is remembered")
        connect = lab.script(
            "connect", f"echo '{WARNING}'\necho Message queue full\nsleep 1\ntest $common_name = bob || exit 3"
        )
        server = lab.server(f"client-connect {connect}", "suppress-timestamps", output=stream.fileno())
        watched = Watched(lab, program, lab.server)
        lab.client("alice").wait_refused()
        bob = lab.client("bob")
        bob.wait_connected()
        bob.stop()
        server.stop()
        wait_until(
            lambda: program.value("openvpn_log_rule_matches_total", server="server", rule="pools") == 2, "both clients"
        )
        wait_until(lambda: ("full",) in watched.counts(), "the script's lines are counted")
        listing = server.run(*journal.inside("journalctl", "--output=cat", f"_SYSTEMD_UNIT={unit}")).stdout
        assert watched.settle(lambda: listing.count("\n")) == {("client-connect", "exit_status"): 1, ("full",): 2}
        # OpenVPN stamps nothing here: the times are the journal's. Only bob's script leads to an answer.
        labels = {"server": "server", "phase": "script"}
        assert program.value("openvpn_connection_phase_seconds_count", **labels) == 1
        assert program.value("openvpn_connection_phase_seconds_sum", **labels) == pytest.approx(1.0, abs=0.3)
