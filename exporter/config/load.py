"""The configuration file: YAML into the Config of model.py."""

from pathlib import Path

import yaml

from exporter.config.logrules import read_log_rules
from exporter.config.model import Config, DiscoveryOptions
from exporter.config.servers import read_servers
from exporter.config.yamlnode import boolean, complain, compose, integer, mapping, sequence, string
from exporter.sysv.keys import RESERVED, Ftok, NamedQueue


def load(path: Path) -> Config:
    """Read and check the whole file. Raise BadInputError."""
    root = compose(path, "the configuration")
    if root is None:
        return Config()
    readers = {"queues": _queues, "servers": read_servers, "log_rules": read_log_rules, "discovery": _discovery}
    top = mapping(root, "the configuration", readers)
    if top.get("servers") and "discovery" in top:
        raise complain(root, "discovery has no effect beside servers, which name all that is watched; leave one out")
    return Config(
        queue_names=top.get("queues", ()),
        servers=top.get("servers", ()),
        log_rules=top.get("log_rules", ()),
        discovery=top.get("discovery", DiscoveryOptions()),
    )


def _discovery(node: yaml.Node) -> DiscoveryOptions:
    return DiscoveryOptions(**mapping(node, "discovery", {"management": boolean}))


def _queues(node: yaml.Node) -> tuple[NamedQueue, ...]:
    values = mapping(node, "queues", {"names": lambda names: sequence(names, "queues.names", lambda item: item)})
    named: dict[str, NamedQueue] = {}
    for item in values.get("names", ()):
        queue = _named_queue(item)
        if queue.name in named:
            raise complain(item, f"the queue name {queue.name!r} is given twice")
        for other in named.values():
            if other.key == queue.key:
                raise complain(item, f"the key of queue name {queue.name!r} already has the name {other.name!r}")
        named[queue.name] = queue
    return tuple(named.values())


def _named_queue(node: yaml.Node) -> NamedQueue:
    values = mapping(node, "an item of queues.names", {"name": _name, "key": _key, "ftok": _ftok}, required=("name",))
    if ("key" in values) == ("ftok" in values):
        raise complain(node, f"queue name {values['name']!r} needs a key or an ftok, one of the two")
    return NamedQueue(values["name"], values["key"] if "key" in values else values["ftok"])


def _name(node: yaml.Node) -> str:
    name = string(node)
    if RESERVED.fullmatch(name):
        raise complain(node, f"the queue name {name!r} is a label of queues without a name; choose another")
    return name


def _key(node: yaml.Node) -> int:
    key = integer(node)
    if key == 0:
        raise complain(node, "key 0 is IPC_PRIVATE, which many queues share; it cannot be given a name")
    if not -(1 << 31) <= key < (1 << 32):
        raise complain(node, f"key {key} does not fit into the 32 bits of a key")
    return key & 0xFFFFFFFF


def _ftok(node: yaml.Node) -> Ftok:
    values = mapping(node, "ftok", {"path": string, "id": integer}, required=("path", "id"))
    if not values["id"] & 0xFF:
        raise complain(node, "ftok's id must not be 0 in its low 8 bits, which are all that ftok uses")
    return Ftok(values["path"], values["id"] & 0xFF)
