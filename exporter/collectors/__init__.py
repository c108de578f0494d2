"""The collectors: one per file, each turns one source into families."""
