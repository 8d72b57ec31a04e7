"""The thresholds of a run, and where each came from: a default, the recipe, an overlay, or `--set`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast, get_args

from curator.recipe.model import Recipe
from curator.recipe.overlay import Calibration, Fitted, Origins
from curator.registry import STAGES, names, stage_class
from curator.report.model import Threshold
from curator.stage import Parameters, Stage


def thresholds(recipe: Recipe, origins: Origins | None) -> list[Threshold]:
    """All thresholds of the stages that are installed here: those that hold everywhere, then those of sources and
    languages. Without origins (a run that no command line began) what differs from its default is the recipe's."""
    found: list[Threshold] = []
    for entry in recipe.stages:
        if entry.name not in names(STAGES):
            continue
        kind = stage_class(entry.name)
        made = kind(kind.parameters_type.model_validate(entry.parameters))
        default = kind.parameters_type().model_dump(mode="json") if not _required(kind.parameters_type) else {}
        named = _threshold_names(made)
        for path, where, values in _levels(entry.parameters):
            for name in named:
                if path and name not in values:
                    continue
                value = _at(values, name)
                origin = _origin(entry.name, path, name, value, None if path else _at(default, name), origins)
                number = float(value) if isinstance(value, (int, float)) else None
                found.append(Threshold(entry.name, name, where, number, origin))
    return sorted(found, key=lambda row: bool(row.where))


def describe_overlay(origins: Origins | None) -> str:
    """On what the thresholds of the overlay were fitted, in a sentence or two; empty without an overlay."""
    if origins is None or origins.overlay is None:
        return ""
    overlay = origins.overlay
    told = f"Overlay {overlay.name} ({overlay.digest[:16]})"
    calibration = overlay.calibration
    if calibration is None:
        return f"{told}, which does not say how its thresholds were found."
    files = ", ".join(file.name for file in calibration.corpus[:5])
    more = f" and {len(calibration.corpus) - 5} more" if len(calibration.corpus) > 5 else ""
    kept = {(row.source, row.language) for row in calibration.unfitted if row.stage is None}
    few = f" {len(kept)} groups had too few documents, and keep the recipe’s thresholds." if kept else ""
    return (
        f"{told}, fitted to {files}{more} so that at least {calibration.share:.6g} of such text passes all that "
        f"were fitted for its group, with confidence {calibration.confidence:.6g}.{few}"
    )


def _threshold_names(stage: Stage[Parameters]) -> list[str]:
    """The parameters that cut a column, and those that differ by source and language."""
    cut = [column.threshold for column in (*stage.columns, *stage.scored) if column.threshold]
    groups: list[str] = []
    if stage.parameters.cascades:
        annotation = type(stage.parameters).model_fields["languages"].annotation
        groups = [name for model in get_args(annotation) for name in getattr(model, "model_fields", {})]
    return list(dict.fromkeys([*cut, *groups]))


def _required(parameters: type[Parameters]) -> bool:
    return any(field.is_required() for field in parameters.model_fields.values())


def _levels(
    parameters: Mapping[str, object],
) -> Iterator[tuple[tuple[str, ...], str, Mapping[str, object]]]:
    """Where thresholds stand: the path, for what they hold, and the values there."""
    yield (), "", parameters
    for source, given in _groups(parameters, "sources"):
        yield ("sources", source), f"source {source}", given
    for language, given in _groups(parameters, "languages"):
        yield ("languages", language), language, given
    for source, given in _groups(parameters, "sources"):
        for language, inner in _groups(given, "languages"):
            yield ("sources", source, "languages", language), f"{language} in source {source}", inner


def _groups(values: Mapping[str, object], key: str) -> list[tuple[str, Mapping[str, object]]]:
    given = values.get(key)
    return sorted(cast("Mapping[str, Mapping[str, object]]", given).items()) if isinstance(given, Mapping) else []


def _at(values: Mapping[str, object], path: str) -> object:
    """The value at a dotted path, None where there is none."""
    value: object = values
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _origin(
    stage: str, path: tuple[str, ...], name: str, value: object, default: object, origins: Origins | None
) -> str:
    if origins is None:
        return "default" if not path and value == default else "recipe"
    given = origins.parameters.get(".".join((stage, *path, name)))
    if given is None:
        return "default"
    if given != "overlay":
        return "--set" if given == "set" else "recipe"
    calibration = origins.overlay.calibration if origins.overlay else None
    fitted = None if calibration is None else _fitted(calibration, stage, path, name, value)
    return "overlay" if fitted is None or calibration is None else f"overlay: {_describe(fitted, calibration)}"


def _fitted(calibration: Calibration, stage: str, path: tuple[str, ...], name: str, value: object) -> Fitted | None:
    """What an overlay says of a threshold; None where it was changed by hand."""
    wanted = (stage, name, path[1] if path[:1] == ("sources",) else None, path[-1] if path else None, value)
    for row in calibration.fitted:
        if (row.stage, row.parameter, row.source, row.language, row.threshold) == wanted:
            return row
    return None


def _describe(fitted: Fitted, calibration: Calibration) -> str:
    return (
        f"{fitted.passing:,} of {fitted.documents:,} documents pass, of such text {100 * fitted.low:.2f} to "
        f"{100 * fitted.high:.2f}% (confidence {calibration.confidence:.6g})"
    )
