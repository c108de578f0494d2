"""The list of clients, and the sums by common name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.openvpn.clients import OMITTED, Client, ClientListError, ClientRow, ClientSums, read_clients

# As each version prints them: 2.4 has no cipher, 2.3 and older have no client id either.
COLUMNS_26 = [
    *("Common Name", "Real Address", "Virtual Address", "Virtual IPv6 Address", "Bytes Received", "Bytes Sent"),
    *("Connected Since", "Connected Since (time_t)", "Username", "Client ID", "Peer ID", "Data Channel Cipher"),
]
COLUMNS_24 = COLUMNS_26[:-1]
COLUMNS_23 = [column for column in COLUMNS_24 if column not in ("Virtual IPv6 Address", "Client ID", "Peer ID")]


def listing(columns: list[str], *clients: dict[str, str]) -> list[bytes]:
    rows = ["\t".join(["CLIENT_LIST", *(client.get(column, "x") for column in columns)]) for client in clients]
    return [line.encode() for line in ["\t".join(["HEADER", "CLIENT_LIST", *columns]), *rows]]


def row(name: str, received: int, sent: int, number: int = 0) -> dict[str, str]:
    return {
        "Common Name": name,
        "Real Address": f"10.0.0.1:{number}",
        "Bytes Received": str(received),
        "Bytes Sent": str(sent),
        "Connected Since (time_t)": "1795466340",
        "Client ID": str(number),
    }


@pytest.mark.parametrize("columns", [COLUMNS_26, COLUMNS_24, COLUMNS_23, [*COLUMNS_26, "Column of the future"]])
def test_the_columns_of_every_version_are_found_by_their_titles(columns: list[str]) -> None:
    clients = read_clients(listing(columns, row("alice", 1, 2), row('bob, "b"', 3, 4, 1)))
    assert [(client.name, client.received, client.sent) for client in clients] == [
        ("alice", 1, 2),
        ('bob, "b"', 3, 4),
    ]


@pytest.mark.parametrize("columns", [COLUMNS_26, COLUMNS_24, COLUMNS_23])
def test_connections_without_a_name_are_left_out_and_a_client_called_undef_is_not(columns: list[str]) -> None:
    """OpenVPN prints UNDEF for a connection that has no name yet; such a one has no address in the VPN either."""
    nameless = row("UNDEF", 1, 2) | {"Virtual Address": "", "Virtual IPv6 Address": ""}
    assert read_clients(listing(columns, nameless)) == []
    called_so = row("UNDEF", 1, 2) | {"Virtual Address": "10.8.0.2", "Virtual IPv6 Address": ""}
    assert [client.name for client in read_clients(listing(columns, nameless, called_so))] == ["UNDEF"]


def test_names_of_different_bytes_are_different_names() -> None:
    """Even where they are not UTF-8."""
    names = [b"caf\xe9", b"caf\xe8", b"caf\xc3\xa9"]
    lines = [line.replace(b"alice", name) for name in names for line in listing(COLUMNS_26, row("alice", 1, 2))]
    assert [client.name for client in read_clients(lines)] == ["caf\\xe9", "caf\\xe8", "café"]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"CLIENT_LIST\talice"],
        [b"HEADER\tCLIENT_LIST\tCommon Name\tBytes Received"],
        [*listing(COLUMNS_26), b"CLIENT_LIST\talice\t1\t2"],
        listing(COLUMNS_26, row("alice", 1, 2) | {"Bytes Sent": "many"}),
        listing(COLUMNS_26, row("alice", 1, 2) | {"Bytes Sent": "-1"}),
        listing(COLUMNS_26, row("alice", 1, 2) | {"Bytes Sent": ""}),
    ],
)
def test_what_is_no_whole_list_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(ClientListError):
        read_clients(lines)


@given(st.lists(st.binary(max_size=60) | st.sampled_from(listing(COLUMNS_26, row("alice", 1, 2))), max_size=12))
def test_any_lines_are_a_list_or_refused(lines: list[bytes]) -> None:
    try:
        clients = read_clients(lines)
    except ClientListError:
        return
    assert all(client.received >= 0 and client.sent >= 0 for client in clients)


def client(name: str, number: int, received: int, sent: int = 0) -> Client:
    return Client(name, (str(number).encode(), b"1795466340"), received, sent)


def test_the_first_poll_is_the_base() -> None:
    """A restart of the exporter is not traffic: what was moved before it counts for nothing."""
    sums = ClientSums(10)
    assert sums.add([client("bob", 0, 10_000, 20)]) == (ClientRow("bob", 0, 0, 1),)
    assert sums.add([client("bob", 0, 10_005, 21), client("alice", 1, 7)]) == (
        ClientRow("bob", 5, 1, 1),
        ClientRow("alice", 7, 0, 1),
    )


def test_an_empty_first_poll_is_a_base_too() -> None:
    sums = ClientSums(10)
    assert sums.add([]) == ()
    assert sums.add([client("bob", 0, 10)]) == (ClientRow("bob", 10, 0, 1),)


def started(most: int) -> ClientSums:
    """Return sums after a first poll that found nobody connected."""
    sums = ClientSums(most)
    sums.add([])
    return sums


def test_a_name_twice_is_summed_and_does_not_fall_when_one_leaves() -> None:
    sums = started(10)
    assert sums.add([client("alice", 0, 100, 10), client("alice", 1, 50, 5)]) == (ClientRow("alice", 150, 15, 2),)
    assert sums.add([client("alice", 1, 60, 6)]) == (ClientRow("alice", 160, 16, 1),)
    assert sums.add([]) == (ClientRow("alice", 160, 16, 0),)
    assert sums.add([client("alice", 2, 7, 1)]) == (ClientRow("alice", 167, 17, 1),)


def test_a_restarted_server_begins_anew_and_the_sum_goes_on() -> None:
    """Numbers of clients begin at 0 again, within the same second even."""
    sums = started(10)
    sums.add([client("alice", 0, 100, 100)])
    assert sums.add([client("alice", 0, 30, 120)]) == (ClientRow("alice", 130, 220, 1),)


def test_names_beyond_the_bound_share_one_row() -> None:
    sums = started(2)
    sums.add([client("alice", 0, 1), client("bob", 1, 2)])
    assert sums.omitted == 0
    rows = sums.add([client("alice", 0, 1), client("carol", 2, 4), client("dave", 3, 8), client("dave", 4, 16)])
    assert rows == (
        ClientRow("alice", 1, 0, 1),
        ClientRow("bob", 2, 0, 0),
        ClientRow(OMITTED, 28, 0, 3),
    )
    assert sums.omitted == 2
    assert sums.add([client("carol", 2, 5)])[-1] == ClientRow(OMITTED, 29, 0, 1)
    assert sums.omitted == 1


POLL = st.lists(
    st.builds(
        client,
        st.sampled_from(["alice", "bob", "carol", "dave"]),
        st.integers(0, 5),
        st.integers(0, 1000),
        st.integers(0, 1000),
    ),
    unique_by=lambda each: (each.name, each.connection),
)


@given(st.lists(POLL, max_size=10), st.integers(1, 4))
def test_sums_never_fall_and_are_bounded(polls: list[list[Client]], most: int) -> None:
    sums = started(most)
    before: dict[str, tuple[int, int]] = {}
    for clients in polls:
        rows = sums.add(clients)
        assert len(rows) <= most + 1
        assert sum(each.connections for each in rows) == len(clients)
        for each in rows:
            assert (each.received, each.sent) >= before.get(each.name, (0, 0))
            assert each.received >= before.get(each.name, (0, 0))[0]
            assert each.sent >= before.get(each.name, (0, 0))[1]
        before = {each.name: (each.received, each.sent) for each in rows}


@given(st.lists(st.lists(st.integers(0, 500), min_size=1, max_size=6), max_size=8))
def test_the_sum_is_what_all_connections_moved(connections: list[list[int]]) -> None:
    """Each list is one connection's steps; all run one poll after the other and end at different times."""
    sums = started(1)
    rows: tuple[ClientRow, ...] = ()
    for moment in range(max(map(len, connections), default=0)):
        rows = sums.add(
            [
                client("alice", number, sum(steps[: moment + 1]))
                for number, steps in enumerate(connections)
                if moment < len(steps)
            ]
        )
    assert sum(each.received for each in rows) == sum(map(sum, connections))
