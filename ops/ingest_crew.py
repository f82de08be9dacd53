"""``inturn ingest --processes N``: how many there are, and where each is to be asked how it is."""

from __future__ import annotations

from ops.crew import Crew
from ops.shared_port import SharedPort
from shared.errors import StartRefused
from shared.log import configure_logging
from shared.settings import Settings, load_settings

PORT_MAX = 65_535


def run_ingest_crew(count: int) -> int:
    """
    ``count`` ingest processes on ``PORT``, with health and metrics on ``METRICS_PORT`` and the
    ports after it; returns the exit code.

    Raises:
        StartRefused: the settings are wrong, or ``PORT`` cannot be had or shared.
    """
    settings = load_settings()
    port = SharedPort(settings.host, settings.port, "INTURN_PORT")
    try:
        ports = metrics_ports(settings, count, port.number)
        configure_logging(settings.log_level, settings.log_format)
        return Crew(lambda number: _serve(number, port.number, ports[number]), count).run()
    finally:
        port.close()


def metrics_ports(settings: Settings, count: int, port: int) -> list[int]:
    """
    Each process's; 0 is any free one.

    Raises:
        StartRefused: they leave the range of ports, or ``port`` is among them.
    """
    first = settings.metrics_port
    if first == 0:
        return [0] * count
    ports = list(range(first, first + count))
    name = "INTURN_METRICS_PORT"
    if ports[-1] > PORT_MAX:
        raise StartRefused([f"{name}: {count} ports from {first} on end beyond {PORT_MAX}"])
    if port in ports:
        of_all = f"{ports[0]} to {ports[-1]}"
        raise StartRefused([f"{name}: INTURN_PORT is among the ports {of_all} of the processes"])
    return ports


def _serve(number: int, port: int, metrics_port: int) -> int:
    """In the forked child: what starts threads is imported only here."""
    from ingest.service import OneOfSeveral, main  # noqa: PLC0415

    return main(OneOfSeveral(number=number, port=port, metrics_port=metrics_port))
