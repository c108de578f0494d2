"""Words of a line as OpenVPN cuts them, compared with OpenVPN itself and with text that was quoted for it."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.discovery.words import MAX_WORDS, LineError, split_line
from tests.support.needs import need

# Printable text, quotation marks, backslashes and blanks among it, as often as letters.
WORD = st.text(st.sampled_from("ab#; \t'\"\\/-<>é"), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ()),
        ("  \t ", ()),
        ("# port 1", ()),
        (";port 1", ()),
        ("port 1194", ("port", "1194")),
        ("port 1194\r", ("port", "1194")),
        ("  port\t1194   # the usual one", ("port", "1194")),
        ("status /a;b#c", ("status", "/a;b#c")),  # a comment starts only where a word could
        ('push "route 10.0.0.0 255.0.0.0"', ("push", "route 10.0.0.0 255.0.0.0")),
        ("push 'it\\n \"is\"'", ("push", 'it\\n "is"')),  # nothing is special in single quotes
        ('up "/x/a\\\\b \\"c\\""', ("up", '/x/a\\b "c"')),
        ("up /x/my\\ script", ("up", "/x/my script")),
        ('setenv A ""', ("setenv", "A", "")),
        ('log a"b c', ("log", 'a"b', "c")),  # a quotation mark inside a plain word is a character
        ("a 'b'c", ("a", "b", "c")),  # what follows a closing mark is a new word
        (" ".join("abcdefghijklmnopqrstuvwxyz"), tuple("abcdefghijklmnop")),
    ],
)
def test_words(line: str, words: tuple[str, ...]) -> None:
    assert split_line(line) == words


@pytest.mark.parametrize("line", ['up "/x', "up '/x", "up C:\\x", "up x\\", "up " + "x" * 257])
def test_what_openvpn_refuses(line: str) -> None:
    with pytest.raises(LineError):
        split_line(line)


def double(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@given(st.lists(WORD, min_size=1, max_size=MAX_WORDS))
def test_words_in_double_quotes_come_back(words: list[str]) -> None:
    assert split_line(" ".join(map(double, words))) == tuple(words)


@given(st.lists(WORD.filter(lambda word: "'" not in word), min_size=1, max_size=MAX_WORDS))
def test_words_in_single_quotes_come_back(words: list[str]) -> None:
    assert split_line(" ".join(f"'{word}'" for word in words)) == tuple(words)


@given(st.text())
def test_any_line_is_cut_or_refused(line: str) -> None:
    try:
        words = split_line(line)
    except LineError:
        return
    assert len(words) <= MAX_WORDS
    assert "".join(words).replace("\0", "") == "".join(words)


LINES = [
    "plain /a;b#c",
    'double "a b" c',
    "single 'a \\n \"b\"' c",
    'escaped "a\\\\b \\"c\\"" my\\ script',
    'inside a"b c',
    "after 'b'c # comment",
    'empty "" x',
    "comment \\# x",
]


@pytest.mark.parametrize("line", LINES)
def test_openvpn_itself_cuts_alike(tmp_path: Path, line: str) -> None:
    """OpenVPN prints the words of `echo msg`, joined by blanks, and ends at an option that it does not know."""
    need("openvpn")
    file = tmp_path / "test.conf"
    file.write_text(f"echo msg {line}\nunknown-option\n")
    output = subprocess.run(["openvpn", "--config", str(file)], capture_output=True, text=True, check=False).stdout
    assert output.splitlines()[0].partition("ECHO:msg ")[2] == " ".join(split_line(line))
