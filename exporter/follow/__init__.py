"""Lines from growing files and from the journal, each handed over once, over restarts too."""
