"""What may stand before OpenVPN's own text: its stamps, and what carries its lines."""

STAMPS = [
    "",
    "2026-11-23 20:40:09",
    "2026-11-23 20:40:09 us=123456",
    "Mon Nov 23 20:40:09 2026",
    "Mon Nov  3 20:40:09 2026 us=7",
    "1795477816.002053 14000002",
]
CARRIERS = {  # by carrier, the syslog tag in it
    "": "",
    "Nov 23 20:40:09 vpn1 ovpn-server[4711]: ": "ovpn-server",
    "Nov  3 20:40:09 vpn1.example.net openvpn: ": "openvpn",
    "2026-11-23T20:40:09.123456+00:00 vpn1 ovpn-server[4711]: ": "ovpn-server",
    "2026-11-23T20:40:09+01:00 fe80::1 ovpn-server[4711]: ": "ovpn-server",
    "2026-11-23T20:40:09.123456+00:00 vpn1 my vpn[4711]: ": "my vpn",
    "<29>Nov 23 20:40:09 vpn1 ovpn-server[4711]: ": "ovpn-server",
    # RFC 5424, as rsyslog's template writes it, and with structured data
    "<29>1 2026-11-23T20:40:09.123456+00:00 vpn1 ovpn-server 4711 - -  ": "ovpn-server",
    '<29>1 2026-11-23T20:40:09.123456+00:00 vpn1 ovpn-server 4711 - [a b="]x"] '.replace("]x", "\\]x"): "ovpn-server",
    "1 2026-11-23T20:40:09Z vpn1 openvpn - - - \ufeff": "openvpn",
    # BusyBox's syslogd, with -S and without, and OpenWrt's logread
    "Nov 23 20:40:09 vm daemon.notice ovpn-server[8058]: ": "ovpn-server",
    "Nov 23 20:40:09 vm daemon.notice my vpn[8058]: ": "my vpn",
    "Nov 23 20:40:09 ovpn-server[8058]: ": "ovpn-server",
    "Mon Nov 23 20:40:09 2026 daemon.notice openvpn(server)[8058]: ": "openvpn(server)",
    # journalctl -o short, short-precise, short-iso, short-iso-precise, short-full, short-unix, short-monotonic
    "Nov 23 20:40:09.123456 vpn1 openvpn[1]: ": "openvpn",
    "2026-11-23T20:40:09+0000 vpn1 openvpn[1]: ": "openvpn",
    "2026-11-23T20:40:09.123456+0000 vpn1 openvpn[1]: ": "openvpn",
    "Mon 2026-11-23 20:40:09 UTC vpn1 openvpn[1]: ": "openvpn",
    "Mon 2026-11-23 20:40:09.123456 +0330 vpn1 openvpn[1]: ": "openvpn",
    "1795477816.002053 vpn1 openvpn[1]: ": "openvpn",
    "[ 1234.567890] vpn1 openvpn[1]: ": "openvpn",
    # containers: podman and containerd, Docker with --timestamps, Docker Compose
    "2026-11-23T20:40:09.123456789+01:00 stdout F ": "",
    "2026-11-23T20:40:09.1Z stderr P ": "",
    "2026-11-23T20:40:09.123456789Z ": "",
    "2026-11-23T20:40:09.123456789+01:00 ": "",
    "vpn-1  | ": "",
    # supervisors: svlogd -t, -tt and -ttt, s6-log T
    "@4000000065a1b2c31a2b3c4d ": "",
    "2026-11-23_20:40:09.12345 ": "",
    "2026-11-23T20:40:09.12345 ": "",
    "2026-11-23 20:40:09.123456789  ": "",
}
