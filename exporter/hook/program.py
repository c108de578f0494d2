"""openvpn-mq-hook: record the start, run the script, post the status update, record the end, exit as the script did."""

import os
import sys
import time

import exporter
from exporter.hook import event, script
from exporter.hook.jsonline import Value, encode
from exporter.hook.options import HELP, Options, UsageError, parse_options
from exporter.hook.record import Record, tell
from exporter.hook.script import ScriptResult

_WRONG_USE = 1  # not 2, which OpenVPN takes as "deferred" from auth-user-pass-verify: it would wait for more
_DEFERRED = 2


def main() -> None:
    """Run the program; does not return. Whatever happens to record and queue, it exits as the script did."""
    try:
        options = parse_options(sys.argv[1:])
        if options.information:
            print(HELP if options.information == "--help" else f"openvpn-mq-hook {exporter.__version__}")
            return
        _check(options)
    except UsageError as error:
        tell(str(error))
        sys.exit(_WRONG_USE)
    _exit_as(_run(options))


def _check(options: Options) -> None:
    """Refuse to start rather than admit a client unchecked because the script is missing from the command line."""
    if options.script:
        return
    environment = dict(os.environ)
    if event.hook_of(environment)[0] == "auth-user-pass-verify":
        raise UsageError("auth-user-pass-verify needs a script behind --: without one, every password would do")
    if not event.are_openvpns(options.words, environment):
        raise UsageError(f"{options.words[0]!r} is not an option; if it is the script, write: -- {options.words[0]}")


def _run(options: Options) -> ScriptResult:
    given = {_text(name): _text(value) for name, value in os.environb.items()}
    words = _words(options.script or options.words)
    hook, kind = event.hook_of(given)
    server = options.server or event.server_of(given)
    client = event.client_of(given, [_text(word) for word in words])
    known: dict[str, Value] = {"server": server, "hook": hook, "pid": os.getpid(), **_identity()}
    if options.record_client:
        known.update(client)
    record = Record(options.record, 0o640 if options.record_client else 0o644)
    started = time.time()
    record.write(encode({"time": started, "event": "start", **known}))

    ended = ScriptResult("ok")
    if options.script:
        environment = _environment()
        try:
            ended = script.run(words, environment, options.timeout)
        except script.NoProcessError as error:
            tell(f"cannot start a process for the script: {error}; raise LimitNPROC= or TasksMax= of OpenVPN's unit")
            lost = _post(options, None, kind)
            record.write(encode({"time": time.time(), "event": "end", **known, "result": "unwatched", **lost}))
            return script.replace(words, environment, options.timeout)
    control_file = _control_file(hook, ended, given)
    if control_file:
        ended.result = "deferred"

    result: dict[str, Value] = {
        "result": ended.result,
        "exit": None if ended.signal else ended.exit_status,
        "signal": ended.signal or None,
        "script_seconds": ended.seconds,
    }
    message = {"event": hook, "time": started, "server": server, **client, **event.traffic_of(given), **result}
    posted = _post(options, encode(message), kind)
    told = {"time": time.time(), "event": "end", **known, **result, **posted, "control_file": control_file}
    record.write(encode(told))
    if control_file:
        from exporter.hook.verdict import watch  # costs time, and is rarely needed

        watch(options.record, record)
    return ended


def _control_file(hook: str, ended: ScriptResult, given: dict[str, str]) -> str | None:
    """Return the file that the answer will be written to, if the script has left it for later (deferred)."""
    if hook == "auth-user-pass-verify" and ended.exit_status == _DEFERRED:
        return given.get("auth_control_file")  # since OpenVPN 2.6
    path = given.get("client_connect_deferred_file") if hook == "client-connect" and ended.result == "ok" else None
    if path:
        try:
            with open(path.encode("utf-8", "surrogateescape"), "rb") as file:
                return path if file.read(1) == b"2" else None
        except OSError:
            pass  # the script has removed it: it has answered
    return None


def _identity() -> dict[str, Value]:
    """Return what tells this process from a later one with its pid; nothing if /proc is not mounted, as in a chroot."""
    try:
        with open("/proc/self/stat", "rb") as file:
            # The name in parentheses may hold anything; 20 fields behind it is the start in clock ticks after boot.
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        return {"pid_start_ticks": ticks, "pid_namespace": os.stat("/proc/self/ns/pid").st_ino}
    except (OSError, ValueError, IndexError):
        return {}


def _words(arguments: list[str]) -> list[bytes]:
    """Return arguments of this program, which are its last, as OpenVPN gave them.

    Python has read them by the locale, and not from each encoding is there a way back to the same bytes.
    """
    if sys.getfilesystemencoding() != "utf-8":
        try:
            with open("/proc/self/cmdline", "rb") as file:
                given = file.read().split(b"\0")[:-1]
            return given[len(given) - len(arguments) :]
        except OSError:
            pass  # no /proc, as in a chroot
    return [os.fsencode(argument) for argument in arguments]


def _text(given: bytes) -> str:
    """Decode what a client may have chosen: UTF-8, whatever the locale, or any bytes."""
    return given.decode("utf-8", "surrogateescape")


def _environment() -> dict[bytes, bytes]:
    """Return the environment that OpenVPN gave, without what Python changed and what no program can be given.

    In the C locale Python sets LC_CTYPE (PEP 538), over a value that was there too. The kernel keeps the original.
    """
    environment = dict(os.environb)
    environment.pop(b"", None)  # an entry such as "=x", which posix_spawn does not take
    if environment.get(b"LC_CTYPE") in (b"C.UTF-8", b"C.utf8", b"UTF-8"):
        try:
            with open("/proc/self/environ", "rb") as file:
                given = file.read().split(b"\0")
        except OSError:
            given = []  # no /proc, as in a chroot
        del environment[b"LC_CTYPE"]
        for entry in given:
            name, _, value = entry.partition(b"=")
            if name == b"LC_CTYPE":
                environment[name] = value
                break
    return environment


def _post(options: Options, body: bytes | None, kind: int) -> dict[str, Value]:
    """Post the status update, if a queue was given; return the fields queue and update. `body` None: do not try."""
    if options.queue is None:
        return {}
    name = "ftok:{}:{}".format(*options.queue) if isinstance(options.queue, tuple) else f"0x{options.queue:08x}"
    try:
        from exporter.hook.update import post, resolve  # costs time, and is not always needed

        number = resolve(options.queue)
        if number is None:
            return {"queue": name, "update": "no_queue"}
        name = f"0x{number:08x}"
        update = "other" if body is None else post(number, options.create, body, kind)
    except Exception as error:  # noqa: BLE001  # whatever it is: no client may be refused for it
        tell(f"cannot post the status update: {error}")
        update = "other"
    return {"queue": name, "update": update}


def _exit_as(ended: ScriptResult) -> None:
    """Exit with the same status; or by the same signal, without a core dump of this program."""
    if ended.signal:
        import resource  # rarely needed

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        script.die_of(ended.signal)
    os._exit(128 + ended.signal if ended.signal else ended.exit_status)
