"""The client of the management interface, fed with bytes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.openvpn.clients import Client
from exporter.openvpn.management import LoadStats, ManagementClient, PollError

BANNER = b">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n"
VERSION = b"OpenVPN Version: OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)]\r\nManagement Version: 5\r\nEND\r\n"
STATUS_3 = (
    b"TITLE\tOpenVPN 2.6.14\r\nTIME\t2026-11-23 20:40:09\t1795466409\r\n"
    b"HEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tVirtual IPv6 Address\tBytes Received\t"
    b"Bytes Sent\tConnected Since\tConnected Since (time_t)\tUsername\tClient ID\tPeer ID\tData Channel Cipher\r\n"
    b"CLIENT_LIST\talice\t10.0.0.1:1\t10.8.0.2\t\t11\t22\t2026-11-23 20:39:00\t1795466340\tUNDEF\t0\t0\tAES-256-GCM\r\n"
    b"CLIENT_LIST\tUNDEF\t10.0.0.2:1\t\t\t5\t6\t2026-11-23 20:40:00\t1795466400\tUNDEF\t1\t1\t\r\n"
    b"HEADER\tROUTING_TABLE\tVirtual Address\tCommon Name\tReal Address\tLast Ref\tLast Ref (time_t)\r\n"
    b"ROUTING_TABLE\t10.8.0.2\talice\t10.0.0.1:1\t2026-11-23 20:39:59\t1795466399\r\n"
    b"GLOBAL_STATS\tMax bcast/mcast queue length\t0\r\nEND\r\n"
)
STEPS = [
    (b"", BANNER),
    (b"load-stats\n", b"SUCCESS: nclients=7,bytesin=1234,bytesout=56789\r\n"),
    (b"version\n", VERSION),
    (b"verb\n", b"SUCCESS: verb=4\r\n"),
    (b"status 3\nmute\n", STATUS_3 + b"SUCCESS: mute=0\r\n"),
]
TRANSCRIPT = b"".join(reply for _, reply in STEPS)

REAL_TIME = st.sampled_from(
    [
        *(b"", b">\r\n", b">HOLD:Waiting for hold release:0\r\n", b">CLIENT:ENV,END\r\n", b">BYTECOUNT_CLI:0,1,2\r\n"),
        b">LOG:1795466409,N,SUCCESS: nclients=9,bytesin=9,bytesout=9\r\n",
    ]
)


def no_password() -> bytes:
    raise PollError("auth", "none")


def client(*, per_client: bool = True, details: bool = True) -> ManagementClient:
    return ManagementClient(no_password, details=details, per_client=per_client)


def check_answers(talk: ManagementClient) -> None:
    assert talk.finished
    assert talk.stats == LoadStats(7, 1234, 56789)
    assert (talk.version, talk.verb, talk.mute) == ("2.6.14", 4, 0)
    assert talk.clients == [Client("alice", (b"0", b"1795466340"), 11, 22)]


@given(st.lists(REAL_TIME, min_size=40, max_size=40))
def test_real_time_lines_anywhere_change_no_answer(extra: list[bytes]) -> None:
    talk = client()
    between = iter(extra)
    expected = itertools.chain([command for command, _ in STEPS][1:], [b""])
    for _, reply in STEPS:
        lines = reply.splitlines(keepends=True)
        out = b"".join(talk.receive(line + next(between)) for line in lines)
        assert out == next(expected), "each command is sent when the one before has its whole reply"
    check_answers(talk)
    assert talk.commands == 5


@given(st.lists(st.integers(0, len(TRANSCRIPT)), max_size=30))
def test_answers_do_not_depend_on_how_the_bytes_are_cut(cuts: list[int]) -> None:
    talk = client()
    places = [0, *sorted(cuts), len(TRANSCRIPT)]
    for begin, end in itertools.pairwise(places):
        talk.receive(TRANSCRIPT[begin:end])
    check_answers(talk)


@given(st.lists(st.binary(max_size=80) | st.sampled_from(TRANSCRIPT.splitlines(keepends=True)), max_size=40))
def test_any_bytes_end_in_an_answer_or_a_poll_error(parts: list[bytes]) -> None:
    talk = ManagementClient(lambda: b"secret", per_client=True)
    for part in parts:
        try:
            out = talk.receive(part)
        except PollError:
            return
        assert set(out.splitlines()) <= {b"load-stats", b"version", b"verb", b"mute", b"status 3", b"secret"}


@given(st.integers(0, len(TRANSCRIPT) - 1))
def test_a_dialogue_cut_short_is_not_finished(end: int) -> None:
    talk = client()
    talk.receive(TRANSCRIPT[:end])
    assert not talk.finished
    assert talk.clients is None


def test_a_list_without_its_end_line_is_taken_all_the_same() -> None:
    talk = client()
    talk.receive(TRANSCRIPT.replace(b"queue length\t0\r\nEND\r\n", b"queue length\t0\r\n"))
    check_answers(talk)


def test_details_are_asked_only_when_wanted() -> None:
    talk = client(details=False, per_client=False)
    assert talk.receive(BANNER) == b"load-stats\n"
    assert talk.receive(STEPS[1][1]) == b""
    assert talk.finished
    assert talk.commands == 1
    assert (talk.version, talk.verb, talk.mute, talk.clients) == (None, None, None, None)


def test_a_detail_that_openvpn_does_not_know_stays_unknown() -> None:
    talk = client(per_client=False)
    talk.receive(BANNER + STEPS[1][1] + b"ERROR: unknown command\r\nERROR: unknown command\r\nERROR: unknown\r\n")
    assert talk.finished
    assert talk.stats == LoadStats(7, 1234, 56789)
    assert (talk.version, talk.verb, talk.mute) == (None, None, None)


@pytest.mark.parametrize("pieces", [[b"ENTER PASSWORD:"], [b"ENTER PA", b"SSWORD:"], [b"E", b"NTER PASSWORD", b":"]])
def test_the_password_is_given_at_the_prompt_which_has_no_end_of_line(pieces: list[bytes]) -> None:
    talk = ManagementClient(lambda: b"secret", details=False)
    assert b"".join(map(talk.receive, pieces)) == b"secret\n"
    assert talk.receive(b"SUCCESS: password is correct\r\n" + BANNER) == b"load-stats\n"
    assert talk.commands == 1, "a password is no command"


@pytest.mark.parametrize("reply", [b"ERROR: bad password\r\nENTER PASSWORD:", b"ENTER PASSWORD:"])
def test_a_wrong_password_is_said_so(reply: bytes) -> None:
    """OpenVPN 2.6 just asks again."""
    talk = ManagementClient(lambda: b"guess")
    talk.receive(b"ENTER PASSWORD:")
    with pytest.raises(PollError, match="refuses the password") as caught:
        talk.receive(reply)
    assert caught.value.reason == "auth"


@pytest.mark.parametrize(
    "reply",
    [
        b"ERROR: command not allowed\r\n",
        b"SUCCESS: pid=17\r\n",
        b"SUCCESS: nclients=-1,bytesin=0,bytesout=0\r\n",
        b"SUCCESS: nclients=1,bytesin=2\r\n",
        b"SUCCESS: nclients=1,bytesin=2,bytesout=" + b"9" * 30 + b"\r\n",
        b"\r\n",
    ],
)
def test_a_reply_that_is_not_load_stats_is_a_protocol_error(reply: bytes) -> None:
    talk = client()
    talk.receive(BANNER)
    with pytest.raises(PollError, match="answered load-stats with") as caught:
        talk.receive(reply)
    assert caught.value.reason == "protocol"


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n", b"\r\n", b"220 smtp ready\n", b"\x00\xff\n"])
def test_who_greets_otherwise_is_not_openvpn(greeting: bytes) -> None:
    with pytest.raises(PollError, match="is it OpenVPN's management interface") as caught:
        client().receive(greeting)
    assert caught.value.reason == "protocol"


FLOODS = {
    "no newline": b"x" * 65536,
    "log lines": b">LOG:0,N,noise\r\n" * 4096,
    "empty lines": b"\r\n" * 32768,
    "rows of clients": b"CLIENT_LIST\t\r\n" * 4096,
}


@pytest.mark.parametrize(
    ("flood", "per_client"),
    [
        *((flood, False) for flood in FLOODS),
        *((flood, True) for flood in FLOODS if flood != "empty lines"),
        pytest.param("empty lines", True, marks=pytest.mark.slow),  # eight million
    ],
)
def test_a_flood_ends_with_bounded_bytes(flood: str, *, per_client: bool) -> None:
    """Whatever comes without an end is given up, after at most 16 MiB, of which little is kept."""
    talk = client(per_client=per_client)
    talk.receive(BANNER + STEPS[1][1] + VERSION + STEPS[3][1])

    def receive_all() -> None:
        for _ in range(300):
            talk.receive(FLOODS[flood])

    with pytest.raises(PollError) as caught:
        receive_all()
    assert caught.value.reason == "protocol"
    assert talk.bytes_received <= (16 << 20 if per_client else 1 << 20) + len(FLOODS[flood])


def test_questions_about_admitting_clients_are_noticed() -> None:
    """With --management-client-auth every client waits for whoever is connected here."""
    talk = client()
    talk.receive(BANNER)
    assert not talk.asked_to_authorize
    talk.receive(b">CLIENT:CONNECT,0,1\r\n>CLIENT:ENV,END\r\n")
    assert talk.asked_to_authorize
