"""Rates of requests: a bucket for each name, which fills with time and is emptied by requests (a token bucket)."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

MOST_NAMES = 10_000
"""Buckets that are remembered; the one that was not asked for longest goes first."""


@dataclass
class _Bucket:
    level: float
    at: float


class Rate:
    """So many requests a second for each name, `burst` of them at once."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> int:
        """Count a request; 0 if it may be answered, else the seconds after which one may."""
        now = time.monotonic()
        with self._lock:
            bucket = self._buckets.setdefault(name, _Bucket(self._burst, now))
            self._buckets.move_to_end(name)
            if len(self._buckets) > MOST_NAMES:
                self._buckets.popitem(last=False)
            bucket.level = min(self._burst, bucket.level + (now - bucket.at) * self._per_second)
            bucket.at = now
            if bucket.level < 1.0:
                return max(1, math.ceil((1.0 - bucket.level) / self._per_second))
            bucket.level -= 1.0
            return 0
