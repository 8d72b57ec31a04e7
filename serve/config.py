"""The configuration file of the service: what an administrator allows beyond the command line.

webhooks:
  secrets: [/etc/curator/webhook.secret]
  targets:
    - {url: https://hooks.example/curator, states: [failed, lost]}
  allow: [https://hooks.example/teams/]
  networks: [10.20.0.0/16]
recipes:
  programs: [/usr/bin/apertium]
  endpoints:
    - {url: https://translate.example/v1, key_variable: TRANSLATE_KEY}
  environment: [PII_KEY]
streams:
  per_token: 50
  total: 500
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from curator.configuration import read_configuration
from curator.errors import UserError
from curator.validation import first_problem, misspelling
from serve.places import Allowances
from serve.states import TERMINAL, State
from serve.webhooks.addresses import check_url

STREAMS_PER_TOKEN = 50
"""A tenth of all: one client that leaves streams open, or a token that has got about, leaves room for others."""

STREAMS = 500


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WebhookTarget(_Strict):
    """An address that is told of every run and training that ends in one of these states."""

    url: str
    states: tuple[State, ...] = Field(tuple(sorted(TERMINAL)), min_length=1)

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        return check_url(url, any_scheme=True)

    @field_validator("states")
    @classmethod
    def _ends(cls, states: tuple[State, ...]) -> tuple[State, ...]:
        if any(not state.is_terminal for state in states):
            raise ValueError(f"expected some of {', '.join(sorted(TERMINAL))}")
        return states


class WebhookSection(_Strict):
    """Who is told, with what it is signed, and which addresses may be reached."""

    secrets: tuple[Path, ...] = Field((), description="files with secrets; a message is signed with each")
    targets: tuple[WebhookTarget, ...] = Field((), description="told of every run and training")
    allow: tuple[str, ...] = Field((), description="what submissions may name: addresses that begin so")
    networks: tuple[Annotated[IPv4Network | IPv6Network, BeforeValidator(ip_network)], ...] = Field(
        (), description="reached though they are not public"
    )

    @field_validator("allow")
    @classmethod
    def _are_addresses(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_url(url, any_scheme=True) for url in allow)

    @property
    def is_used(self) -> bool:
        """Whether anything may ever be delivered."""
        return bool(self.targets or self.allow)


class StreamSection(_Strict):
    """How many event streams there may be at once, of one token and of all."""

    per_token: int = Field(STREAMS_PER_TOKEN, ge=1)
    total: int = Field(STREAMS, ge=1)


class ServiceConfig(_Strict):
    """All of it; what is not given is not allowed."""

    webhooks: WebhookSection = WebhookSection()
    recipes: Allowances = Allowances()
    streams: StreamSection = StreamSection()


def load_config(path: Path) -> ServiceConfig:
    """The configuration of a file. UserError where it cannot be read, or names the first key that is wrong."""
    values = read_configuration(path, "the configuration of a service")
    try:
        config = ServiceConfig.model_validate(values)
    except ValidationError as error:
        said, hint = misspelling(error, ServiceConfig) or (first_problem(error), "see docs/service.md")
        raise UserError(said, file=str(path), hint=hint) from error
    if config.webhooks.is_used and not config.webhooks.secrets:
        hint = "name a file with at least 24 random bytes in base64"
        raise UserError("webhooks.secrets: webhooks are signed, and no secret is given", file=str(path), hint=hint)
    return config
