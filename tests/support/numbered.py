"""Numbered lines, and an account of them that shows whether each was met exactly once."""

from typing import NamedTuple

_PRIME = (1 << 61) - 1


def line(number: int, size: int) -> bytes:
    """The line of a number, `size` bytes of filling long, which can be checked against the number."""
    return b"%d %d %s\n" % (number, size, (b"%d." % number * (size // 2 + 1))[:size])


class Account(NamedTuple):
    """How many lines, and power sums of their numbers: two sets of lines that agree in all of it are the same."""

    lines: int = 0
    first: int = 0
    second: int = 0
    third: int = 0
    torn: int = 0  # lines that are not as they were written

    def plus(self, batch: bytes) -> "Account":
        """With the lines of a batch."""
        account = self
        for text in batch.splitlines(keepends=True):
            fields = text.split(b" ", 2)
            if len(fields) == 3 and fields[0].isdigit() and fields[1].isdigit():
                number = int(fields[0])
                if text == line(number, int(fields[1])):
                    account = account.with_number(number)
                    continue
            account = account._replace(lines=account.lines + 1, torn=account.torn + 1)
        return account

    def with_number(self, number: int) -> "Account":
        """With one more whole line."""
        return Account(
            self.lines + 1,
            self.first + number,
            (self.second + number**2) % _PRIME,
            (self.third + number**3) % _PRIME,
            self.torn,
        )
