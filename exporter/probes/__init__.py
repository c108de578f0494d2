"""Sources that are polled: management interfaces over their sockets, status files, sockets in /proc; all bounded."""
