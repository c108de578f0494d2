"""A /proc that hides the processes of others."""

import subprocess
import sys

from tests.support.needs import need_root

_AS_NOBODY = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"


def refusal(imports: str, call: str, error: str, mode: str) -> str:
    """The message of the error that a call raises there, as a line."""
    return printed(f"{imports}\ntry: print({call})\nexcept {error} as error: print(error)", mode)


def printed(program: str, mode: str) -> str:
    """What a program of Python prints as nobody, where /proc is mounted with this hidepid."""
    need_root()
    mount = f'mount -t proc -o hidepid={mode} proc /proc; exec "$@"'
    imports, _, rest = program.partition("\n")  # nobody may not be able to read the modules
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-c", f"{imports}\n{_AS_NOBODY}{rest}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
