"""The configuration of the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator.errors import UserError
from serve.config import load_config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("webhooks: {targets: [{url: 'https://a.example'}]}", "no secret is given"),
        ("webhooks: {targets: [{url: 'ftp://a.example'}], secrets: [x]}", "targets.0.url"),
        ("webhooks: {targets: [{url: 'https://a.example', states: [running]}], secrets: [x]}", "targets.0.states"),
        ("webhooks: {networks: [10.0.0.1/8]}", "networks.0: 10.0.0.1/8 has host bits set"),
        (
            "webhooks: {networks: [10.0.0.0/99]}",
            "networks.0: '10.0.0.0/99' does not appear to be an IPv4 or IPv6 network",
        ),
        ("recipes: {programs: apertium}", "recipes.programs"),
        ("recipe: {}", r"unknown key 'recipe' \(did you mean 'recipes'\?\)"),
        ("[a]", "expected a mapping"),
        ("streams: {per_token: 0}", "streams.per_token"),
        ("streams:\n\t- 1", r"line 2: not valid YAML: .* \(indent with blanks, not with tabs\)"),
        ("0", "expected a mapping"),
    ],
)
def test_a_configuration_that_will_not_do_names_the_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "service.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        load_config(path)
