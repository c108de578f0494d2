"""A command line and its files, merged as OpenVPN merges them."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.model import TcpAddress, UnixAddress
from exporter.discovery.addresspool import Pool, pool_size
from exporter.discovery.directives import from_argv, from_text
from exporter.discovery.merge import MAX_DEPTH, read_options
from exporter.discovery.options import MANAGEMENT_PART, Certificate, OpenVpnOptions, Script

FOLDER = PurePosixPath("/etc/openvpn/server")


def options(*argv: str, folder: PurePosixPath | None = FOLDER, **files: str) -> OpenVpnOptions:
    """What `openvpn ARGV` started in `folder` was told; files by their path with _ for / and __ for a dot."""
    texts = {PurePosixPath("/" + name.replace("__", ".").replace("_", "/")): text for name, text in files.items()}

    def read(path: PurePosixPath) -> str:
        if path not in texts:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return texts[path]

    return read_options(["openvpn", *argv], folder, read)


def written(text: str) -> OpenVpnOptions:
    """What a configuration file alone says."""
    return options("--config", "/c", c=text)


def test_the_file_stands_where_the_command_line_names_it() -> None:
    """What comes before it is overridden by it, what comes after it overrides it."""
    argv = ["--verb", "5", "--mute", "3", "--config", "/c", "--mute", "7"]
    merged = options(*argv, c="verb 4\nmute 6\nmax-clients 20\n")
    assert (merged.verb, merged.mute, merged.max_clients) == (4, 7, 20)


def test_a_single_word_is_the_configuration() -> None:
    assert options("server.conf", etc_openvpn_server_server__conf="verb 9").verb == 9


def test_defaults_are_those_of_openvpn() -> None:
    merged = written("")
    assert (merged.verb, merged.mute, merged.max_clients, merged.status_interval, merged.mode) == (
        1,
        0,
        1024,
        60,
        "p2p",
    )
    assert merged.config == PurePosixPath("/c")
    assert merged.faults == ()


def test_cd_holds_for_what_follows_and_for_all_that_is_opened_later() -> None:
    """The log is opened at once, the status file when all is read."""
    merged = written("log a.log\nstatus s.log 10\ncd /srv/vpn\nclient-connect up.sh\nca ca.crt\n")
    assert merged.log == FOLDER / "a.log"
    assert merged.status == PurePosixPath("/srv/vpn/s.log")
    assert merged.status_interval == 10
    assert merged.scripts == (Script("client-connect", ("up.sh",), PurePosixPath("/srv/vpn/up.sh")),)
    assert merged.certificates == (Certificate("ca", PurePosixPath("/srv/vpn/ca.crt"), None),)


def test_cd_before_config() -> None:
    """As Debian's openvpn@.service does it."""
    argv = [
        "--daemon",
        "ovpn-a",
        "--status",
        "/run/openvpn/a.status",
        "10",
        "--cd",
        "/etc/openvpn",
        "--config",
        "a.conf",
    ]
    merged = options(*argv, folder=None, etc_openvpn_a__conf="server 10.8.0.0 255.255.255.0\n")
    assert merged.mode == "server"
    assert merged.syslog_tag == "ovpn-a"
    assert (merged.status, merged.status_interval) == (PurePosixPath("/run/openvpn/a.status"), 10)


def test_relative_paths_without_a_folder_are_faults() -> None:
    merged = options("--config", "server.conf", "--status", "s", folder=None)
    assert merged.status is None
    assert [fault.path for fault in merged.faults] == ["server.conf", "s"]


def test_a_status_file_that_is_never_written() -> None:
    """With 0 seconds OpenVPN makes the file, and leaves it empty."""
    assert written("status /a 5\nstatus /b 0\n").status is None
    assert written("status /a 0\nstatus /b 5\n").status == PurePosixPath("/b")


def test_the_first_log_is_kept_and_wins_over_syslog() -> None:
    merged = written("daemon\nlog-append /a\nlog /b\n")
    assert merged.log == PurePosixPath("/a")


def test_nested_configurations() -> None:
    merged = options("--config", "/a", a="verb 2\nconfig b\nmute 1\n", etc_openvpn_server_b="verb 6\nmute 9\n")
    assert (merged.verb, merged.mute) == (6, 1)
    assert merged.config == PurePosixPath("/a")


def test_configurations_that_name_each_other_end() -> None:
    merged = options("--config", "/a", a="verb 7\nconfig /a\n")
    assert merged.verb == 7
    assert [fault.path for fault in merged.faults] == ["/a"]
    assert str(MAX_DEPTH) in merged.faults[0].reason


