"""What the documentation tells a reader to type."""

import re


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a page that name the language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
