"""An Evolution of a test's own: how inturn finds it, and webhooks as it posts them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from tests.support.evolution_payloads import INSTANCE, PHONE, key, text_item, webhook


def config_for(folder: Path, url: str, token: str) -> str:
    """A configuration file that gives the payloads' instance a channel at ``url``; its path."""
    path = folder / "inturn.toml"
    base_url = URL(url).origin()
    path.write_text(f'[instances."{INSTANCE}"]\nbase_url = "{base_url}"\ntoken = "{token}"\n')
    return str(path)


async def post_texts(url: str, *texts: str, user: str = PHONE) -> None:
    """One webhook per text, one after the other, each answered 200."""
    async with aiohttp.ClientSession() as session:
        for number, text in enumerate(texts):
            whose = key(remoteJid=f"{user}@s.whatsapp.net", id=f"ID-{user}-{number}-{text}")
            item: Any = text_item(text, of=whose, messageTimestamp=int(time.time()))
            async with session.post(f"{url}/webhooks/evolution", json=webhook(item)) as answer:
                assert answer.status == 200, await answer.text()
