"""Writes the OpenAPI document on standard output: `python -m serve.describe > docs/openapi.json`."""

from __future__ import annotations

import json
import sys

from serve.openapi import document
from serve.server import make_api

if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(make_api()), indent=1, ensure_ascii=False) + "\n")
