"""Connecting this process to a Ray cluster, and what there is room for on it."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Mapping
from enum import Enum
from typing import Any

from ..errors import ExecutorError, InvalidDataError

_KNOCK_SECONDS = 10.0


class Connection(Enum):
    """How this process came to be connected to a cluster."""

    FOUND = "it was connected already"
    JOINED = "connected to a cluster that lives on"
    STARTED = "a cluster was started, and ends with the connection"


def connect(ray: Any, address: str | None) -> Connection:
    """Connect this process to the cluster at an address; None finds or starts one.

    Raises
    ------
    InvalidDataError
        If this process is connected to another cluster.
    ExecutorError
        If there is no such cluster, or it cannot be started.
    """
    if ray.is_initialized():
        known = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", known) and not str(address).startswith("ray://"):
            raise InvalidDataError(
                f"this process is connected to the Ray cluster at {known}, it cannot join {address!r}"
            )
        return Connection.FOUND
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    connection = Connection.JOINED
    if address is None and not os.environ.get("RAY_ADDRESS"):
        connection = Connection.STARTED
        options["include_dashboard"] = False
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        _knock(address)
        ray.init("local" if connection is Connection.STARTED else address, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        where = "no Ray cluster could be started" if address is None else f"no Ray cluster answers at {address!r}"
        raise ExecutorError(f"{where}: {reason}") from error
    _print_events(ray, False)
    return connection


def disconnect(ray: Any, connection: Connection) -> None:
    """End a connection that `connect` made."""
    if connection is not Connection.FOUND:
        ray.shutdown()
        _print_events(ray, True)


def room_for(ray: Any, needs: Mapping[str, float], connection: Connection) -> int:
    """Return how many workers with these needs (by name of Ray's resource) the nodes hold if nothing else runs there.

    A cluster that lives on may grow: if it has no room at all, there is a warning only.

    Raises
    ------
    InvalidDataError
        If a cluster that was started here has no room for a single one.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    needs = {name: need for name, need in needs.items() if need}
    room = sum(min(int(node.get(name, 0) / need) for name, need in needs.items()) for node in nodes)
    if not room:
        wanted = ", ".join(f"{name} {need:g}" for name, need in needs.items())
        most = ", ".join(f"{name} {max((node.get(name, 0) for node in nodes), default=0):g}" for name in needs)
        text = f"no node of the Ray cluster has what a worker needs ({wanted}); the most on a node is {most}"
        if connection is Connection.STARTED:
            raise InvalidDataError(text)
        warnings.warn(f"{text}: calls wait until one joins", stacklevel=3)
    return room


def _knock(address: str | None) -> None:
    """Raise OSError at once if nothing listens at an address with a port, which Ray itself tries for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()


def _print_events(ray: Any, enabled: bool) -> None:
    """Choose whether Ray prints each death of a worker to standard output, where results of commands go."""
    ray._private.worker._worker_logs_enabled = enabled
