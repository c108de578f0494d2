"""Flags and configuration: what is taken, and one clear sentence for what is not."""

import os
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.cli import main, parse_args
from exporter.collectors.limits import LimitSettings
from exporter.collectors.snapshot import QueueSettings
from exporter.config.durations import parse_duration
from exporter.config.model import Address, OpenVpnServer, Settings, TcpAddress, UnixAddress
from exporter.sysv.keys import Ftok, NamedQueue


def settings(*flags: str) -> Settings:
    return parse_args(flags)


def refused(capsys: pytest.CaptureFixture[str], *flags: str, status: int = 2) -> str:
    """The one sentence with which a start is refused; nothing on standard output, no traceback."""
    assert main([*flags]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("openvpn-mq-exporter: ")
    assert "Traceback" not in line
    return line


def test_defaults() -> None:
    """Flags and dataclasses have the same defaults."""
    found = settings()
    assert replace(found, parts=()) == Settings()
    assert found.parts
    assert found.parts == tuple(type(part)() for part in found.parts)


def test_every_flag() -> None:
    found = settings(
        "--web.listen-address=127.0.0.1:1", "--web.listen-address=[::1]:2", "--web.listen-address=:3",
        "--web.telemetry-path=/m", "--web.disable-exporter-metrics", "--collector.disable-defaults",
        "--collector.queues", "--no-collector.limits", "--collector.queues.include=a.*",
        "--collector.queues.exclude=ab", "--collector.queues.max-series=0", "--collector.queues.sample-interval=500ms",
        "--collector.queues.peak-window=5m", "--collector.limits.profile=large", "--path.procfs=/host/proc", "--once",
    )  # fmt: skip
    queues = found.of(QueueSettings)
    assert found.listen == (Address("127.0.0.1", 1), Address("::1", 2), Address("", 3))
    assert (found.telemetry_path, found.exporter_metrics, found.collector_defaults) == ("/m", False, False)
    assert found.collectors == {"queues": True, "limits": False}
    assert [queues.wants(queue) for queue in ("a", "ab", "abc", "xa")] == [True, False, True, False]
    assert (queues.max_series, queues.sample_interval, queues.peak_window) == (0, 0.5, 300)
    assert (found.of(LimitSettings).profile, found.procfs, found.once) == ("large", Path("/host/proc"), True)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--no-such-flag"], "--no-such-flag"),
        (["--web.listen"], "--web.listen"),  # no abbreviations: they would change their meaning with new flags
        (["surplus"], "surplus"),
        (["--web.listen-address=10049"], "'10049' is not an address"),
        (["--web.listen-address=::1:10049"], "[::1]:10049"),
        (["--web.listen-address=:70000"], "above 65535"),
        (["--web.telemetry-path="], "'' is not a path"),
        (["--web.telemetry-path=metrics"], "'metrics' is not a path"),
        (["--web.telemetry-path=/m?x=1"], "'/m?x=1' is not a path"),
        (["--collector.queues.include=("], "'(' is not a regular expression"),
        (["--collector.queues.exclude=*"], "'*' is not a regular expression"),
        (["--collector.queues.max-series=-1"], "'-1' is not a number of queues"),
        (["--collector.queues.max-series=many"], "'many' is not a number of queues"),
        (["--collector.queues.sample-interval=1"], "'1' is not a duration"),
        (["--collector.queues.sample-interval=0s"], "'0s' is not a duration"),
        (["--collector.queues.peak-window=1m5"], "'1m5' is not a duration"),
        (["--collector.limits.profile=huge"], "huge"),
        (["--log.level=loud"], "loud"),
        (["--log.format=xml"], "xml"),
        (["--config.file=/no/such/file"], "/no/such/file: No such file or directory"),
        (["--config.file=/"], "cannot read the configuration /"),
    ],
)
def test_bad_flags(capsys: pytest.CaptureFixture[str], flags: list[str], named: str) -> None:
    assert named in refused(capsys, *flags)


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ("queus:\n", 1, "unknown key 'queus' in the configuration"),
        ("queues:\n  names: []\n  nams: []\n", 3, "unknown key 'nams' in queues"),
        ("queues: {}\nqueues: {}\n", 2, "'queues' is given twice"),
        ("- a\n", 1, "the configuration must be a mapping"),
        ("queues:\n  names: status\n", 2, "queues.names must be a list"),
        ("queues:\n  names:\n    - {key: 1}\n", 3, "needs the key 'name'"),
        ("queues:\n  names:\n    - {name: a}\n", 3, "'a' needs a key or an ftok"),
        ("queues:\n  names:\n    - {name: a, key: 1, ftok: {path: /x, id: 1}}\n", 3, "needs a key or an ftok"),
        ("queues:\n  names:\n    - {name: a, key: 1}\n    - {name: a, key: 2}\n", 4, "'a' is given twice"),
        ("queues:\n  names:\n    - {name: a, key: 1}\n    - {name: b, key: 0x1}\n", 4, "already has the name 'a'"),
        ("queues:\n  names:\n    - {name: a, key: -1}\n    - {name: b, key: 0xffffffff}\n", 4, "has the name 'a'"),
        ("queues:\n  names:\n    - {name: a, key: one}\n", 3, "expected a whole number"),
        pytest.param(
            f"queues:\n  names:\n    - {{name: a, key: {'9' * 5000}}}\n", 3, "expected a whole number", id="long-number"
        ),
        ("queues:\n  names:\n    - {name: a, key: 0}\n", 3, "key 0 is IPC_PRIVATE"),
        ("queues:\n  names:\n    - {name: a, key: 0x100000000}\n", 3, "does not fit into the 32 bits"),
        ("queues:\n  names:\n    - {name: '', key: 1}\n", 3, "expected text"),
        ("queues:\n  names:\n    - {name: 0x00000001, key: 2}\n", 3, "is a label of queues without a name"),
        ("queues:\n  names:\n    - {name: 'private:7', key: 2}\n", 3, "is a label of queues without a name"),
        ("queues:\n  names:\n    - {name: other, key: 2}\n", 3, "is a label of queues without a name"),
        ("queues:\n  names:\n    - name: a\n      ftok: {path: /x}\n", 4, "ftok needs the key 'id'"),
        ("queues:\n  names:\n    - name: a\n      ftok: {path: /x, id: 256}\n", 4, "must not be 0"),
        ("queues: [\n", 2, "not YAML"),
        ("a: b: c\n", 1, "not YAML"),
        ("servers:\n  - {log: /var/log/openvpn.log}\n", 2, "needs the key 'name'"),
        ("servers:\n  - name: a\n    log: server.log\n", 3, "not an absolute path"),
        ("servers:\n  - {name: a, log: /a}\n  - {name: a, log: /b}\n", 3, "'a' is given twice"),
        ("servers:\n  - {name: a, log: /a, journal: a.service}\n", 2, "both log and journal"),
        ("servers:\n  - {name: a, journal: openvpn}\n", 2, "not a systemd unit"),
        ("servers:\n  - {name: a, management: /run/x}\n", 2, "not a management address"),
        ("servers:\n  - {name: a, management: 'tcp:::1:7505'}\n", 2, "not a management address"),
        ("servers:\n  - {name: a, management: 'tcp:localhost:70000'}\n", 2, "not a management address"),
        ("servers:\n  - {name: a, management: 'tcp:local host:7505'}\n", 2, "not a management address"),
        ("servers:\n  - {name: a, status_interval: 60}\n", 2, "'60' is not a duration"),
        ("servers:\n  - {name: a, per_client: yes}\n", 2, "expected true or false"),
        ("servers:\n  - {name: a, status: /a, per_client: true}\n", 2, "per_client, which needs management"),
        ("servers:\n  - {name: a, max_clients: 0}\n", 2, "at least 1"),
        ("servers:\n  - {name: a}\n", 2, "'a' has nothing to watch"),
        ("servers:\n  - {name: a, log: '/var/log/*.log'}\n", 2, "'/var/log/*.log' is a pattern"),
        ("servers:\n  - {name: a, log: /a, management_interval: 1m}\n", 2, "interval, which needs management"),
        ("servers:\n  - {name: a, log: /a, management_timeout: 1m}\n", 2, "management_timeout, which needs management"),
        ("servers:\n  - {name: a, log: /a, management_password_file: /b}\n", 2, "_file, which needs management"),
        ("servers:\n  - {name: a, log: /a, max_clients: 5}\n", 2, "max_clients, which needs management"),
        ("servers:\n  - {name: a, log: /a, status_interval: 1m}\n", 2, "status_interval, which needs status"),
        ("servers:\n  - name: a\n    management_interval: 1ms\n", 3, "1ms is too short; give 1s or more"),
        ("servers:\n  - {name: a, management_timeout: 99ms}\n", 2, "99ms is too short; give 100ms or more"),
        ("servers:\n  - {name: a, status_interval: 500ms}\n", 2, "500ms is too short; give 1s or more"),
        (f"servers:\n  - {{name: a, management: unix:/{'x' * 107}}}\n", 2, "can have 107 bytes at most"),
        ("servers:\n  - {name: a, management: unix:/a}\n  - {name: b, management: unix:/x/../a}\n", 3, "'a' and 'b'"),
        ("servers:\n  - {name: a, management: 'tcp:H:1'}\n  - {name: b, management: 'tcp:h:1'}\n", 3, "same manag"),
        ("servers:\n  - {name: a, status: /s/t}\n  - {name: b, status: /s/./t}\n", 3, "the same status file: /s/t"),
        ('servers:\n  - {name: a, log: "/a\\0b"}\n', 2, "key 'log' of an item of servers: text cannot have"),
        ('servers:\n  - {name: "\\ud800", log: /a}\n', 2, "key 'name' of an item of servers: text cannot have"),
        ('servers:\n  - {name: "a\\nb", log: /a}\n', 2, "text cannot have the character '\\n'"),
        ('log_rules:\n  - {name: a, match: "\\udc80"}\n', 2, "text cannot have the character '\\udc80'"),
        ("servers:\n  - {name: a, management: unix:/a, per_client: yes}\n", 2, "key 'per_client' of an item of server"),
    ],
)  # fmt: skip
def test_bad_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, line: int, named: str
) -> None:
    """The sentence names the file, the line and the thing."""
    path = tmp_path / "config.yml"
    path.write_text(text)
    sentence = refused(capsys, f"--config.file={path}", "--config.check")
    assert f"{path}:{line}: " in sentence
    assert named in sentence


