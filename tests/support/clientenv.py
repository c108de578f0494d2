"""The environment that OpenVPN gives a script of a client."""

SECRETS = {
    "password": "hunter2-password",
    "auth_token": "hunter2-token",
    "session_id": "hunter2-session",
    "tls_id_0": "hunter2-certificate",
    "X509_0_CN": "hunter2-x509",
    "username": "hunter2-user",
}
CLIENT = {
    "common_name": "alice-the-client",
    "trusted_ip": "198.51.100.7",
    "trusted_port": "40123",
    "untrusted_ip": "198.51.100.7",
    "ifconfig_pool_remote_ip": "10.8.0.77",
}
