"""Find the OpenVPN instances that run on this host, and what their configuration says."""
