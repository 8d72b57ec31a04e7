"""The JSON schema of a recipe, with the parameters of every stage that is installed."""

from __future__ import annotations

from curator.recipe.model import Recipe
from curator.registry import installed_stages


def recipe_schema() -> dict[str, object]:
    """A JSON schema (draft 2020-12) that editors and the web page can use. Stages that cannot be loaded are left out,
    and a comment names them."""
    schema: dict[str, object] = Recipe.model_json_schema()
    definitions: dict[str, object] = dict(schema.pop("$defs", {}))  # type: ignore[call-overload]
    definitions.pop("StageEntry", None)
    installed = installed_stages()
    choices: list[dict[str, object]] = [{"enum": list(installed.classes)}]
    for name, stage in installed.classes.items():
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
    left_out = {"$comment": f"without stages that cannot be loaded: {', '.join(installed.broken)}"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **(left_out if installed.broken else {}),
        **schema,
        "properties": properties,
        "required": ["name", "stages"],
        "$defs": definitions,
    }
