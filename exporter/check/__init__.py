"""openvpn-mq-check: one look at the host, for people, cron and monitoring plugins."""
