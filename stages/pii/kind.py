"""The kinds of personal data, and what each is called in a sentence."""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal[
    "credentials",
    "secret",
    "email",
    "iban",
    "ip",
    "mac",
    "card",
    "passport",
    "id",
    "phone",
    "birthdate",
    "plate",
    "address",
    "username",
    "name",
]

CALLED: Final = {
    "credentials": "a user name and password in a URL",
    "secret": "a key or token",
    "email": "an e-mail address",
    "iban": "a bank account number",
    "ip": "an IP address",
    "mac": "a MAC address",
    "card": "a payment card number",
    "passport": "the number of a passport",
    "id": "an identity number",
    "phone": "a telephone number",
    "birthdate": "a date of birth",
    "plate": "a registration plate",
    "address": "a postal address",
    "username": "a user name in a URL",
    "name": "the name of a person",
}
"""What was found, as the sentences of rules have it."""
