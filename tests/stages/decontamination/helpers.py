"""Evaluation sets and corpora of tests, and what a run says of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from stages.decontamination.index import Index, build_index
from stages.decontamination.parameters import DecontaminationParameters
from stages.decontamination.sets import Examples
from tests.runs import rows, run_stages, write_jsonl

TEXTS = {
    "en": "every morning the old lighthouse keeper carried two buckets of fresh water up the winding stairs before he "
    "lit the lamp and wrote down which ships had passed during the long night",
    "de": "jeden Morgen trug der alte Leuchtturmwärter zwei Eimer frisches Wasser die gewundene Treppe hinauf, ehe er "
    "die Lampe anzündete und aufschrieb, welche Schiffe in der langen Nacht vorbeigekommen waren",
    "fr": "chaque matin le vieux gardien du phare montait deux seaux d'eau fraîche par l'escalier tournant avant "
    "d'allumer la lampe et de noter quels navires étaient passés pendant la longue nuit",
    "ru": "каждое утро старый смотритель маяка поднимал по винтовой лестнице два ведра свежей воды прежде чем зажечь "
    "лампу и записать какие корабли прошли мимо за долгую ночь",
    "el": "κάθε πρωί ο γέρος φαροφύλακας ανέβαζε δύο κουβάδες φρέσκο νερό από τη στριφτή σκάλα πριν ανάψει τη λάμπα "
    "και γράψει ποια πλοία είχαν περάσει στη διάρκεια της μεγάλης νύχτας",
    "ar": "كل صباح كان حارس المنارة العجوز يحمل دلوين من الماء العذب إلى أعلى السلم الملتوي قبل أن يشعل المصباح ويكتب "
    "أسماء السفن التي مرت خلال الليل الطويل",
    "hi": "हर सुबह बूढ़ा प्रकाशस्तंभ रखवाला दीपक जलाने से पहले घुमावदार सीढ़ियों से ताज़े पानी की दो बाल्टियाँ ऊपर ले जाता था "
    "और लिखता था कि लंबी रात में कौन से जहाज गुज़रे थे",
    "zh": "每天早晨，老灯塔看守人都要提着两桶清水爬上盘旋的楼梯，"
    "然后才点亮灯火，并记下漫长的夜里有哪些船只从海上经过。",
    "ja": "毎朝、年老いた灯台守は、ランプに火をともし、長い夜のあいだにどの船が通り過ぎたかを"
    "書きとめる前に、二つの桶に入れた新しい水を持って、曲がりくねった階段をのぼった。",
    "th": "ทุกเช้าผู้ดูแลประภาคารชราจะหิ้วน้ำสะอาดสองถังขึ้นบันไดเวียนก่อนที่เขาจะจุดตะเกียงและจดไว้ว่ามีเรือลำใดบ้างที่แล่นผ่านไปในคืนอันยาวนาน",
}
"""The same sentence in ten languages, three of them written without spaces."""


def stage_text(sets: Sequence[Mapping[str, object]], **parameters: object) -> str:
    """The stage as a line of a recipe."""
    return f"decontamination: {json.dumps({'sets': list(sets), **parameters})}"


def decontaminate(
    folder: Path,
    documents: Sequence[Mapping[str, object]],
    examples: Sequence[Mapping[str, object]],
    *,
    workers: int = 1,
    **parameters: object,
) -> Path:
    """A run of the stage alone on documents, against one set called `quiz` (fields: text). Returns the run."""
    write_jsonl(folder / "quiz.jsonl", examples)
    write_jsonl(folder / "in" / "in.jsonl", documents)
    sets = [{"name": "quiz", "path": str(folder / "quiz.jsonl")}]
    run_stages([folder / "in"], folder / "run", stage_text(sets, **parameters), language="off", workers=workers)
    return folder / "run"


def decided(run: Path) -> dict[str, list[dict[str, object]]]:
    """The decisions of the stage by document."""
    found: dict[str, list[dict[str, object]]] = {}
    for row in rows(run, "decisions"):
        if row["stage"] == "decontamination":
            found.setdefault(str(row["id"]), []).append(row)
    return found


def facts_of(run: Path) -> dict[str, object]:
    """What the manifest says of the first set."""
    manifest = json.loads((run / "manifest.json").read_bytes())
    first: dict[str, object] = manifest["facts"]["decontamination"]["sets"][0]
    return first


def index_of(sets: Sequence[Sequence[str]], **parameters: object) -> Index:
    """The index of sets of texts."""
    given = [{"name": f"set{number}", "path": "nowhere", "ngram_units": None} for number in range(len(sets))]
    limits = DecontaminationParameters.model_validate({"sets": given, **parameters})
    return build_index(limits, [Examples(pa.array(texts, pa.string()), "") for texts in sets])
