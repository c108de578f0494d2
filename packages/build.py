"""Build the package for the distribution that this runs on: python -m packages.build deb|rpm.

What pip would install goes into /usr/lib/openvpn-mq-exporter, with every dependency, so that the package needs no
network when it is installed and fights with no other program over a library. It is built for the system's own Python,
/usr/bin/python3, and so for one release of a distribution.
"""

import argparse
import gzip
import os
import platform
import shutil
import string
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import exporter
from exporter.check.options import command_line as check_command_line
from exporter.check.program import sysctl_file
from exporter.cli import command_line
from exporter.demo.program import command_line as demo_command_line
from exporter.hook.options import HELP
from exporter.sysv.waiterd import command_line as waiters_command_line
from packages import manual

ROOT: Final = Path(__file__).parents[1]
HERE: Final = Path(__file__).parent
_IN_GIT: Final = (ROOT / ".git").exists()  # not what an archive was unpacked to
LIBRARY: Final = "usr/lib/openvpn-mq-exporter"
PYTHON: Final = "/usr/bin/python3"
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}

# -I: nothing of the environment or of the current folder is imported by a program that runs as root or as OpenVPN.
START: Final = """#!{python} -I
import sys

sys.path.insert(0, "/{library}")
from {module} import main

sys.exit(main())
"""
PROGRAMS: Final = {
    "usr/bin/openvpn-mq-exporter": "exporter.cli",
    "usr/bin/openvpn-mq-check": "exporter.check.program",
    "usr/bin/openvpn-mq-demo": "exporter.demo.program",
    "usr/bin/openvpn-mq-hook": "exporter.hook.program",
    "usr/bin/openvpn-mq-waiters": "exporter.sysv.waiterd",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Build one package into dist/ and print its path."""
    parser = argparse.ArgumentParser(prog="packages.build", description="Builds a package into dist/.")
    parser.add_argument("kind", choices=["deb", "rpm"])
    kind = parser.parse_args(argv).kind
    if not Path(PYTHON).exists():
        print(f"{PYTHON} is missing: the package is built for the system's own Python", file=sys.stderr)
        return 1
    needed = {"strip": "binutils", **({"git": "git"} if _IN_GIT else {})}
    if missing := [package for program, package in needed.items() if not shutil.which(program)]:
        print(f"the package cannot be built without {' and '.join(missing)}: install that first", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        stage, files = Path(folder) / "root", Path(folder) / "files"
        stage.mkdir(mode=0o755)
        fill(stage)
        shutil.copytree(HERE / "files", files)
        # Files have the time of the commit, so that the same commit gives the same package.
        commit_time = _commit_time()
        for path in Path(folder).rglob("*"):
            os.utime(path, (int(commit_time),) * 2, follow_symlinks=False)
        (ROOT / "dist").mkdir(exist_ok=True)
        configuration = Path(folder) / "nfpm.yaml"
        configuration.write_text(_configured(stage, files))
        command = ["nfpm", "package", "--config", configuration, "--packager", kind, "--target", ROOT / "dist"]
        subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, "SOURCE_DATE_EPOCH": commit_time})
    suffix = f"*.{kind}"
    print(max((ROOT / "dist").glob(suffix), key=lambda path: path.stat().st_mtime))
    return 0


def fill(stage: Path) -> None:
    """Put everything but the configuration files below `stage`."""
    old_umask = os.umask(0o022)
    try:
        _install(stage / LIBRARY)
        for path, module in PROGRAMS.items():
            _write(stage / path, START.format(python=PYTHON, library=LIBRARY, module=module), 0o755)
        for unit in (ROOT / "deploy").glob("*.[s]*"):
            _copy(unit, stage / "usr/lib/systemd/system" / unit.name)
        files = HERE / "files"
        _copy(files / "sysusers.conf", stage / "usr/lib/sysusers.d/openvpn-mq-exporter.conf")
        _copy(files / "tmpfiles.conf", stage / "usr/lib/tmpfiles.d/openvpn-mq-exporter.conf")
        shared = stage / "usr/share/openvpn-mq-exporter"
        shared.mkdir(parents=True)
        for name in ("queues.bt", "perf.py"):  # which openvpn-mq-trace.service runs
            (shared / name).symlink_to(f"../../lib/openvpn-mq-exporter/exporter/trace/{name}")
        _copy(files / "lintian-overrides", stage / "usr/share/lintian/overrides/openvpn-mq-exporter")
        documentation = stage / "usr/share/doc/openvpn-mq-exporter"
        for profile in ("small", "large"):
            _write(documentation / "examples" / f"sysctl-{profile}.conf", sysctl_file(profile))
        for folder in ("rules", "grafana", "alertmanager"):
            for file in sorted((ROOT / "dashboards" / folder).glob("*.*")):
                _copy(file, documentation / "examples" / folder / file.name)
        _write(documentation / "copyright", _copyright())
        _compress(_changelog(), documentation / "changelog.Debian.gz")
        _compress((ROOT / "CHANGELOG.md").read_bytes(), documentation / "changelog.gz")
        parsers = [command_line(), check_command_line(), demo_command_line(), waiters_command_line()]
        manual.write(parsers, {"openvpn-mq-hook": HELP}, exporter.__version__, stage)
    finally:
        os.umask(old_umask)


def _install(library: Path) -> None:
    """Install the exporter and all that it needs for the system's Python, as pip does it, without pip's scripts."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    version = python_version()
    subprocess.run(
        [*pip, "install", "--target", library, "--no-compile", "--only-binary=:all:", "--no-binary=openvpn-mq-exporter",
         f"--python-version={version}", f"{ROOT}[log-rules]"]
        if version != platform.python_version().rpartition(".")[0]
        else [*pip, "install", "--target", library, "--no-compile", f"{ROOT}[log-rules]"],
        check=True,
    )  # fmt: skip
    shutil.rmtree(library / "bin", ignore_errors=True)
    for url in library.glob("openvpn_mq_exporter-*/direct_url.json"):  # the folder that this was built in
        url.unlink()
        record = url.with_name("RECORD")
        record.write_text("".join(line for line in record.open() if "direct_url.json" not in line))
    for tests in [*library.glob("*/tests"), *library.glob("*/test")]:
        shutil.rmtree(tests)
    # PyYAML's C parser carries a copy of libyaml; a configuration of a page is read as well without it.
    shutil.rmtree(library / "_yaml", ignore_errors=True)
    for parser in library.glob("yaml/_yaml*.so"):
        parser.unlink()
    for source in library.rglob("*.py"):
        text = source.read_text()
        if text.startswith("#!"):  # no file of a library is a program
            source.write_text(text.partition("\n")[2])
    (library / "exporter/trace/queues.bt").chmod(0o755)
    for shared in library.rglob("*.so*"):
        subprocess.run(["strip", "--strip-unneeded", shared], check=True)
        shared.chmod(0o644)


def python_version() -> str:
    """Return the minor version of the system's Python, as 3.11."""
    command = [PYTHON, "-I", "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _configured(stage: Path, files: Path) -> str:
    major, minor = map(int, python_version().split("."))
    return string.Template((HERE / "nfpm.yaml").read_text()).substitute(
        ARCH=ARCHITECTURES[platform.machine()],
        VERSION=exporter.__version__,
        STAGE=stage,
        FILES=files,
        SCRIPTS=HERE / "scripts",
        PYTHON_VERSION=f"{major}.{minor}",
        PYTHON_DEPENDS=f"python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1})",
    )


def _commit_time() -> str:
    found = ""
    if _IN_GIT:
        command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return found or str(int((ROOT / "pyproject.toml").stat().st_mtime))


def _copyright() -> str:
    return (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "Upstream-Name: openvpn-mq-exporter\n"
        "Source: https://github.com/openvpn-mq-exporter/openvpn-mq-exporter\n\n"
        "Files: *\nCopyright: 2026 the openvpn-mq-exporter authors\nLicense: Apache-2.0\n"
        " On Debian systems, the full text of the Apache License 2.0 is in\n"
        " /usr/share/common-licenses/Apache-2.0.\n"
        f" The licences of the libraries in /{LIBRARY} are in their *.dist-info folders there.\n"
    )


def _changelog() -> bytes:
    date = subprocess.run(
        ["date", "-u", "-R", "-d", f"@{_commit_time()}"], check=True, capture_output=True, text=True
    ).stdout.strip()
    return (
        f"openvpn-mq-exporter ({exporter.__version__}-1) unstable; urgency=medium\n\n"
        "  * See changelog.gz for what has changed.\n\n"
        f" -- openvpn-mq-exporter maintainers <maintainers@openvpn-mq-exporter.invalid>  {date}\n"
    ).encode()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)


def _write(target: Path, text: str, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)


def _compress(data: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(data, 9, mtime=0))


if __name__ == "__main__":
    sys.exit(main())
