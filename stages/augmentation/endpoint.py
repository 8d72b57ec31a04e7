"""The translator `endpoint`: a language model behind an HTTP address that answers as OpenAI's chat completions do
(vLLM, llama.cpp, SGLang and most services).

A whole text goes in one request, at temperature 0, and many requests are under way at a time. No such server promises
the same answer twice, so the folder of a cache has to be given: what it holds is what the translations of a recipe are.
An answer that was cut off, or is empty, counts as none. The key of the service comes from an environment variable and
stands in no record; redirects are not followed, so it goes to no other host.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Self, cast
from urllib.parse import SplitResult, urlsplit

from blake3 import blake3
from pydantic import Field, model_validator

from curator.errors import TransientError, UserError
from curator.language.tags import display_name, list_language
from curator.stage import Parameters, Requirement
from stages.augmentation.cache import TranslationCache
from stages.augmentation.sentences import has_letter
from stages.augmentation.translator import Pair

PROMPT = (
    "Translate the text between the lines from {source} to {target}. Keep line breaks, numbers and whatever stands in "
    "square brackets. Answer with the translation alone.\n---\n{text}\n---"
)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_RETRIED = (408, 409, 429, 500, 502, 503, 504)
_MOST_WAIT_S = 30.0
_MOST_ANSWER_BYTES = 4 << 20


class EndpointOptions(Parameters):
    """Options of the translator `endpoint`."""

    url: str = Field(description="Where the interface begins: https://HOST/v1. Without TLS on this machine alone.")
    model: str = Field(min_length=1, description="The name of the model, as the server knows it.")
    cache: Path = Field(description="Folder in which translations are kept.")
    key_variable: str | None = Field(default=None, description="Environment variable with the key of the service.")
    prompt: str = Field(default=PROMPT, description="What is asked: {source} and {target} are names, {text} the text.")
    requests: int = Field(default=8, ge=1, le=256, description="Requests at a time.")
    timeout_s: float = Field(default=120.0, gt=0, description="Seconds that an answer may take.")
    attempts: int = Field(default=5, ge=1, le=20, description="Attempts at a text while the server is busy.")
    max_tokens: int = Field(default=2048, ge=1, description="Tokens of an answer at most.")

    @model_validator(mode="after")
    def _is_an_address(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("url must be http(s)://HOST[:PORT]/PATH, without a user or a query")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("url must be https, or an address of this machine")
        if "{text}" not in self.prompt:
            raise ValueError("prompt must have {text}")
        return self


class Endpoint:
    """Translates by asking a language model over HTTP."""

    name = "endpoint"
    version = "1"
    """Of what is asked and how an answer is read."""

    def __init__(self, **options: object) -> None:
        self.options = EndpointOptions.model_validate(options)

    def pairs(self) -> frozenset[Pair]:
        """None by itself: a recipe names the pivots, and the model takes what it knows."""
        return frozenset()

    def ways(self) -> Mapping[str, tuple[str, ...]]:
        """None are known: a recipe names them."""
        return {}

    def requirement(self, pair: Pair) -> Requirement:
        """The server and its key, identified by model and prompt."""
        name = f"endpoint {self.options.model} {'-'.join(pair)}"
        return Requirement("translator", name, "" if self._problem else self._identity, self._problem)

    def translate(self, source: str, target: str, texts: Sequence[str]) -> list[str | None]:
        """One request for each text that the cache does not have; None where the answer is no translation. UserError
        where the server refuses, TransientError when it stays busy."""
        if self._problem is not None:
            raise UserError(f"{self.options.url}: {self._problem}")
        cache = TranslationCache(self.options.cache, self._identity, source, target)
        wanted = [text for text in dict.fromkeys(texts) if has_letter(text)]
        known = cache.find(wanted)
        missing = [text for text in wanted if text not in known]
        with ThreadPoolExecutor(self.options.requests) as pool:
            answers = pool.map(lambda text: self._ask(source, target, text), missing)
            for text, answer in zip(missing, answers, strict=True):
                if answer is not None:
                    known[text] = answer
                    cache.add({text: answer})
        return [known.get(text) if has_letter(text) else text for text in texts]

    @cached_property
    def _problem(self) -> str | None:
        variable = self.options.key_variable
        if variable is not None and not os.environ.get(variable):
            return f"the environment variable {variable} is not set"
        parts = urlsplit(self.options.url)
        try:
            with socket.create_connection(_address(parts), timeout=min(10.0, self.options.timeout_s)):
                return None
        except OSError as error:
            return f"nothing answers there: {error.strerror or error}"

    @cached_property
    def _identity(self) -> str:
        said = json.dumps([self.version, self.options.model, self.options.prompt, self.options.max_tokens])
        return f"{self.options.model} blake3:{blake3(said.encode()).hexdigest(length=16)}"

    def _ask(self, source: str, target: str, text: str) -> str | None:
        names = {"source": display_name(list_language(source)), "target": display_name(list_language(target))}
        body = json.dumps(
            {
                "model": self.options.model,
                "messages": [{"role": "user", "content": _filled(self.options.prompt, {**names, "text": text})}],
                "temperature": 0,
                "seed": 0,
                "max_tokens": self.options.max_tokens,
            }
        ).encode()
        for attempt in range(self.options.attempts):
            if attempt:
                time.sleep(min(2.0**attempt / 2, _MOST_WAIT_S))
            try:
                status, answer = self._post(body)
            except (OSError, http.client.HTTPException):
                continue
            if status == 200:
                return _translation(answer)
            if status not in _RETRIED:
                raise UserError(
                    f"the server answered with {status}", file=self.options.url, hint="see the server's log"
                )
        raise TransientError(
            f"no answer after {self.options.attempts} attempts", file=self.options.url, hint="fewer `requests` may help"
        )

    def _post(self, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(self.options.url)
        host, port = _address(parts)
        connection = (
            http.client.HTTPSConnection(
                host, port, timeout=self.options.timeout_s, context=ssl.create_default_context()
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=self.options.timeout_s)
        )
        headers = {"Content-Type": "application/json"}
        if self.options.key_variable is not None:
            headers["Authorization"] = f"Bearer {os.environ[self.options.key_variable]}"
        try:
            connection.request("POST", f"{parts.path.rstrip('/')}/chat/completions", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(_MOST_ANSWER_BYTES)
        finally:
            connection.close()


def _address(parts: SplitResult) -> tuple[str, int]:
    return cast("str", parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)


def _filled(prompt: str, values: Mapping[str, str]) -> str:
    """The prompt with its names replaced, `{text}` last: what a text holds is not looked at."""
    for name in ("source", "target", "text"):
        prompt = prompt.replace(f"{{{name}}}", values[name])
    return prompt


def _translation(answer: bytes) -> str | None:
    """The text of an answer; None where it was cut off, or is not one."""
    try:
        choice = json.loads(answer)["choices"][0]
        text = choice["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return None
    if not isinstance(text, str) or choice.get("finish_reason") not in ("stop", None):
        return None
    return text.strip().removeprefix("---").removesuffix("---").strip() or None
