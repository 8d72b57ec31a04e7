"""`curator recheck`: what personal data a finished run left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import cast

from curator.cli.output import print_json, print_line, print_table
from curator.errors import UserError
from curator.recipe.load import load_recipe_text
from curator.storage.path import as_path

CONFIDENCE = 0.95


def recheck_command(run: str, documents: int, seed: int, overrides: Sequence[str], as_json: bool) -> None:
    """Search a sample of the shards again. UserError for a recogniser that is missing."""
    from curator.calibrate.bounds import passing_interval
    from curator.run.directory import RunDirectory
    from curator.run.manifest import load_manifest, need_files
    from curator.run.pipeline import make_pipeline
    from stages.pii.recheck import recheck
    from stages.pii.stage import Pii

    directory = RunDirectory(as_path(run))
    manifest = load_manifest(directory.manifest)
    need_files(directory.manifest, manifest, "shards")
    treated = _treated(manifest)
    recipe = load_recipe_text("name: recheck\nstages:\n  - pii\n", "the options", overrides)
    stage = make_pipeline(recipe).stage("pii")
    if not isinstance(stage, Pii):
        raise UserError("another package has put a stage named `pii` in the place of Curator's")
    for requirement in stage.requirements():
        if requirement.problem is not None:
            raise UserError(f"{requirement.kind} {requirement.name}: {requirement.problem}", stage="pii")
    found = recheck(directory.shards, stage, documents, seed)
    pieces = found.pieces()
    rows = []
    for (language, kind), count in sorted(found.with_kind().items()):
        low, high = passing_interval(count, found.documents[language], CONFIDENCE)
        rows.append(
            {
                "language": language,
                "kind": kind,
                "recipe": "not looked for" if treated is None else treated.get(kind, "not looked for"),
                "documents": count,
                "share": count / found.documents[language],
                "share_low": low,
                "share_high": high,
                "pieces": pieces[language, kind],
                "pieces_per_million_characters": 1e6 * pieces[language, kind] / found.characters[language],
            }
        )
    searched = dict(sorted(found.documents.items()))
    if as_json:
        leftovers = [asdict(left) for left in found.leftovers]
        print_json({"documents": searched, "left": rows, "confidence": CONFIDENCE, "places": leftovers})
        return
    print_line(f"{sum(searched.values()):,} documents in {len(searched)} languages were searched")
    if not rows:
        print_line("nothing was found")
        return
    headings = ["language", "kind", "in the recipe", "documents", "of", "share", "95% interval", "a million characters"]
    table = [
        [
            row["language"],
            row["kind"],
            row["recipe"],
            row["documents"],
            searched[cast("str", row["language"])],
            f"{row['share']:.2%}",
            f"{row['share_low']:.2%} to {row['share_high']:.2%}",
            f"{row['pieces_per_million_characters']:.2f}",
        ]
        for row in rows
    ]
    print_table(headings, table, left=3)
    clean = sorted(set(searched) - {cast("str", row["language"]) for row in rows})
    if clean:
        print_line(f"nothing was found in {', '.join(clean)}")


def _treated(manifest: Mapping[str, object]) -> Mapping[str, str] | None:
    """What the recipe of a run does with each kind that it looks for; None where it has no stage `pii`."""
    recipe = cast("Mapping[str, object]", manifest["recipe"])
    for entry in cast("Sequence[Mapping[str, object]]", recipe["stages"]):
        if entry["name"] == "pii":
            parameters = cast("Mapping[str, object]", entry["parameters"])
            actions = cast("Mapping[str, str]", parameters["actions"])
            return {kind: actions.get(kind, "redact") for kind in cast("Sequence[str]", parameters["kinds"])}
    return None
