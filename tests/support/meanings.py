"""Messages of OpenVPN, and what each means."""

from exporter.openvpn.messages import (
    Drop,
    Event,
    Failure,
    Meaning,
    Notice,
    Suppressed,
)

FAILED = "WARNING: Failed running command"
MEANINGS: dict[str, Meaning | None] = {
    f"{FAILED} (--client-connect): external program exited with error status: 3": Failure(
        "client-connect", "exit_status"
    ),
    f"{FAILED} (--client-disconnect): external program did not exit normally": Failure("client-disconnect", "signal"),
    f"{FAILED} (--learn-address): could not execute external program": Failure("learn-address", "not_executable"),
    f"{FAILED} (--auth-user-pass-verify): disallowed by script-security setting": Failure(
        "auth-user-pass-verify", "script_security"
    ),
    f"{FAILED} (--tls-verify script): external program fork failed": Failure("tls-verify", "fork_failed"),
    f"{FAILED} (--tls-crypt-v2-verify): external program exited with error status: 1": Failure(
        "tls-crypt-v2-verify", "exit_status"
    ),
    f"{FAILED} (--client-crresponse): external program exited with error status: 1": Failure(
        "client-crresponse", "exit_status"
    ),
    f"{FAILED} (--route-up): external program exited with error status: 1": Failure("route-up", "exit_status"),
    f"{FAILED} (--up/--down): external program exited with error status: 1": Failure("up-down", "exit_status"),
    f"{FAILED} (--ipchange): external program exited with error status: 1": Failure("ipchange", "exit_status"),
    f"{FAILED} (dns updown): external program exited with error status: 1": Failure("dns-updown", "exit_status"),
    "WARNING: Failed running dns updown: could not execute external program": Failure("dns-updown", "not_executable"),
    f"{FAILED} (--something-new): external program vanished": Failure("other", "other"),
    "PLUGIN_CALL: plugin function PLUGIN_CLIENT_CONNECT_V2 failed with status 1: /usr/lib/x.so": Failure(
        "client-connect", "plugin"
    ),
    "PLUGIN_CALL: plugin function PLUGIN_LEARN_ADDRESS failed with status 1: /usr/lib/x.so": Failure(
        "learn-address", "plugin"
    ),
    "PLUGIN_CALL: plugin function PLUGIN_TLS_FINAL failed with status 1: /usr/lib/x.so": Failure("plugin", "plugin"),
    "PLUGIN_CALL: plugin function PLUGIN_AUTH_USER_PASS_VERIFY failed with status 1: /usr/lib/pam.so": None,
    "WARNING: client-connect-v2 plugin call failed": None,
    "WARNING: learn-address plugin call failed": None,
    "MULTI: deferred --client-connect script returned CC_RET_FAILED": Failure("client-connect", "deferred"),
    "NOTE: --mute triggered...": None,
    "17 variation(s) on previous 3 message(s) suppressed by --mute": Suppressed(17),
    "MULTI: new incoming connection would exceed maximum number of clients (100)": Event("max_clients"),
    "MULTI: Connection from 192.0.2.1:5 would exceed new connection frequency limit as controlled by --connect-freq": (
        Event("connect_freq")
    ),
    "Note: --connect-freq-initial 100 10 rate limit exceeded, dropping initial handshake packets for the next 10 "
    "seconds": Event("connect_freq_initial"),
    "Dropped 42 initial handshake packets due to --connect-freq-initial 100 10": Drop("handshake_rate", 42),
    "MULTI: no free --ifconfig-pool addresses are available": Event("pool_exhausted"),
    "TLS Error: TLS handshake failed": Event("tls_error"),
    "TLS Auth Error: Auth Username/Password verification failed for peer": Event("auth_failed"),
    "Exiting due to fatal error": Event("fatal_exit"),
    "MULTI: Learn FAILED: 10.8.0.2 -> alice/192.0.2.1:5": Event("learn_failed"),
    "MULTI: packet dropped due to output saturation (multi_process_incoming_tun)": Drop("output_saturation", 1),
    "MULTI: packet dropped due to output saturation (multi_add_mbuf)": Drop("output_saturation", 1),
    "MBUF: mbuf packet dropped": Drop("mbuf", 1),
    "MULTI: Outgoing TUN queue full, dropped packet len=1400": Drop("tun_queue", 1),
    "Initialization Sequence Completed": Notice(started=False),
    "[alice] Peer Connection Initiated with [AF_INET]192.0.2.1:5": Notice(started=False),
    "[] Peer Connection Initiated with [AF_INET6]2001:db8::1:5": Notice(started=False),
    "OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)] [LZO]": Notice(started=True),
    "OpenVPN 2.7_rc2 x86_64-pc-linux-gnu": Notice(started=True),
    "OpenVPN is nice": None,
    "peer info: IV_PLAT=linux": None,
    "": None,
}
