"""Processes as the kernel's process connector (linux/cn_proc.h) reports them, and OpenVPN's scripts among them."""
