"""Debian's Prometheus with the configuration of ``deploy/``, scraping services on this machine."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

from shared.lifeline import tie_to_this_process
from tests.support.deploy_files import DEPLOY, impatient_rules, load_yaml
from tests.support.redis_server import free_port
from tests.support.tools import require_tool
from tests.support.waiting import eventually

START_S = 30.0


class PrometheusServer:
    """
    One server, ready inside the block; ``targets`` are addresses by the name of their job.

    The configuration is that of ``deploy/prometheus``, but for where its targets are and for its
    intervals: a second. ``is_impatient``: alerts fire as soon as what they watch is so.
    """

    def __init__(
        self,
        folder: Path,
        targets: Mapping[str, Sequence[str]],
        *,
        is_impatient: bool = False,
    ) -> None:
        self._program = require_tool("prometheus", "prometheus")
        self._folder = folder
        self._targets = targets
        self._rules = impatient_rules(folder) if is_impatient else DEPLOY / "prometheus"
        self._url = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        config = self._folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config()))
        self._start(config)
        await eventually(self._is_ready, "a ready Prometheus", START_S)
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    async def ask(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and values that an expression has now."""
        answer = await self._get("/api/v1/query", query=expression)
        found = answer["data"]["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    async def value(self, expression: str) -> float | None:
        """Of an expression with one value; None where it has none, or several."""
        found = await self.ask(expression)
        return found[0][1] if len(found) == 1 else None

    async def becomes(self, expression: str, value: float) -> None:
        """Wait until an expression has this one value."""

        async def is_so() -> bool:
            return await self.value(expression) == value

        await eventually(is_so, f"{expression} to be {value}", START_S)

    async def fires(self, alert: str, limit_s: float = START_S) -> None:
        """Wait until an alert fires."""

        async def is_so() -> bool:
            return bool(await self.ask(f'ALERTS{{alertname="{alert}", alertstate="firing"}}'))

        await eventually(is_so, f"{alert} to fire", limit_s)

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule, with its health and its last error."""
        answer = await self._get("/api/v1/rules")
        return [rule for group in answer["data"]["groups"] for rule in group["rules"]]

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = load_yaml("prometheus/prometheus.yml")
        config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(self._rules / name) for name in config["rule_files"]]
        jobs = {job["job_name"] for job in config["scrape_configs"]}
        assert jobs == set(self._targets), f"the jobs are {jobs}"
        for job in config["scrape_configs"]:
            del job["dns_sd_configs"]
            job["static_configs"] = [{"targets": list(self._targets[job["job_name"]])}]
        return config

    def _start(self, config: Path) -> None:
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    self._program,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self._url.removeprefix('http://')}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=tie_to_this_process(),  # noqa: PLW1509  pytest's main thread forks
            )

    async def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()[-2000:]
        try:
            await self._get("/-/ready")
        except (aiohttp.ClientError, TimeoutError):
            return False
        return True

    async def _get(self, path: str, **query: str) -> Any:
        timeout = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
            session.get(self._url + path, params=query) as answer,
        ):
            return await answer.json() if path.startswith("/api") else await answer.text()
