"""The pyarrow filesystem of a place, set up from the usual environment variables.

The SDKs of Amazon and Google find credentials by themselves (environment, configuration files, the role of the
machine); for Azure the key of the account is handed on. Google Cloud Storage and Azure stand on the same seam and have
not been tried against a server.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from curator.errors import UserError

if TYPE_CHECKING:
    import pyarrow.fs

    from curator.storage.path import StoragePath

CONNECT_TIMEOUT_S = 5.0
"""What a connection may take to be made; the SDK's own limit is 1 second, too short for a far region."""

GOOGLE_SECONDS = 15.0
"""How long Google's client tries a request again, in place of its own quarter of an hour, in which nothing is said."""

ATTEMPTS = 3
"""How often the SDK tries a request, waiting longer each time: an outage of seconds passes unseen."""

DEFAULT_REGION = "us-east-1"
"""What a storage of one's own takes where no region is said: the default of MinIO, Ceph and moto."""

_AZURE_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
"""Microsoft, 'Storage account overview', section 'Storage account name'."""

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)")


def filesystem_of(path: StoragePath) -> pyarrow.fs.FileSystem:
    """The filesystem that answers for a place; one a process and bucket. UserError when the variables are wrong."""
    # A forked process must not use the connections of its parent.
    return _filesystem(path.scheme, path.bucket, os.getpid())


@lru_cache(maxsize=32)
def _filesystem(scheme: str, bucket: str, _pid: int) -> pyarrow.fs.FileSystem:
    import pyarrow.fs

    if scheme == "s3":
        return pyarrow.fs.S3FileSystem(
            **s3_options(os.environ, bucket),
            connect_timeout=CONNECT_TIMEOUT_S,
            # A small object goes up by one request; a large one by parts that become an object with the last.
            allow_delayed_open=True,
            retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        )
    if scheme == "gs":
        return pyarrow.fs.GcsFileSystem(retry_time_limit=timedelta(seconds=GOOGLE_SECONDS))
    return pyarrow.fs.AzureFileSystem(**azure_options(os.environ, bucket))


def s3_options(variables: Mapping[str, str], bucket: str) -> dict[str, str]:
    """Endpoint, scheme and region from AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION. UserError
    for an endpoint that is no http or https URL."""
    options: dict[str, str] = {}
    region = variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION")
    variable = next((name for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if variables.get(name)), None)
    if variable is not None:
        endpoint = urlsplit(variables[variable])
        if endpoint.scheme not in ("http", "https") or not endpoint.hostname or endpoint.path.strip("/"):
            raise UserError(f"{variable} is not of the form http://HOST:PORT or https://HOST")
        if endpoint.username is not None:
            raise UserError(f"{variable} holds credentials", hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        options = {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme}
        region = region or DEFAULT_REGION
    if region is None:
        region = _region_of(bucket)
    return {**options, "region": region}


def azure_options(variables: Mapping[str, str], container: str) -> dict[str, str]:
    """Account and key from AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY. UserError where one is missing or can be none:
    pyarrow 26 then ends the process by an exception of C++ that it does not catch."""
    account, key = variables.get("AZURE_STORAGE_ACCOUNT"), variables.get("AZURE_STORAGE_KEY")
    place = f"abfs://{container}"
    if not account:
        raise UserError("AZURE_STORAGE_ACCOUNT is not set", file=place, hint="name the storage account")
    if not _AZURE_ACCOUNT.fullmatch(account):
        hint = "an account has 3 to 24 letters in lower case and digits: give its name, not its address"
        raise UserError("AZURE_STORAGE_ACCOUNT is no name of a storage account", file=place, hint=hint)
    if not key:
        hint = "give a key of the storage account: roles, tokens and signatures (SAS) are not used"
        raise UserError("AZURE_STORAGE_KEY is not set", file=place, hint=hint)
    if not _BASE64.fullmatch(key):
        hint = "copy a key of the storage account as it stands there, in base64"
        raise UserError("AZURE_STORAGE_KEY is no key of a storage account", file=place, hint=hint)
    return {"account_name": account, "account_key": key}


def _region_of(bucket: str) -> str:
    """The region in which a bucket of Amazon lies, which anybody may ask."""
    import pyarrow.fs

    from curator.storage.errors import storage_failure
    from curator.storage.path import StoragePath

    try:
        return str(pyarrow.fs.resolve_s3_region(bucket))
    except OSError as error:
        raise storage_failure(error, StoragePath("s3", bucket)) from None
