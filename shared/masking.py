"""
What a log line may not hold, and what stands there instead.

Users become a keyed hash; secrets and what people wrote become ``***``; phone numbers in any other
text too. Entry ids, window ids, ports and counts survive, for they are what one searches by.
The one formatter of ``shared.log`` passes every line through here, also those of libraries.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, MutableMapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from shared.model import EntryId
from shared.tracebacks import tell_error

MASK = "***"

_DEPTH_MAX = 4

# What is longer was not meant to be read; and the patterns' work stays bounded.
_TEXT_MAX_CHARS = 4000
_LINES_MAX_CHARS = 16_000

# Names of values that hold secrets. Whole words between underscores and hyphens would miss
# `handlerSecret`; a part of the name is enough, for a value masked in vain costs little.
_SECRET_NAME = re.compile(
    r"secret|token|passw|api_?key|auth|cookie|credential|signature|jwt|bearer", re.IGNORECASE
)

# Names of values that hold what people wrote, or requests whole.
_CONTENT_NAMES = frozenset(
    {
        "answer",
        "body",
        "caption",
        "chat",
        "content",
        "data",
        "headers",
        "jid",
        "media",
        "message",
        "metadata",
        "payload",
        "phone",
        "quoted",
        "raw",
        "recipient",
        "sender",
        "text",
        "texts",
    }
)

# Ids of our own making: random letters and digits, where a run of digits is no phone number.
_OPAQUE_NAMES = frozenset({"worker", "owner"})
_OPAQUE_VALUE = re.compile(r"[A-Za-z0-9_.:-]{1,128}")

# Numbers as long as a phone number that are none, by how their names end.
_PHONE_MIN = 10**8
_LONG_NUMBERS = ("_ms", "_s", "_at", "bytes", "epoch")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")

# To the last @: a password that should have been escaped may hold one, and a slash.
_URL_CREDENTIALS = re.compile(r"(?<=://)[^\s@]{0,256}@(?:[^\s@]{0,256}@)*")
_NAMED_SECRET = re.compile(
    r"(?P<name>(?:secret|token|passw|api[_ -]?key|authorization|cookie|signature|jwt)[\w-]{0,24})"
    r"(?P<between>[\"']?\s*[=:]\s*[\"']?(?:(?:bearer|basic)\s+)?)[^\s\"'&,;]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)

# What a token looks like where nothing names it: Telegram's (also in its URLs), Standard Webhooks',
# Meta's, those of models.
_TOKEN = re.compile(
    r"(?<!\d)\d{5,12}:[\w-]{20,}|\b(?:whsec_|sk-|EAA)[\w+/=-]{16,}|\bapp-\w{20,}", re.ASCII
)

# An entry id is 13 digits of milliseconds and a sequence: 15... to 20... is 2017 to 2036, where no
# phone number of 13 digits begins. A WhatsApp group `<phone>-<time>@g.us` must not look like one.
_NUMBERS = re.compile(
    r"(?P<kept>w_[a-z2-7]{26}(?![a-z0-9])|(?<!\d)(?:1[5-9]|20)\d{11}-\d{1,9}(?![\d@]))"
    r"|\+\d(?:[ ().-]{0,2}\d){6,}"
    r"|\(\d{2,4}\) ?\d{3,5}[ -]?\d{4}"
    # in groups, eight digits or more; no date
    r"|(?<![\w.:-])(?=(?:[ -]?\d){8})(?!(?:19|20)\d\d-\d\d-\d\d(?!\d))"
    r"\d{2,5}(?:[ -]\d{2,5}){1,4}(?![\w:-])"
    r"|\d{7,}"
)


class UserHash:
    """
    Stands in for a user in logs: the same 8 hex digits for the same user under the same key.

    Without the key nobody can try all phone numbers against a log. Two processes show the same
    hash only if they were given the same key.
    """

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.blake2b(key, digest_size=32).digest()

    def __call__(self, user: str) -> str:
        """The hash of ``user``; half a surrogate pair is as good as any other character."""
        source = user.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(source, digest_size=4, key=self._key).hexdigest()


class Masking:
    """The processor that masks a line's values. Its position is last before the renderer."""

    def __init__(self, user_key: bytes) -> None:
        self._user_hash = UserHash(user_key)

    def hash_users_with(self, user_key: bytes) -> None:
        """Another key from now on."""
        self._user_hash = UserHash(user_key)

    def __call__(
        self, _logger: Any, _method: str, line: MutableMapping[str, Any]
    ) -> dict[str, Any]:
        """A line with the same names, fit to be written."""
        return {name: self._mask_named(name, value) for name, value in line.items()}

    def _mask_named(self, name: str, value: Any, depth: int = 0) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if name == "user":
            return self._user_hash(str(value))
        if name in _CONTENT_NAMES or (name != "event" and _SECRET_NAME.search(name)):
            return MASK
        if isinstance(value, int | float):
            return MASK if _may_be_a_phone(name, value) else value
        if name in _OPAQUE_NAMES and _OPAQUE_VALUE.fullmatch(str(value)):
            return str(value)
        if name == "exception":
            return mask_text(str(value), keep_lines=True)
        return self._mask_value(name, value, depth)

    def _mask_value(self, name: str, value: Any, depth: int) -> Any:
        if isinstance(value, Enum):
            return self._mask_value(name, value.value, depth)
        if isinstance(value, bytes):
            return mask_text(value.decode("utf-8", "backslashreplace"))
        if isinstance(value, str | PurePath | EntryId):
            return mask_text(str(value))
        if isinstance(value, BaseException):
            return mask_text(tell_error(value))
        if depth < _DEPTH_MAX and isinstance(value, Mapping):
            return {
                mask_text(str(key)): self._mask_named(str(key), item, depth + 1)
                for key, item in value.items()
            }
        if depth < _DEPTH_MAX and isinstance(value, list | tuple | set | frozenset):
            return [self._mask_named(name, item, depth + 1) for item in value]
        # Anything else might show a message in its repr.
        return f"<{type(value).__name__}>"


def _may_be_a_phone(name: str, value: float) -> bool:
    """As long as a phone number, as providers' ids are too, and no time, size or epoch."""
    return abs(value) >= _PHONE_MIN and not name.endswith(_LONG_NUMBERS)


def mask_text(text: str, *, keep_lines: bool = False) -> str:
    """
    Free text without secrets and phone numbers, on one line unless ``keep_lines``.

    Control characters are escaped, so that nobody outside can forge a line of the log.
    """
    # A traceback's end tells more than its beginning.
    text = text[-_LINES_MAX_CHARS:] if keep_lines else text[:_TEXT_MAX_CHARS]
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    control = _CONTROL_BUT_LINES if keep_lines else _CONTROL
    text = control.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    if "://" in text:
        text = _URL_CREDENTIALS.sub(f"{MASK}@", text)
    text = _NAMED_SECRET.sub(rf"\g<name>\g<between>{MASK}", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _TOKEN.sub(MASK, text)
    return _NUMBERS.sub(lambda match: match["kept"] or MASK, text)
