"""Command lines of OpenVPN's children, as OpenVPN 2.6 writes them."""

import pytest

from exporter.discovery.options import Script
from exporter.process_events.commands import Commands, hooks_of

CC = "/tmp/openvpn_cc_7aaaf5a060325db02afd051ea81a8420.tmp"  # noqa: S108  # as OpenVPN names it
UP = "/tmp/openvpn_up_6fcda3916ffc3d0f454983ef46b25cbe.tmp"  # noqa: S108
CR = "/tmp/openvpn_cr_6fcda3916ffc3d0f454983ef46b25cbe.tmp"  # noqa: S108
TUN = ["tun0", "1500", "0", "10.8.0.1", "255.255.255.0", "init"]
UNREADABLE = Commands((), complete=False, plugins=False)


def commands(*scripts: tuple[str, str], plugins: bool = False, complete: bool = True) -> Commands:
    found = tuple(Script(hook, tuple(words.split()), None) for hook, words in scripts)
    return Commands(found, complete=complete, plugins=plugins)


@pytest.mark.parametrize(
    ("words", "hooks"),
    [
        (["/bin/sh", "/etc/openvpn/a.sh", CC], {"client-connect"}),
        (["/etc/openvpn/a", UP], {"auth-user-pass-verify"}),
        (["/etc/openvpn/a", CR], {"client-crresponse"}),
        (["/bin/sh", "/etc/openvpn/a.sh", "add", "10.8.0.2", "alice"], {"learn-address"}),
        (["/bin/sh", "/etc/openvpn/a.sh", "update", "fd00::2", "al ice"], {"learn-address"}),
        (["/etc/openvpn/a.sh", "delete", "10.8.0.0/24"], {"learn-address"}),
        (["/bin/sh", "/etc/openvpn/a.sh", *TUN], {"up", "down"}),
        (["/bin/sh", "/etc/openvpn/a.sh", "1", "CN=ca"], {"tls-verify"}),
        (["/bin/sh", "/etc/openvpn/a.sh", "198.51.100.7", "1194"], {"ipchange"}),
        (["/bin/sh", "/etc/openvpn/a.sh"], {"other"}),
        (["/sbin/ip", "link", "set", "dev", "tun0", "up"], set()),
        (["/usr/sbin/ifconfig", "tun0", "10.8.0.1"], set()),
        (["/bin/systemd-ask-password", "Enter Auth Username:"], set()),
    ],
)
def test_without_a_configuration(words: list[str], hooks: set[str]) -> None:
    """OpenVPN's own arguments tell, and nothing else does."""
    assert hooks_of(words, UNREADABLE) == hooks


def test_the_configuration_names_the_script() -> None:
    known = commands(("client-disconnect", "/etc/openvpn/bye.sh"), ("route-up", "/etc/openvpn/route.py -v"))
    assert hooks_of(["/bin/sh", "/etc/openvpn/bye.sh"], known) == {"client-disconnect"}
    assert hooks_of(["/usr/bin/python3", "-I", "/etc/openvpn/route.py", "-v"], known) == {"route-up"}
    assert hooks_of(["/etc/openvpn/bye.sh"], known) == {"client-disconnect"}  # a binary


def test_arguments_of_the_option_tell_two_hooks_of_one_script_apart() -> None:
    known = commands(("client-disconnect", "/s.sh bye"), ("route-up", "/s.sh route"), ("up", "/s.sh"))
    assert hooks_of(["/bin/sh", "/s.sh", "bye"], known) == {"client-disconnect"}
    assert hooks_of(["/bin/sh", "/s.sh", "route"], known) == {"route-up"}
    assert hooks_of(["/bin/sh", "/s.sh", *TUN], known) == {"up"}


def test_openvpns_arguments_tell_hooks_of_one_script_apart() -> None:
    hooks = ("client-connect", "client-disconnect", "learn-address", "up", "down", "tls-verify")
    known = commands(*((hook, "/s.sh") for hook in hooks))
    assert hooks_of(["/bin/sh", "/s.sh", CC], known) == {"client-connect"}
    assert hooks_of(["/bin/sh", "/s.sh"], known) == {"client-disconnect"}
    assert hooks_of(["/bin/sh", "/s.sh", "delete", "10.8.0.2"], known) == {"learn-address"}
    assert hooks_of(["/bin/sh", "/s.sh", *TUN], known) == {"up", "down"}
    assert hooks_of(["/bin/sh", "/s.sh", "0", "CN=alice"], known) == {"tls-verify"}


def test_a_wrapped_script_has_its_own_hook() -> None:
    wrapper = "/usr/bin/openvpn-mq-hook --queue 0x4f560001 --"
    known = commands(("client-connect", f"{wrapper} /c.sh"), ("client-disconnect", f"{wrapper} /d.sh"))
    python = ["/usr/bin/python3", "-I"]
    assert hooks_of([*python, *f"{wrapper} /c.sh".split(), CC], known) == {"client-connect"}
    assert hooks_of([*python, *f"{wrapper} /d.sh".split()], known) == {"client-disconnect"}


def test_what_is_none_of_the_scripts() -> None:
    """A script may have become another program by the time it is looked at; with plugins, it may be theirs."""
    words = ["/usr/bin/sleep", "5"]
    assert hooks_of(words, commands(("up", "/up.sh"))) == {"other"}
    assert hooks_of(words, commands(("up", "/up.sh"), plugins=True)) == set()
    assert hooks_of(["/bin/sh", "/up.sh", *TUN], commands(("up", "/up.sh"), plugins=True)) == {"up"}


def test_a_configuration_that_is_known_in_part() -> None:
    """The rest is told by the arguments."""
    known = commands(("up", "/up.sh"), complete=False)
    assert hooks_of(["/bin/sh", "/c.sh", CC], known) == {"client-connect"}
    assert hooks_of(["/bin/sh", "/up.sh", *TUN], known) == {"up"}
