"""The HTTP side: knows how to serve a page, not what is on it."""
