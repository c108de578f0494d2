"""The HTTP side: how a page is served, not what is on it."""
