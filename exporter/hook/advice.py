"""The command that mends a record which cannot be written; imported only then, as shlex costs time."""

import errno
import grp
import os
import pwd
import shlex


def remedy(path: str, mode: int, number: int | None) -> str:
    """For a person to run as root, given the errno and the mode that the record should have."""
    folder = os.path.dirname(path)
    file, place = shlex.quote(path), shlex.quote(folder)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"make room, after a look at: df -h {place}"
    if number == errno.EROFS:
        return f"let OpenVPN's unit write there by the line ReadWritePaths={folder} in: systemctl edit UNIT"
    if os.path.islink(path):
        return f"it is a symbolic link, which is not followed; run: rm {file}"
    if number not in (errno.EACCES, errno.EPERM, errno.ENOENT):
        return f"look at it: stat {file}"
    owner, group = _owner(folder)
    if os.path.exists(path):
        return f"run: chown {owner}:{group} {file}"
    make = f"install -o {owner} -g {group} -m {mode:04o} /dev/null {file}"
    if not os.path.isdir(folder):
        return f"run: install -d {place} && {make}"
    if not os.access(folder, os.X_OK, effective_ids=True):
        return f"run: chmod o+x {place} && {make}"
    return f"run: {make}"


def _owner(folder: str) -> tuple[str, str]:
    """Who is to own the record: whom this process runs as; for root the folder's owner, as whom it writes."""
    user, group = os.geteuid(), os.getegid()
    if user == 0 and os.path.isdir(folder):
        status = os.stat(folder)
        user, group = status.st_uid, status.st_gid
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    try:
        return name, grp.getgrgid(group).gr_name
    except KeyError:
        return name, str(group)
