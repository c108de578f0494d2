"""What the kernel says of System V message queues, of the reader's own IPC namespace. Knows no metrics."""
