"""The kernel's own count of every msgsnd and msgrcv: a bpftrace program, and the reading of what it prints."""
