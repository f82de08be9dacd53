"""
Reading Redis's answers: a look at the socket gives all that have come.

redis-py's own reading costs 1.3 us an answer, most of it between its layers; the parser under it,
hiredis, costs a tenth. It is asked here without them, once redis-py has made the connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hiredis import Reader
from redis.asyncio.connection import AbstractConnection, DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError

from shared.broker_errors import classify
from shared.errors import BrokerUnavailable

READ_BYTES = 1 << 18

NOT_YET = object()
"""Instead of an answer: it has not come, or not whole."""


class AnswerReader:
    """The answers on one connection; nobody else may read from it."""

    def __init__(self, connection: AbstractConnection) -> None:
        # It has no public name, but the same one since redis-py has had asyncio.
        stream: asyncio.StreamReader | None = connection._reader  # noqa: SLF001
        assert stream is not None
        self._stream = stream
        self._reader = Reader(
            protocolError=InvalidResponse,
            replyError=DefaultParser.parse_error,
            notEnoughData=NOT_YET,
        )

    def take(self) -> Any:
        """
        The next answer, an error of Redis as a ``BrokerRefused``; or ``NOT_YET``.

        Raises:
            RedisError: it breaks the protocol, or says that there is no answer.
        """
        answer = self._reader.gets()
        if isinstance(answer, RedisError):
            meaning = classify(answer)
            if isinstance(meaning, BrokerUnavailable):
                raise answer
            meaning.__cause__ = answer
            return meaning
        return answer

    async def wait(self) -> None:
        """
        Until more has come.

        Raises:
            RedisError, OSError: nothing will come any more.
        """
        more = await self._stream.read(READ_BYTES)
        if not more:
            raise RedisConnectionError("closed by the server")
        self._reader.feed(more)
