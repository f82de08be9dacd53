"""
``openai:<model>``: a model behind OpenAI's chat API, or any server that speaks it.

A window is one turn of the user (templates of many models want the roles to alternate), after the
system prompt and what was said before. What an answer means:

    text                             the reply
    no text                          silence
    400 413 422                      rejected; of a request with images (415, too): at once again
                                     without them
    429 insufficient_quota           unavailable: the account, not the window, is at fault
    503 that says it is overloaded   retry
    every other status, no connection, timeout: as an HTTP handler's

The package ``openai`` is imported when such a handler is made, so that nobody else needs it. Its
own retries are off. An error holds a status, a code or a class name, never a part of a text.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from msgspec.structs import replace

from shared.handlers import Call
from shared.handlers.history import exchanges_in, remember_exchange
from shared.handlers.http import ANSWER_MAX_BYTES
from shared.handlers.model_options import ModelOptions
from shared.handlers.openai_client import judge_error, make_client, read_up_to, refusal_in
from shared.handlers.replies import read_text
from shared.handlers.thoughts import spoken_part
from shared.handlers.transcript import Picture, pictures_of, words_of
from shared.model import Reply, Result, Retry, Silence
from shared.payload import load_json

WITHOUT_IMAGES = frozenset({400, 413, 415, 422})
"""What a server answers whose model takes no images, or that cannot fetch one."""


class OpenAIHandler:
    """
    One model and its connections. The caller bounds how many calls run at once.

    Cancelling a call closes its connection; the server may go on with the work, and bill it.
    """

    in_process = False

    def __init__(self, model: str, options: ModelOptions, *, timeout_ms: int) -> None:
        """
        Needs no running loop.

        Raises:
            ValueError: no model, no key for OpenAI itself, or the package is not there.
        """
        if not model:
            raise ValueError("openai: does not have the form openai:<model>")
        if options.base_url is None and options.key is None:
            raise ValueError("openai: needs handler_key, or the handler_base_url of another server")
        self._model = model
        self._options = options
        self._timeout_s = timeout_ms / 1000
        self.remembers = options.history_messages > 1
        self._client = make_client(options, self._timeout_s)

    async def answer(self, call: Call) -> Result:
        """Ask the model once. Every failure is a result; none raises but cancellation."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask_as_it_can(call)
        except TimeoutError:
            return Retry(error="no answer in time")
        except Exception as error:  # noqa: BLE001  the package's HTTP client is of its choosing
            refusal = refusal_in(error)
            return judge_error(error) if refusal is None else refusal.result

    async def close(self) -> None:
        """Close the connections; calls that still run fail."""
        await self._client.close()

    async def _ask_as_it_can(self, call: Call) -> Result:
        """With the window's pictures; without them where the model, or its server, refuses them."""
        pictures = pictures_of(call.window) if self._options.images else []
        try:
            return await self._ask(call, pictures)
        except Exception as error:
            refusal = refusal_in(error)
            if not pictures or refusal is None or refusal.status not in WITHOUT_IMAGES:
                raise
        return await self._ask(call, [])

    async def _ask(self, call: Call, pictures: list[Picture]) -> Result:
        said = words_of(call.window)
        request = self._request(call, said, pictures)
        headers = {"Idempotency-Key": call.window.id}
        completions = self._client.chat.completions.with_streaming_response
        async with completions.create(**request, extra_headers=headers) as response:
            body = await read_up_to(response.iter_bytes(), ANSWER_MAX_BYTES)
        if body is None:
            return Retry(error=f"the answer is larger than {ANSWER_MAX_BYTES} bytes")
        answer = read_completion(body)
        if not isinstance(answer, Reply):
            return answer
        options = self._options
        count, keep_ms = options.history_messages, options.history_ms
        memory = remember_exchange(said, answer.texts, count, keep_ms)
        return replace(answer, memory=memory)

    def _request(self, call: Call, said: str, pictures: list[Picture]) -> dict[str, Any]:
        options = self._options
        messages: list[dict[str, Any]] = []
        if options.system_prompt:
            messages.append({"role": "system", "content": options.system_prompt})
        for exchange in exchanges_in(call.history, options.history_messages):
            messages += (
                {"role": "user", "content": exchange.said},
                {"role": "assistant", "content": exchange.answered},
            )
        content: Any = said
        if pictures:
            content = [{"type": "text", "text": said}, *map(_image_part, pictures)]
        messages.append({"role": "user", "content": content})
        request: dict[str, Any] = {"model": self._model, "messages": messages}
        if options.temperature is not None:
            request["temperature"] = options.temperature
        if options.max_tokens is not None:
            # OpenAI's newer models refuse max_tokens, other servers mostly know nothing else.
            ours = options.base_url is None
            request["max_completion_tokens" if ours else "max_tokens"] = options.max_tokens
        return request


def read_completion(body: bytes) -> Reply | Silence | Retry:
    """The texts of a chat completion, without what the model thought before it answered."""
    try:
        message = load_json(body)["choices"][0]
        finish, message = message.get("finish_reason"), message["message"]
        text = _joined(message.get("content")) or message.get("refusal") or ""
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return Retry(error="the answer is no chat completion")
    if not isinstance(text, str):
        return Retry(error=f"the answer's content is {type(text).__name__}, not a text")
    spoken = spoken_part(text)
    if spoken is None:
        return Retry(error="the answer ended before the model had thought it through")
    if not spoken.strip() and finish == "length":
        return Retry(error="the answer ended before its first word: max_tokens is too low")
    return read_text(spoken)


def _joined(content: Any) -> Any:
    """
    A content in parts as one text; any other as it is.

    Mistral's models give thoughts (``thinking``), sources (``reference``) and ``text`` as parts.
    """
    if not isinstance(content, list):
        return content
    return "".join([part["text"] for part in content if part["type"] == "text"])


def _image_part(picture: Picture) -> dict[str, Any]:
    url = picture.url or f"data:{picture.mime};base64,{picture.data}"
    return {"type": "image_url", "image_url": {"url": url}}