def test_inline_blocks_are_text_and_not_options() -> None:
    text = (
        "<ca>\n-----BEGIN CERTIFICATE-----\nverb 11\n  </ca>\nverb 3\n<connection>\nremote a\n</connection>\nmute 2\n"
    )
    merged = written(text)
    assert (merged.verb, merged.mute) == (3, 2)
    assert merged.certificates == (Certificate("ca", None, "-----BEGIN CERTIFICATE-----\nverb 11\n"),)


def test_an_inline_block_without_an_end_is_a_fault() -> None:
    assert [fault.reason for fault in written("verb 3\n<ca>\nverb 4\n").faults] == ["line 2: </ca> is missing"]


def test_lines_that_openvpn_would_refuse_are_faults_and_the_rest_counts() -> None:
    merged = written('up "/x\n\ufeff\nverb 4\n' + "x" * 256)
    assert merged.verb == 4
    assert [fault.reason.partition(":")[0] for fault in merged.faults] == ["line 1", "line 4"]


def test_a_byte_order_mark_dashes_and_carriage_returns() -> None:
    assert written("\ufeffverb 4\r\n--mute 5\r\n").verb == 4
    assert written("\ufeffverb 4\r\n--mute 5\r\n").mute == 5


def test_setenv_opt_is_the_option_itself() -> None:
    assert written("setenv opt max-clients 7\nsetenv verb 9\n").max_clients == 7


def test_configuration_from_standard_input_is_a_fault() -> None:
    merged = options("--errors-to-stderr", "--config", "stdin")
    assert merged.config_is_stdin
    assert [fault.path for fault in merged.faults] == ["stdin"]


def test_scripts_are_cut_and_the_last_one_of_a_hook_counts() -> None:
    merged = written(
        'client-connect "/x/a b"\nclient-connect "/x/hook --queue 5 -- \'/x/my script\' arg"\n'
        "auth-user-pass-verify /x/auth via-env\ntls-verify '/x/verify 1'\ndns-updown disable\n"
    )
    assert merged.scripts == (
        Script("auth-user-pass-verify", ("/x/auth",), PurePosixPath("/x/auth")),
        Script("client-connect", ("/x/hook", "--queue", "5", "--", "/x/my script", "arg"), PurePosixPath("/x/hook")),
        Script("tls-verify", ("/x/verify", "1"), PurePosixPath("/x/verify")),
    )


def test_plugins_that_openvpn_ships_have_known_hooks() -> None:
    merged = written("plugin /usr/lib/openvpn/openvpn-plugin-auth-pam.so login\nplugin /opt/radius.so\n")
    assert [(plugin.path, plugin.hooks) for plugin in merged.plugins] == [
        ("/usr/lib/openvpn/openvpn-plugin-auth-pam.so", ("auth-user-pass-verify",)),
        ("/opt/radius.so", ()),
    ]


def test_chroot_moves_scripts_and_the_revocation_list() -> None:
    """Certificates are read before OpenVPN goes there."""
    merged = written("chroot /jail\nclient-connect /bin/c\nca /ca.crt\ncrl-verify /crl.pem\n")
    assert [script.path for script in merged.scripts] == [PurePosixPath("/jail/bin/c")]
    assert [(one.kind, str(one.path)) for one in merged.certificates] == [("ca", "/ca.crt"), ("crl", "/jail/crl.pem")]


def test_a_folder_of_revoked_serials_has_no_time() -> None:
    assert written("crl-verify /crl dir\n").certificates == ()


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("management 127.0.0.1 7505", TcpAddress("127.0.0.1", 7505)),
        ("management 0.0.0.0 7505 /etc/pw", TcpAddress("127.0.0.1", 7505)),
        ("management :: 7505", TcpAddress("::1", 7505)),
        ("management /run/m.sock unix", UnixAddress("/run/m.sock")),
        ("management m.sock unix", UnixAddress("/etc/openvpn/server/m.sock")),
        # Once said, OpenVPN does not forget the word `unix`.
        ("management /run/m.sock unix\nmanagement /run/n.sock 1", UnixAddress("/run/n.sock")),
        ("management tunnel 7505", None),
    ],
)
def test_management_address(line: str, address: object) -> None:
    management = written(line).management
    assert management is not None
    assert management.address == address
    assert bool(management.part) == (address is None)


