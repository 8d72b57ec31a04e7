"""Sends what is in the outbox, in threads of its own: at least once each, so receivers go by the id of a message.

A receiver, which is an address, is sent one message at a time, the oldest that is due; receivers do not wait for each
other. One thread alone asks the store: it hands out what is due, and notes what came of it.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from serve.config import WebhookSection
from serve.store.database import Database
from serve.webhooks.addresses import AddressError, Pinned, pin
from serve.webhooks.outbox import Due, Message, Outbox, Sent, claim, first_due, next_due, settle
from serve.webhooks.signing import sign

AT_ONCE = 32
"""Messages that are sent at once, each to another receiver."""
AT_ONCE_TO_HOST = 4
"""Of these, to receivers on one host: whoever may name addresses there cannot take the places of all others."""
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
        self._under_way: dict[Future[Sent], Message] = {}
        self._tried: dict[str, float] = {}
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
        """End, once the tries have ended that are under way; what is not delivered stays in the outbox."""
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
                wait = LOOK_SECONDS
                try:
                    wait = self._turn(pool)
                except (DBAPIError, PoolTimeout) as error:
                    _log.warning("the store does not answer: %s", type(error).__name__)
                self._wake.wait(wait)
                self._wake.clear()
        try:
            self._settle()
        except (DBAPIError, PoolTimeout) as error:  # they are sent again when their claims have run out
            _log.warning("the store does not answer: %s", type(error).__name__)

    def _turn(self, pool: ThreadPoolExecutor) -> float:
        """Note what has come back, and begin to send what is due; the seconds until there may be more."""
        self._settle()
        now = time.time()
        with self._database.read() as session:
            due, later = first_due(session, now), next_due(session, now)
        chosen = self._choose(due)
        if chosen:
            with self._database.write() as session:
                messages = claim(session, chosen, now)
            for message in messages:
                self._tried[message.url] = time.monotonic()
                sending = pool.submit(self.send, message)
                self._under_way[sending] = message
                sending.add_done_callback(lambda _: self._wake.set())
        return LOOK_SECONDS if later is None else min(LOOK_SECONDS, max(later - now, 0.0))

    def _choose(self, due: Sequence[Due]) -> list[int]:
        """Which messages are sent now, of receivers that differ. Those that were tried the longest ago come first, so
        that receivers which keep us waiting cannot hold up the others for ever; a host takes its share and no more."""
        waiting = {each.url for each in due} | {message.url for message in self._under_way.values()}
        self._tried = {url: moment for url, moment in self._tried.items() if url in waiting}
        hosts = Counter(_host(message.url) for message in self._under_way.values())
        chosen: list[int] = []
        for each in sorted(due, key=lambda each: self._tried.get(each.url, 0.0)):
            if len(self._under_way) + len(chosen) >= AT_ONCE:
                break
            if hosts[_host(each.url)] < AT_ONCE_TO_HOST:
                hosts[_host(each.url)] += 1
                chosen.append(each.number)
        return chosen

    def _settle(self) -> None:
        """Note how the tries went that have ended. Where the store does not answer they are kept, and noted later."""
        ended = [sending for sending in self._under_way if sending.done()]
        if ended:
            with self._database.write() as session:
                for sending in ended:
                    settle(session, self._under_way[sending], sending.result(), time.time())
        for sending in ended:
            del self._under_way[sending]

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


def _host(url: str) -> str:
    return urlsplit(url).netloc.lower()


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
        self._is_over = False

    def connect(self) -> None:
        """Connect to the first that answers. OSError where none does, or the time is up."""
        *others, last = self._pinned.addresses
        for address in others:
            with contextlib.suppress(OSError):
                self._connect_to(address)
                break
        else:
            self._connect_to(last)
        if self._pinned.scheme == "https":
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self._pinned.host)

    def _connect_to(self, address: str) -> None:
        self._need_time()
        self.sock = socket.create_connection((address, self._pinned.port), TIMEOUT_SECONDS)
        self._need_time()  # it may have been up before there was a socket to end

    def _need_time(self) -> None:
        if self._is_over:
            raise TimeoutError("the receiver takes too long")

    def abort(self) -> None:
        """End whatever it waits for."""
        self._is_over = True
        if self.sock is not None:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                self.sock.shutdown(socket.SHUT_RDWR)
