"""
``dify:<base url>``: a chatbot, chatflow or agent of Dify, through its service API.

The window is one ``query``; pictures go along as ``files``. Dify keeps the conversation, and the
id that it gave is sent again with the user's next window. What an answer means:

    text                                      the reply
    no text                                   silence
    404, conversation_completed, with an id   the conversation is gone: at once again, as a new one
    invalid_param "... blocking mode"         at once again, streamed, and so from then on
    400 413 415 422 with files                at once again, without them; else rejected
    app_unavailable, provider_... and so on   unavailable: the app, not the window, is at fault
    completion_request_error                  retry: the model behind the app failed
    every other status, no connection, timeout: as an HTTP handler's

An error holds a status, a code of Dify's or a class name, never a part of a text.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

import aiohttp
import orjson
from msgspec.structs import replace

from shared.handlers import Call
from shared.handlers.dify_answer import (
    DifyAnswer,
    DifyRefusal,
    NoAnswer,
    StreamedAnswer,
    read_answer,
)
from shared.handlers.history import remember_thread, thread_in
from shared.handlers.http import (
    ANSWER_MAX_BYTES,
    CONNECT_TIMEOUT_MS,
    KEEP_ALIVE_S,
    has_credentials,
    judge_failure,
    judge_status,
    parse_url,
)
from shared.handlers.model_options import ModelOptions
from shared.handlers.replies import read_text
from shared.handlers.thoughts import spoken_part
from shared.handlers.transcript import Picture, pictures_of, words_of
from shared.model import Reply, Result, Retry
from shared.payload import load_json

WITHOUT_FILES = frozenset({400, 413, 415, 422})
"""What an app answers that takes no files, or not such ones."""

_File = dict[str, Any]


class DifyHandler:
    """
    One app and its connections. The caller bounds how many calls run at once.

    Cancelling a call closes its connection; the app may go on with the work.
    """

    in_process = False

    def __init__(self, base_url: str, options: ModelOptions, *, timeout_ms: int) -> None:
        """
        Needs no running loop.

        Raises:
            ValueError: ``base_url`` is no URL of a host alone, or there is no key.
        """
        base = parse_url(base_url)
        if has_credentials(base):
            raise ValueError("dify: has a user or password in its URL; handler_key says who asks")
        if options.key is None:
            raise ValueError("dify: needs handler_key, the app's API key")
        self._api = base if base.path.rstrip("/").endswith("/v1") else base / "v1"
        self._options = options
        self._timeout_s = timeout_ms / 1000
        self._streams = False
        self._session: aiohttp.ClientSession | None = None
        self.remembers = options.history_messages > 0

    async def answer(self, call: Call) -> Result:
        """Ask the app once. Every failure is a result; none raises but cancellation."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return self._judge(await self._ask_as_it_can(call))
        except DifyRefusal as refusal:
            return refusal.result
        except NoAnswer as error:
            return Retry(error=str(error))
        except (aiohttp.ClientError, OSError) as error:
            return judge_failure(error)

    async def close(self) -> None:
        """Close the connections; calls that still run fail. A later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _judge(self, answer: DifyAnswer) -> Result:
        spoken = spoken_part(answer.text)
        if spoken is None:
            return Retry(error="the answer ended before the model had thought it through")
        reply = read_text(spoken)
        if isinstance(reply, Reply) and self.remembers and answer.conversation_id:
            memory = remember_thread(answer.conversation_id, self._options.history_ms)
            return replace(reply, memory=memory)
        return reply

    async def _ask_as_it_can(self, call: Call) -> DifyAnswer:
        """Give up what Dify refuses, one thing after the other: the old conversation, files."""
        conversation_id = thread_in(call.history)
        files = await self._files_of(call) if self._options.images else []
        streams = self._streams
        while True:
            try:
                return await self._ask(call, conversation_id, files, streams=streams)
            except DifyRefusal as refusal:
                if conversation_id is not None and refusal.thread_is_gone:
                    conversation_id = None
                elif refusal.must_stream and not streams:
                    self._streams = streams = True
                elif files and refusal.status in WITHOUT_FILES:
                    files = []
                else:
                    raise

    async def _ask(
        self, call: Call, conversation_id: str | None, files: list[_File], *, streams: bool
    ) -> DifyAnswer:
        window = call.window
        last = window.in_sent_order()[-1].message
        body = {
            "inputs": {"instance": window.instance, "user": window.user, "name": last.name or ""},
            "query": words_of(window),
            "response_mode": "streaming" if streams else "blocking",
            "conversation_id": conversation_id or "",
            "user": window.user,
            "files": files,
        }
        headers = {"Content-Type": "application/json", "Idempotency-Key": window.id}
        async with self._open_session().post(
            self._api / "chat-messages",
            data=orjson.dumps(body),
            headers=headers,
            allow_redirects=False,
        ) as response:
            if judge_status(response.status, response.headers) is not None:
                raise DifyRefusal(response.status, await _read_json(response), response.headers)
            if response.content_type != "text/event-stream":
                return read_answer(await _read_up_to(response, ANSWER_MAX_BYTES))
            streamed = StreamedAnswer()
            async for chunk in response.content.iter_any():
                streamed.feed(chunk)
            return streamed.end()

    async def _files_of(self, call: Call) -> list[_File]:
        found = [await self._file(call, picture) for picture in pictures_of(call.window)]
        return [file for file in found if file is not None]

    async def _file(self, call: Call, picture: Picture) -> _File | None:
        """None: the picture cannot be shown, and is mentioned only."""
        if picture.url is not None:
            return {"type": "image", "transfer_method": "remote_url", "url": picture.url}
        try:
            data = base64.b64decode(picture.data or "", validate=True)
        except binascii.Error:
            return None
        form = aiohttp.FormData()
        form.add_field("user", call.window.user)
        name = "picture." + picture.mime.removeprefix("image/").partition("+")[0]
        form.add_field("file", data, filename=name, content_type=picture.mime)
        async with self._open_session().post(
            self._api / "files" / "upload", data=form, allow_redirects=False
        ) as response:
            if response.status in WITHOUT_FILES:
                return None
            uploaded = await _read_json(response)
            if judge_status(response.status, response.headers) is not None:
                raise DifyRefusal(response.status, uploaded, response.headers)
        if not isinstance(uploaded, dict) or not isinstance(uploaded.get("id"), str):
            raise NoAnswer("the answer to an upload has no id")
        return {
            "type": "image",
            "transfer_method": "local_file",
            "upload_file_id": uploaded["id"],
        }

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connect_s = min(CONNECT_TIMEOUT_MS / 1000, self._timeout_s / 2)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
                # A cookie that one user's window brought must not go out with another's.
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
                headers={"Authorization": f"Bearer {self._options.key}", "User-Agent": "inturn"},
            )
        return self._session


async def _read_json(response: aiohttp.ClientResponse) -> Any:
    try:
        return load_json(await _read_up_to(response, ANSWER_MAX_BYTES))
    except (orjson.JSONDecodeError, NoAnswer):
        return None


async def _read_up_to(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """
    The body, counted after decompression.

    Raises:
        NoAnswer: it is larger; the rest is never read.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise NoAnswer(f"the answer is larger than {limit} bytes")
    return bytes(body)
