"""Nothing that is unfinished ever has a TTL."""

from __future__ import annotations

from consumer.answers import FinishCode
from consumer.outbox import SendCode
from shared.model import Token
from shared.wire import encode_reply
from tests.support.partition_scripts import SHOP, T1, T2, Scripts, reply_to, request

MAY_EXPIRE = ("lease", "seen", "history")


async def test_no_key_that_holds_an_unfinished_message_expires(scripts: Scripts) -> None:
    """After a history of everything that can happen, only leases and dedupe have a TTL."""
    epoch = await scripts.acquire()
    for user in ("ann", "bob", "cho", "dan", "eve"):
        await scripts.append(user, user=user)
    windows = {}
    for user in ("ann", "bob", "cho", "dan"):
        window = await scripts.read_window(epoch, count=1)
        token = Token(f"us:1:{user}")
        await scripts.begin(window, epoch, token)
        windows[user] = (window, token)
    window, token = windows["ann"]
    value = encode_reply(reply_to(window))
    assert await scripts.finish(window, token, "answered", value) is FinishCode.FINISHED
    ((reply_id, _),) = await scripts.our_outbox.page(None)
    code = (await scripts.our_outbox.send(epoch, reply_id, None, Token("s"))).code
    assert code is SendCode.SENDING
    window, token = windows["bob"]
    assert await scripts.us.postpone(window.conversation, token, 1000, counts=True)
    window, token = windows["cho"]
    await scripts.finish(window, token, "dead", b"{}")
    epoch = await scripts.acquire()
    await scripts.us.claim(epoch, SHOP, b"0-0", 100)
    window, token = windows["dan"]
    await scripts.us.start(epoch, [request(window, T2, replaces=token)])
    await scripts.finish(window, T1)
    await scripts.renew(epoch)
    client, base = scripts.client, scripts.p.base
    expiring: set[str] = set()
    lasting: set[str] = set()
    async for key in client.scan_iter(match=f"{base}:*"):
        kind = key.decode().removeprefix(f"{base}:").split(":")[0]
        (expiring if await client.pttl(key) >= 0 else lasting).add(kind)
    assert expiring <= set(MAY_EXPIRE)
    unfinished = {"stream", "streams", "ready", "running", "outbox", "sending", "dead", "epoch"}
    assert unfinished <= lasting
