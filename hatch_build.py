"""Write exporter/REVISION at build time, for the revision label of openvpn_mq_exporter_build_info."""

import os
import pathlib
import subprocess
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class RevisionHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's generic is over its own config type
    """Take $REVISION (a container build has no .git), else what git says, else leave the file out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's
        """Run before the wheel is put together."""
        if version == "editable":
            return  # a working copy moves on, and the file would go on naming the commit of the installation
        root = pathlib.Path(self.root)
        revision = os.environ.get("REVISION", "")
        if not revision and (root / ".git").exists():
            git = subprocess.run(
                ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
            )
            revision = git.stdout.strip()
        if revision:
            (root / "exporter" / "REVISION").write_text(revision + "\n")
