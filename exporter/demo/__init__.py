"""openvpn-mq-demo: the traffic of a made-up site, on queues of its own."""
