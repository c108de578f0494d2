"""The command that makes a record writable; imported only when needed, as shlex costs time."""

import errno
import grp
import os
import pwd
import shlex


def hint(path: str, mode: int, number: int) -> str:
    """Return what an administrator should do, given the errno and the mode that the record should have."""
    folder = os.path.dirname(path)
    file, quoted = shlex.quote(path), shlex.quote(folder)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"free some space; see: df -h {quoted}"
    if number == errno.EROFS:
        return f"let OpenVPN's unit write there: add ReadWritePaths={folder} with systemctl edit UNIT"
    if os.path.islink(path):
        return f"it is a symbolic link, which is not followed; run: rm {file}"
    if number not in (errno.EACCES, errno.EPERM, errno.ENOENT):
        return f"see: stat {file}"
    owner, group = _owner(folder)
    if os.path.exists(path):
        return f"run: chown {owner}:{group} {file}"
    make = f"install -o {owner} -g {group} -m {mode:04o} /dev/null {file}"
    if not os.path.isdir(folder):
        return f"run: install -d {quoted} && {make}"
    if not os.access(folder, os.X_OK, effective_ids=True):
        return f"run: chmod o+x {quoted} && {make}"
    return f"run: {make}"


def _owner(folder: str) -> tuple[str, str]:
    """Return the owner that the record should have: this process's user; for root the folder's owner (see record)."""
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
