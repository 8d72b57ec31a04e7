"""Sends what is in the outbox, in a thread of its own: at least once each, so receivers go by the id of a message."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from serve.config import WebhookSection
from serve.store.database import Database
from serve.webhooks.addresses import AddressError, Pinned, pin
from serve.webhooks.outbox import Message, Outbox, Sent, claim, is_due, settle
from serve.webhooks.signing import sign

AT_ONCE = 4
LOOK_SECONDS = 15.0
TIMEOUT_SECONDS = 10.0
"""How long a receiver may be silent."""
WHOLE_SECONDS = 30.0
"""How long a receiver may take in all."""

_log = logging.getLogger("curator.serve")


class Deliverer:
    """Delivers the messages of a store."""

    def __init__(self, database: Database, section: WebhookSection, outbox: Outbox, secrets: Sequence[bytes]) -> None:
        self._database = database
        self._section = section
        self._outbox = outbox
        self._secrets = secrets
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin, where anything may be delivered."""
        if self._section.is_used:
            self._thread.start()

    @property
    def has_died(self) -> bool:
        """Whether it should deliver, and does not any more."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stopping.is_set()

    def stop(self) -> None:
        """End; what is not delivered stays in the outbox."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self, _run: int = 0) -> None:
        """Look now, if a message was added."""
        if self._outbox.take_new():
            self._wake.set()

    def look(self) -> None:
        """Look now."""
        self._wake.set()

    def _loop(self) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as pool:
            while not self._stopping.is_set():
                try:
                    while not self._stopping.is_set() and self.turn(pool):
                        pass
                except (DBAPIError, PoolTimeout) as error:
                    _log.warning("the store does not answer: %s", type(error).__name__)
                self._wake.wait(LOOK_SECONDS)
                self._wake.clear()

    def turn(self, pool: ThreadPoolExecutor) -> bool:
        """Send what is due, a few at a time; whether there was anything."""
        with self._database.read() as session:
            if not is_due(session, time.time()):
                return False
        with self._database.write() as session:
            messages = claim(session, time.time(), AT_ONCE)
        sent = list(pool.map(self.send, messages))
        with self._database.write() as session:
            for message, how in zip(messages, sent, strict=True):
                settle(session, message, how, time.time())
        return bool(messages)

    def send(self, message: Message) -> Sent:
        """Try to deliver a message."""
        if not self._outbox.is_allowed(message.url):
            return Sent(410, "the configuration does not allow this address any more")
        try:
            pinned = pin(message.url, self._section.networks)
            status = post(pinned, message.body, sign(message.id, int(time.time()), message.body, self._secrets))
        except AddressError as error:
            return Sent(None, error.message)
        except (OSError, UnicodeError, http.client.HTTPException) as error:  # a host name may be none (UnicodeError)
            return Sent(None, type(error).__name__)
        return Sent(status, None if 200 <= status < 300 else f"answered {status}")


def post(pinned: Pinned, body: bytes, headers: Mapping[str, str]) -> int:
    """Send a body to the address that was looked at; the status of the answer, of which nothing else is read. No
    redirect is followed, and no proxy asked. OSError and HTTPException as `http.client` raises them."""
    connection = _PinnedConnection(pinned)
    whole = threading.Timer(WHOLE_SECONDS, connection.abort)
    whole.start()
    try:
        given = {
            **headers,
            "Host": pinned.authority,
            "Content-Type": "application/json",
            "User-Agent": "curator-webhooks",
        }
        connection.request("POST", pinned.path, body, given)
        return connection.getresponse().status
    finally:
        whole.cancel()
        connection.close()


class _PinnedConnection(http.client.HTTPConnection):
    """Connects to one of the addresses, and asks of its certificate, where there is one, the name of the host."""

    def __init__(self, pinned: Pinned) -> None:
        super().__init__(pinned.host, pinned.port, timeout=TIMEOUT_SECONDS)
        self._pinned = pinned

    def connect(self) -> None:
        """Connect to the first that answers. OSError where none does."""
        *others, last = self._pinned.addresses
        for address in others:
            with contextlib.suppress(OSError):
                self.sock = socket.create_connection((address, self._pinned.port), TIMEOUT_SECONDS)
                break
        else:
            self.sock = socket.create_connection((last, self._pinned.port), TIMEOUT_SECONDS)
        if self._pinned.scheme == "https":
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self._pinned.host)

    def abort(self) -> None:
        """End whatever it waits for."""
        if self.sock is not None:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                self.sock.shutdown(socket.SHUT_RDWR)
