"""User name and password inside a URL (`scheme://user:password@host`, RFC 3986, section 3.2.1)."""

from __future__ import annotations

import re
from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import Context, Span

CREDENTIALS: Final = "credentials"

_SCHEME: Final = pattern(r"[A-Za-z][A-Za-z0-9+.-]{1,15}://\Z")
_PLACEHOLDER: Final = pattern(
    r"[<\[{$%].*|.*[>\]}]|x+|\*+|\.+|(my|your|the)?[_-]?"
    r"(user|username|userid|user_?name|login|name|usr|pass|passwd|password|passphrase|pwd|pw|secret|token|"
    r"benutzer|benutzername|passwort|kennwort|usuario|contraseña|clave|utilisateur|mot_?de_?passe|utente|"
    r"usuário|senha|gebruiker|wachtwoord|пользователь|пароль|用户名|密码|ユーザー名|パスワード)",
    re.IGNORECASE,
)


def find(context: Context) -> list[Span]:
    """The credentials, unless both parts are words that stand for something else (`user:password`)."""
    user, _, password = context.body.partition(":")
    if not user or not password or _SCHEME.search(context.before) is None:
        return []
    if _PLACEHOLDER.fullmatch(user) is not None and _PLACEHOLDER.fullmatch(password) is not None:
        return []
    return [Span(0, len(context.body), CREDENTIALS, 3)]
