"""What the documentation tells a reader to type."""

import re


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a page that name the language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def section_blocks(text: str, heading: str, language: str) -> list[str]:
    """Return the code blocks of the section with this heading."""
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#{{1,2}} |\Z)", text, re.MULTILINE | re.DOTALL)
    return blocks(section[1], language) if section else []
