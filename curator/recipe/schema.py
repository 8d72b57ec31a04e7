"""The JSON schema of a recipe, with the parameters of every stage that is installed."""

from __future__ import annotations

from curator.recipe.model import Recipe
from curator.registry import STAGES, names, stage_class


def recipe_schema() -> dict[str, object]:
    """A JSON schema (draft 2020-12) that editors and the web page can use."""
    schema: dict[str, object] = Recipe.model_json_schema()
    definitions: dict[str, object] = dict(schema.pop("$defs", {}))  # type: ignore[call-overload]
    definitions.pop("StageEntry", None)
    choices: list[dict[str, object]] = [{"enum": names(STAGES)}]
    for name in names(STAGES):
        stage = stage_class(name)
        parameters = stage.parameters_type.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for inner, definition in parameters.pop("$defs", {}).items():
            definitions[f"{name}.{inner}"] = definition
        parameters["description"] = stage.about
        choices.append(
            {
                "type": "object",
                "properties": {name: {"anyOf": [parameters, {"type": "null"}]}},
                "required": [name],
                "additionalProperties": False,
            }
        )
    properties = dict(schema["properties"])  # type: ignore[call-overload]
    properties["stages"] = {"type": "array", "minItems": 1, "items": {"anyOf": choices}}
    properties["language"] = {"anyOf": [{"$ref": "#/$defs/Language"}, {"enum": ["off", False, None]}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "properties": properties,
        "required": ["name", "stages"],
        "$defs": definitions,
    }
