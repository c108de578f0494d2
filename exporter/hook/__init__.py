"""openvpn-mq-hook: runs an OpenVPN script, records how it ended, and posts a status update to a message queue.

OpenVPN serves nobody while it waits for a script, so this must start in milliseconds: nothing here imports the rest
of the package, nor the slow parts of the standard library (re, enum and with it signal, json, subprocess, argparse,
typing, dataclasses). sysv_ipc is imported only if a queue is given.
"""