@pytest.mark.parametrize("data", [b"\xff\xfe\xff", b"a: \x00", b"[" * 10_000, b"a" * (2 << 20)])
def test_what_is_not_text_at_all(capsys: pytest.CaptureFixture[str], tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(data)
    assert str(path) in refused(capsys, f"--config.file={path}")


def test_a_configuration_that_may_not_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if os.geteuid() == 0:
        path = tmp_path  # root may read every file, but no folder as a file
    else:
        path = tmp_path / "config.yml"
        path.touch(mode=0)
    assert re.search(
        r"cannot read the configuration .*: (Permission denied|not a regular file)",
        refused(capsys, f"--config.file={path}"),
    )


def test_a_full_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yml"
    path.write_text("""
queues:
  names:
    - {name: status, key: 0x4f560001}
    - {name: commands, ftok: {path: /etc/openvpn/server.conf, id: 1}}
    - {name: 'with "quotes"', key: -2}
servers:
  - name: udp1194
    log: /var/log/openvpn/server.log
    hooks: /var/log/openvpn-mq/hooks.jsonl
    management: unix:/run/openvpn/server.sock
    management_password_file: /etc/openvpn/management.password
    management_interval: 30s
    management_timeout: 500ms
    per_client: true
    max_clients: 10
    status: /run/openvpn-server/status-server.log
    status_interval: 1m
  - name: tcp443
    journal: openvpn-server@tcp443.service
    management: tcp:[::1]:7505
""")
    config = settings(f"--config.file={path}").config
    assert config.queue_names == (
        NamedQueue("status", 0x4F560001),
        NamedQueue("commands", Ftok("/etc/openvpn/server.conf", 1)),
        NamedQueue('with "quotes"', 0xFFFFFFFE),
    )
    assert config.servers == (
        OpenVpnServer(
            name="udp1194",
            log=Path("/var/log/openvpn/server.log"),
            hooks=Path("/var/log/openvpn-mq/hooks.jsonl"),
            management=UnixAddress("/run/openvpn/server.sock"),
            management_password_file=Path("/etc/openvpn/management.password"),
            management_interval=30,
            management_timeout=0.5,
            per_client=True,
            max_clients=10,
            status=Path("/run/openvpn-server/status-server.log"),
            status_interval=60,
        ),
        OpenVpnServer(name="tcp443", journal="openvpn-server@tcp443.service", management=TcpAddress("::1", 7505)),
    )
    assert main([f"--config.file={path}", "--config.check"]) == 0
    assert capsys.readouterr().out == f"{path}: OK\n"


def test_an_empty_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.touch()
    assert settings(f"--config.file={path}").config == Settings().config


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("1s", 1), ("5m", 300), ("1h30m", 5400), ("1d", 86400), ("2w", 1209600), ("1m500ms", 60.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "s", "1.5s", "-1s", "1s1m", "1 s", "0s", "1sm", "9" * 40 + "s"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it as"):
        parse_duration(text)


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """The system refuses: status 1, and the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = refused(capsys, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error", status=1)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in sentence
    assert "--web.listen-address" in sentence


def test_an_address_that_is_not_ours(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refused(capsys, "--web.listen-address=192.0.2.1:0", "--log.level=error", status=1)
    assert "cannot listen on 192.0.2.1:0: Cannot assign requested address" in sentence


def test_what_is_no_host_name(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refused(capsys, "--web.listen-address=vpn..example.org:0", "--log.level=error", status=1)
    assert "cannot listen on vpn..example.org:0: it is not a host name; choose another" in sentence


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in 80 columns, which argparse takes a pipe for."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("exporter.cli.revision", lambda: "0123456789abcdef" * 3)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, text in (("--version", "openvpn-mq-exporter 0."), ("--help", "--collector.queues.max-series")):
        with pytest.raises(SystemExit) as ended:
            main([flag])
        assert ended.value.code == 0
        assert text in capsys.readouterr().out
