"""openvpn-mq-hook: runs an OpenVPN script, records how it fared, and posts a status update to a message queue.

OpenVPN serves nobody while it waits for a script, so this must start in milliseconds: nothing here imports the rest
of the package, nor of the standard library what costs (re, enum and with it signal, json, subprocess, argparse,
typing, dataclasses). sysv_ipc is imported only where a queue is given.
"""
