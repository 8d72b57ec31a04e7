"""User names in URLs: the part of a path that names a person's account, at the services where it does.

Only a name goes, the rest of the URL stays. Pages of the service itself (`/login`, `/explore`) are no accounts, and
repositories (`github.com/NAME/PROJECT`) stay as they are: nearly all stand in a text as what they are, not as whose.
"""

from __future__ import annotations

import re
from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import Context, Span

USERNAME: Final = "username"

_NAME: Final = r"(?P<name>[\w.%-]{2,50}+)"
_END: Final = r"(?!/[\w~@%.-])"
_PLAIN: Final = pattern(rf"/{_NAME}")
_WHOLE: Final = pattern(rf"/{_NAME}{_END}")
_AT: Final = pattern(rf"/@{_NAME}")
_ANYWHERE: Final = pattern(rf"/[@~]{_NAME}")
_PATHS: Final = {
    "twitter.com": _PLAIN,
    "x.com": _PLAIN,
    "instagram.com": _PLAIN,
    "facebook.com": pattern(rf"/(?:profile\.php\?id=(?P<number>\d{{5,20}}+)|{_NAME}{_END})"),
    "threads.net": _AT,
    "tiktok.com": _AT,
    "youtube.com": pattern(rf"/(?:@|user/|c/){_NAME}"),
    "linkedin.com": pattern(rf"/in/{_NAME}"),
    "reddit.com": pattern(rf"/(?:user|u)/{_NAME}"),
    "github.com": _WHOLE,
    "gitlab.com": _WHOLE,
    "bitbucket.org": _WHOLE,
    "codeberg.org": _WHOLE,
    "keybase.io": _WHOLE,
    "about.me": _WHOLE,
    "t.me": _WHOLE,
    "vk.com": _WHOLE,
    "ok.ru": pattern(rf"/profile/{_NAME}"),
    "weibo.com": pattern(rf"/(?:u/)?+{_NAME}"),
    "twitch.tv": _WHOLE,
    "soundcloud.com": _PLAIN,
    "flickr.com": pattern(rf"/(?:people|photos)/{_NAME}"),
    "snapchat.com": pattern(rf"/add/{_NAME}"),
    "stackoverflow.com": pattern(rf"/users/\d{{1,10}}+/{_NAME}"),
    "launchpad.net": pattern(rf"/~{_NAME}"),
    "steamcommunity.com": pattern(rf"/(?:id|profiles)/{_NAME}"),
    "patreon.com": _WHOLE,
    "paypal.me": _WHOLE,
}
"""The paths of accounts, by registered domain."""
_PAGES: Final = frozenset(
    (
        *("about", "account", "ads", "api", "app", "apps", "archive", "blog", "business", "careers", "channel", "com"),
        *("contact", "cookies", "developer", "developers", "discover", "docs", "download", "downloads", "en", "events"),
        *("explore", "features", "gaming", "groups", "hashtag", "help", "home", "i", "in", "index", "info", "intent"),
        *(
            "jobs",
            "join",
            "joinchat",
            "legal",
            "login",
            "logout",
            "marketplace",
            "media",
            "messages",
            "mobile",
            "music",
        ),
        *("new", "news", "notifications", "orgs", "p", "pages", "photo", "photo.php", "photos", "policies", "popular"),
        *("pricing", "privacy", "profile", "public", "reel", "reels", "register", "search", "security", "settings"),
        *("share", "sharer", "sharer.php", "shop", "signin", "signup", "site", "sponsors", "status", "stories"),
        *("stream", "support", "tags", "team", "terms", "topics", "tos", "trending", "tv", "user", "username", "users"),
        *("video", "videos", "watch", "web", "wiki", "www", "your-username", "yourname", "yourusername"),
    )
)
_FILE: Final = pattern(r"\.(?:html?|php|aspx?|jsp|xml|png|jpe?g|gif|svg|js|css|pdf|txt)\Z", re.IGNORECASE)


def find(context: Context) -> list[Span]:
    """The user name in the path that follows the host (the body)."""
    labels = context.body.lower().split(".")
    match = None
    pattern = _PATHS.get(".".join(labels[-2:]))
    if pattern is not None:
        match = pattern.match(context.after)
    elif context.after[1:2] in ("@", "~") and len(labels) > 1:
        match = _ANYWHERE.match(context.after)
    if match is None:
        return []
    group = "name" if match["name"] is not None else "number"
    name = match[group].rstrip(".-")
    if len(name) < 2 or name.lower() in _PAGES or _FILE.search(name):
        return []
    begin = len(context.body) + match.start(group)
    return [Span(begin, begin + len(name), USERNAME, 2)]
