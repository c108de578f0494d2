"""What is asked again and again: management interfaces over their sockets, status files. Effects, with bounds."""