@pytest.mark.parametrize("option", sorted(MANAGEMENT_PART))
def test_management_with_a_part_for_its_client(option: str) -> None:
    management = written(f"management /run/m unix\n{option} x y\n").management
    assert management is not None
    assert management.part == (option,)


def test_management_without_a_part() -> None:
    management = written("management 127.0.0.1 7505 pw\nmanagement-log-cache 100\n").management
    assert management is not None
    assert management.part == ()
    assert management.password_file == FOLDER / "pw"


def test_a_password_typed_at_the_start_is_a_part() -> None:
    management = written("management 127.0.0.1 7505 stdin\n").management
    assert management is not None
    assert management.part


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("server 10.8.0.0 255.255.255.0", "server"),
        ("mode server\ntls-server", "server"),
        ("server-bridge", "server"),
        ("client", "client"),
        ("tls-client\npull", "client"),
        ("secret static.key", "p2p"),
    ],
)
def test_mode(text: str, mode: str) -> None:
    assert written(text).mode == mode


@pytest.mark.parametrize(
    ("text", "sizes"),
    [  # of 2.4, 2.6, 2.7, and of a version that is not known
        ("dev tun\nserver 10.8.0.0 255.255.255.0\ntopology subnet", (252, 253, 253, None)),
        ("dev tun\nserver 10.8.0.0 255.255.255.0\ntopology net30", (62, 62, 62, 62)),
        ("dev tun\nserver 10.8.0.0 255.255.255.0\ntopology p2p", (248, 248, 248, 248)),
        ("dev tun\nserver 10.8.0.0 255.255.255.0", (62, 62, 253, None)),
        ("dev tun\nserver 10.8.0.0 255.255.255.248\ntopology net30", (1, 1, 1, 1)),
        ("dev tap0\nserver 10.8.0.0 255.255.255.0", (253, 253, 253, 253)),
        ("dev vpn\ndev-type tun\nserver 10.0.0.0 255.255.0.0\ntopology subnet", (65532, 65533, 65533, None)),
        ("dev tun\nserver 10.8.0.0 255.255.255.0 nopool", (None, None, None, None)),
        (
            "dev tun\nserver 10.8.0.0 255.255.255.0 nopool\nifconfig-pool 10.8.0.10 10.8.0.19\ntopology subnet",
            (10,) * 4,
        ),
        ("dev tap\nserver-bridge 10.8.0.4 255.255.255.0 10.8.0.128 10.8.0.254", (127,) * 4),
        ("dev tap\nserver-bridge", (None,) * 4),
        ("dev tun\nserver vpn.example.com 255.255.255.0", (None,) * 4),
    ],
)
def test_pool_size(text: str, sizes: tuple[int | None, ...]) -> None:
    pool = written(text).pool
    versions = ((2, 4), (2, 6), (2, 7), None)
    assert tuple(pool and pool_size(pool, version) for version in versions) == sizes


def test_a_pool_is_never_larger_than_openvpn_makes_it() -> None:
    assert pool_size(Pool(0, 1 << 24, False, "tun", "subnet"), None) == 65536


ARGUMENT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(
    lambda text: not text.startswith("--")
)
OPTION = st.from_regex(r"[a-z]{2,10}(-[a-z]{1,5})?", fullmatch=True)


@given(st.lists(st.tuples(OPTION, st.lists(ARGUMENT, max_size=15)), min_size=1, max_size=8))
def test_a_command_line_comes_back(wanted: list[tuple[str, list[str]]]) -> None:
    argv = ["openvpn", *(word for name, arguments in wanted for word in (f"--{name}", *arguments))]
    assert [(one.name, list(one.arguments)) for one in from_argv(argv)] == wanted


@given(st.lists(st.tuples(OPTION, st.lists(ARGUMENT, max_size=3)), max_size=8))
def test_a_file_says_the_same_as_a_command_line(wanted: list[tuple[str, list[str]]]) -> None:
    def quote(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    text = "".join(" ".join([name, *map(quote, arguments)]) + "\n" for name, arguments in wanted)
    directives, faults = from_text(text)
    assert not faults
    assert [(one.name, list(one.arguments)) for one in directives] == wanted


@given(st.text(st.sampled_from("ab<>/ca \n\"'\\#-0"), max_size=300), st.lists(st.text(max_size=20), max_size=6))
def test_no_text_and_no_command_line_raises(text: str, argv: list[str]) -> None:
    merged = read_options(["openvpn", *argv, "--config", "/c"], FOLDER, lambda _: text)
    assert merged.status_interval > 0
