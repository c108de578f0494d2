"""The page at /, for a person who opens the exporter in a browser."""

import html

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>OpenVPN message queue exporter</title>
<style>body{{font-family:sans-serif;max-width:40em;margin:3em auto;padding:0 1em}}code{{font-size:95%}}</style></head>
<body>
<h1>OpenVPN message queue exporter</h1>
<p>Version {version}. System V message queues of this host, for Prometheus.</p>
<ul><li><a href="{metrics}">Metrics</a></li></ul>
</body>
</html>
"""


def landing_page(telemetry_path: str, version: str) -> bytes:
    """HTML with a link to the metrics."""
    return _PAGE.format(metrics=html.escape(telemetry_path), version=html.escape(version)).encode()
