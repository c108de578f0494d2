"""What OpenVPN says: log lines, management replies, status files. Pure: bytes in, values out."""
