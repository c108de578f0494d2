"""What systemd says of a process: its unit, by the cgroup, and the folder that the unit's file starts it in."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Final, NamedTuple

# Where unit files are, the one that wins first.
UNIT_FOLDERS: Final = tuple(
    PurePosixPath(folder)
    for folder in (
        "/etc/systemd/system",
        "/run/systemd/system",
        "/run/systemd/generator",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    )
)

_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(?:service|scope)")
_CONTAINER: Final = re.compile(
    r"(?:docker|libpod|crio|cri-containerd)-.*\.scope|docker|kubepods.*|lxc(?:\.payload.*)?|machine\.slice"
)
_USER_MANAGER: Final = re.compile(r"user@[0-9]+\.service")


class Cgroup(NamedTuple):
    """Where a process belongs."""

    unit: str | None  # the innermost service or scope
    system_unit: bool  # whether the system's own manager runs it, so that `journalctl --unit` finds its lines
    container: bool  # whether its paths are those of a container


def parse_cgroup(text: str) -> Cgroup:
    """Return what /proc/PID/cgroup tells: the unified hierarchy, or else systemd's own one of version 1."""
    paths = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths[controllers] = path
    every = [part for path in paths.values() for part in path.split("/")]
    container = any(_CONTAINER.fullmatch(part) for part in every)
    path = paths.get("name=systemd") or paths.get("", "")
    parts = path.split("/")
    unit = next((part for part in reversed(parts) if _UNIT.fullmatch(part)), None)
    below_user_manager = any(_USER_MANAGER.fullmatch(part) for part in parts)
    return Cgroup(unit, unit is not None and not below_user_manager and not container, container)


def instance_of(unit: str) -> str:
    """Return the text behind the @ of a unit, unescaped; empty if it is not of a template."""
    return _unescape(unit.rpartition(".")[0].partition("@")[2])


def working_directory(unit: str, texts: Iterable[str]) -> PurePosixPath | None:
    """Return the folder of `WorkingDirectory=`, from the unit's file and its drop-ins in their order."""
    value = ""
    for text in texts:
        section = ""
        for line in text.splitlines():
            if line.startswith("["):
                section = line.strip()
            elif section == "[Service]" and (match := re.match(r"\s*WorkingDirectory\s*=\s*(.*?)\s*$", line)):
                value = match[1]
    name = unit.rpartition(".")[0]
    prefix, _, escaped = name.partition("@")
    specifiers = {"i": escaped, "I": _unescape(escaped), "p": prefix, "n": unit, "N": name, "t": "/run", "%": "%"}
    known = True

    def expand(match: re.Match[str]) -> str:
        nonlocal known
        known = known and match[1] in specifiers
        return specifiers.get(match[1], "")

    path = PurePosixPath(re.sub("%(.)", expand, value.removeprefix("-")))
    return path if known and path.is_absolute() else None


def unit_texts(
    unit: str, read: Callable[[PurePosixPath], str], list_folder: Callable[[PurePosixPath], list[str]]
) -> list[str]:
    """Return the texts of the unit's file and of its drop-ins; empty if there is none that can be read.

    `read` and `list_folder` raise OSError for what is not there.
    """
    stem, _, suffix = unit.rpartition(".")
    template = f"{stem.partition('@')[0]}@.{suffix}" if "@" in stem else unit
    texts = [text for name in (unit, template) for folder in UNIT_FOLDERS if (text := _try(read, folder / name))]
    drop_ins: dict[str, PurePosixPath] = {}
    for folder in reversed(_drop_in_folders(unit)):
        try:
            found = list_folder(folder)
        except OSError:
            continue
        drop_ins.update({file: folder / file for file in found if file.endswith(".conf")})
    return texts[:1] + [text for _, path in sorted(drop_ins.items()) if (text := _try(read, path))]


def _drop_in_folders(unit: str) -> list[PurePosixPath]:
    """Return the folders of a unit's drop-ins, the one that wins first; those of the type come after all others."""
    stem, _, suffix = unit.rpartition(".")
    prefix, at, instance = stem.partition("@")
    names = dict.fromkeys(_drop_in_names(prefix, instance if at else None))
    found = [folder / f"{name}.{suffix}.d" for folder in UNIT_FOLDERS for name in names]
    return found + [folder / f"{suffix}.d" for folder in UNIT_FOLDERS]


def _drop_in_names(prefix: str, instance: str | None) -> Iterator[str]:
    """Yield the names of a unit, of its template, and of both cut short behind each dash, in systemd's own order."""
    yield prefix if instance is None else f"{prefix}@{instance}"
    if instance:
        yield from _drop_in_names(prefix, "")
    shorter = prefix[: prefix.rfind("-", 0, -1) + 1]
    if shorter:
        yield from _drop_in_names(shorter, instance or None)


def _try(read: Callable[[PurePosixPath], str], path: PurePosixPath) -> str:
    try:
        return read(path)
    except OSError:
        return ""


def _unescape(text: str) -> str:
    # It is bytes that systemd escapes, and a character can have several.
    data = os.fsencode(text.replace("-", "/"))
    return os.fsdecode(re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), data))
