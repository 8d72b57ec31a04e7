"""Dumps whose documents repeat each other: exactly, nearly, in short, and in scripts without spaces."""

from __future__ import annotations

import random

UNSPACED = {
    "zh": "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面",
    "ja": "のにはをたがでとしれさあるいもするなことよかしまおりなっいまねここらぐらいてだけへその日本人年大十",
    "th": "กขคงจฉชซญดตถทธนบปผพฟภมยรลวศษสหอฮ",
}
SPACED = {
    "en": "the house stands on a small hill near river where children play and old people talk about weather",
    "ru": "дом стоит на небольшом холме у реки где играют дети и старики говорят о погоде и временах",
    "ar": "البيت يقع على تلة صغيرة قرب النهر حيث يلعب الأطفال ويتحدث الشيوخ عن الطقس",
}


def make_dumps(seed: int, *sizes: int) -> list[list[dict[str, str]]]:
    """Dumps of these sizes. About half of the documents are new, the others take up a document of this or an earlier
    dump: as it is, in capitals, or with a few units changed, so that similarities lie on both sides of 0.85."""
    chosen = random.Random(seed)
    texts: list[list[str]] = []
    joins: list[str] = []
    dumps: list[list[dict[str, str]]] = []
    for dump, size in enumerate(sizes):
        documents = []
        for number in range(size):
            units, join = _take_up(chosen, texts, joins) if texts and chosen.random() < 0.5 else _make(chosen)
            texts.append(units)
            joins.append(join)
            text = join.join(units)
            if chosen.random() < 0.1:
                text = f"{text.upper()}!"
            documents.append({"id": f"dump{dump}-{number}", "text": text})
        dumps.append(documents)
    return dumps


def _make(chosen: random.Random) -> tuple[list[str], str]:
    length = chosen.choice([chosen.randint(3, 20), chosen.randint(20, 80), chosen.randint(80, 200)])
    if chosen.random() < 0.4:
        letters = UNSPACED[chosen.choice(list(UNSPACED))]
        return [chosen.choice(letters) for _ in range(length)], ""
    words = SPACED[chosen.choice(list(SPACED))].split()
    return [f"{chosen.choice(words)}{chosen.choice(['', chosen.randrange(40)])}" for _ in range(length)], " "


def _take_up(chosen: random.Random, texts: list[list[str]], joins: list[str]) -> tuple[list[str], str]:
    place = chosen.randrange(len(texts))
    units = list(texts[place])
    for _ in range(chosen.choice([0, 0, 1, 1, 2, 3, 5])):
        at = chosen.randrange(len(units))
        if chosen.random() < 0.5:
            units[at] = chosen.choice(units) if joins[place] == "" else f"{units[at]}x"
        else:
            units.insert(at, chosen.choice(units))
    return units, joins[place]
