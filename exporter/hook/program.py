"""openvpn-mq-hook: record the start, run the script, post the status update, record the end, end as the script did."""

import os
import sys
import time

import exporter
from exporter.hook import event, script
from exporter.hook.jsonline import Value, encode
from exporter.hook.options import HELP, Options, UsageError, parse
from exporter.hook.record import Record, tell
from exporter.hook.script import Outcome

_WRONG_USE = 1  # not 2, which OpenVPN takes as "deferred" from auth-user-pass-verify: it would wait for more
_DEFERRED = 2


def main() -> None:
    """Run the program; does not return. Whatever becomes of record and queue, it ends as the script ended."""
    try:
        options = parse(sys.argv[1:])
        if options.information:
            print(HELP if options.information == "--help" else f"openvpn-mq-hook {exporter.__version__}")
            return
        _check(options)
    except UsageError as error:
        tell(str(error))
        sys.exit(_WRONG_USE)
    _end_as(_run(options))


def _check(options: Options) -> None:
    """Nobody shall be let in because the script was not found on the command line."""
    if options.script:
        return
    word = options.words[0] if options.words else ""
    if "/" in word and os.path.isfile(word) and os.access(word, os.X_OK):
        raise UsageError(f"write -- before the script: -- {word}")
    if event.hook_of(dict(os.environ))[0] == "auth-user-pass-verify":
        raise UsageError("auth-user-pass-verify needs a script behind --: without one, every password would do")


def _run(options: Options) -> Outcome:
    given = dict(os.environ)
    hook, kind = event.hook_of(given)
    server = options.server or event.server_of(given)
    client = event.client_of(given, options.script or options.words)
    known: dict[str, Value] = {"server": server, "hook": hook, "pid": os.getpid(), **_identity()}
    if options.record_client:
        known.update(client)
    record = Record(options.record, 0o640 if options.record_client else 0o644)
    begin = time.time()
    record.write(encode({"time": begin, "event": "start", **known}))

    outcome = Outcome("ok")
    if options.script:
        environment = _environment()
        try:
            outcome = script.run(options.script, environment, options.timeout)
        except script.NoProcessError as error:
            tell(
                f"no process for the script beside this one: {error}; raise LimitNPROC= or TasksMax= of OpenVPN's unit"
            )
            lost = _post(options, None, kind)
            record.write(encode({"time": time.time(), "event": "end", **known, "result": "unwatched", **lost}))
            return script.replace(options.script, environment, options.timeout)
    if outcome.exit_status == _DEFERRED and hook == "auth-user-pass-verify" and "auth_control_file" in given:
        outcome.result = "deferred"  # the third answer, since OpenVPN 2.6

    result: dict[str, Value] = {
        "result": outcome.result,
        "exit": None if outcome.signal else outcome.exit_status,
        "signal": outcome.signal or None,
        "script_seconds": outcome.seconds,
    }
    told = {"event": hook, "time": begin, "server": server, **client, **event.traffic_of(given), **result}
    posted = _post(options, encode(told), kind)
    record.write(encode({"time": time.time(), "event": "end", **known, **result, **posted}))
    return outcome


def _identity() -> dict[str, Value]:
    """What tells this process from a later one of the same pid; nothing where /proc is not mounted, as in a chroot."""
    try:
        with open("/proc/self/stat", "rb") as file:
            # The name in parentheses may hold anything; 20 fields behind it is the start in clock ticks after boot.
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        return {"pid_start_ticks": ticks, "pid_namespace": os.stat("/proc/self/ns/pid").st_ino}
    except (OSError, ValueError, IndexError):
        return {}


def _environment() -> dict[bytes, bytes]:
    """What OpenVPN gave: Python adds LC_CTYPE where it finds the C locale (PEP 538), which the script shall not see."""
    environment = dict(os.environb)
    if environment.get(b"LC_CTYPE") in (b"C.UTF-8", b"C.utf8", b"UTF-8"):
        try:
            with open("/proc/self/environ", "rb") as file:
                given = file.read()
        except OSError:
            given = b""
        if b"\0LC_CTYPE=" not in b"\0" + given:
            del environment[b"LC_CTYPE"]
    return environment


def _post(options: Options, body: bytes | None, kind: int) -> dict[str, Value]:
    """Post the status update, if there is a queue; which queue and what became of it. `body` None: never tried."""
    if options.queue is None:
        return {}
    name = "ftok:{}:{}".format(*options.queue) if isinstance(options.queue, tuple) else f"0x{options.queue:08x}"
    try:
        from exporter.hook.update import post, resolve  # costs time, and not everybody has a queue

        number = resolve(options.queue)
        if number is None:
            return {"queue": name, "update": "no_queue"}
        name = f"0x{number:08x}"
        became = "other" if body is None else post(number, options.create, body, kind)
    except Exception as error:  # noqa: BLE001  # whatever it is: no client may be refused for it
        tell(f"cannot post the status update: {error}")
        became = "other"
    return {"queue": name, "update": became}


def _end_as(outcome: Outcome) -> None:
    """End with the same exit status; or by the same signal, without a core dump of this program."""
    if outcome.signal:
        import resource  # rarely needed

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        script.die_of(outcome.signal)
    os._exit(128 + outcome.signal if outcome.signal else outcome.exit_status)
