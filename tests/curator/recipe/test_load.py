"""Recipes: what is accepted, and what an error says."""

from pathlib import Path

import jsonschema
import pytest

from curator.errors import UserError
from curator.readers.registry import BUILT_IN
from curator.recipe import load_recipe, load_recipe_text, packaged_recipes, recipe_schema
from curator.recipe.model import UNQUOTED, Recipe

SMALL = "name: x\nstages:\n  - dedup: {threshold: 0.9}\n  - entropy\n"


def test_only_name_and_stages_are_required() -> None:
    recipe = load_recipe_text(SMALL, "r.yaml")
    assert [entry.name for entry in recipe.stages] == ["dedup", "entropy"]
    assert recipe.stages[0].parameters["threshold"] == 0.9
    assert recipe.stages[0].parameters["permutations"] == 256


def test_every_packaged_recipe_is_valid() -> None:
    assert "web" in packaged_recipes()
    for name in packaged_recipes():
        assert load_recipe(name).name


def test_language_off_is_off() -> None:
    assert load_recipe_text("language: off\n" + SMALL, "r").language is None
    assert load_recipe_text(SMALL, "r").language is not None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name: x\nstages:\n  - dedup:\n      treshold: 0.9\n", ["line 4", "'treshold'", "did you mean 'threshold'?"]),
        ("name: x\nstages:\n  - dedupe: {}\n", ["line 3", "'dedupe'", "did you mean 'dedup'?"]),
        ("name: x\nseeds: 1\nstages: [dedup]\n", ["line 2", "'seeds'", "did you mean 'seed'?"]),
        ("name: x\ninput:\n  fields: {txt: body}\nstages: [dedup]\n", ["line 3", "did you mean 'text'?"]),
        (
            "name: x\ninput: {format: warc, quotes: letters}\nstages: [dedup]\n",
            ["line 2", "quotes are letters in CSV and TSV only, not in warc"],
        ),
        ("name: x\nstages:\n  - dedup: {threshold: high}\n", ["line 3", "threshold", "expected a number", "'high'"]),
        ("name: x\nstages:\n  - dedup: {threshold: 1.5}\n", ["line 3", "threshold", "1 or less"]),
        ("name: x\nstages:\n  - entropy: {min_bits: .inf}\n", ["line 3", "min_bits", "finite number"]),
        ("name: x\nmax_error_rate: .nan\nstages: [dedup]\n", ["line 2", "max_error_rate", "finite number"]),
        ("name: x\noutput: {shard_bytes: huge}\nstages: [dedup]\n", ["line 2", "expected a size"]),
        ("stages: [dedup]\n", ["'name' is required"]),
        ("name: x\nstages: []\n", ["line 2", "list of stages"]),
        ("name: x\nstages:\n  - dedup\n  - dedup\n", ["line 4", "stands twice"]),
        ("name: x\nname: y\nstages: [dedup]\n", ["line 2", "'name' stands twice"]),
        ("name: [x\n", ["line", "not valid YAML"]),
        ("name: x\nstages:\n\t- dedup\n", ["line 3", "not valid YAML", "(indent with blanks, not with tabs)"]),
        ("name: x\nstage: [dedup]\n", ["line 2: unknown key 'stage' (did you mean 'stages'?)"]),
        (
            "name: x\nstages:\n  - quality: {languages: {de: {max_wrds: 1}}}\n",
            ["line 3: unknown key 'languages.de.max_wrds' (did you mean 'max_words'?)"],
        ),
        (
            "name: x\nstages:\n  - augmentation: {translators: [{name: apertium, zz: 1}]}\n",
            ["line 3: unknown key 'translators.0.zz' (known: name, pivots, pivot_text, round_trip, options)"],
        ),
        ("name: x\n", ["`stages` is a list of stages"]),
        ("", ["empty"]),
        ("- a\n", ["a mapping"]),
        ("name: x\nstages:\n  - {dedup: {}, entropy: {}}\n", ["line 3", "a stage is written"]),
        ("name: x\nstages:\n  - dedup: 5\n", ["line 3", "a mapping"]),
    ],
)
def test_an_error_names_the_file_the_line_and_what_is_near(text: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe_text(text, "my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml")
    for part in parts:
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ("[cc]", " is not a mapping"),
        ("{a: cc-*}", ".a: expected a list, as in [one, two] (got 'cc-*')"),
        ("{a: []}", ".a: expected 1 or more, not 0"),
        ("{a: [2024]}", ".a.0: expected text (got 2024)"),
        ("{a: ['']}", ".a.0: string should have at least 1 character (got '')"),
        ("{'': [cc]}", ".: expected the name of a group: printable text without ':' and '*'"),
        ("{'a:b': [cc]}", ".a:b: expected the name of a group: printable text without ':' and '*'"),
        ("{'cc-*': [a]}", ".cc-*: expected the name of a group: printable text without ':' and '*'"),
        (r'{"\0": [a]}', ".\0: expected the name of a group: printable text without ':' and '*'"),
        ("{a: [x, y*], b: [y*]}", ": 'y*' stands in two groups, 'a' and 'b'"),
    ],
)
def test_groups_of_sources_that_are_none_are_told_with_their_line(groups: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe_text(f"name: x\ninput:\n  source_groups: {groups}\nstages: [dedup]\n", "my.yaml")
    assert str(caught.value) == f"my.yaml: line 3: input.source_groups{told}"


def test_an_unknown_recipe_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'web'"):
        load_recipe("wep")
    with pytest.raises(UserError, match="directory"):
        load_recipe(str(tmp_path))


@pytest.mark.parametrize(
    ("override", "check"),
    [
        ("dedup.threshold=0.7", lambda recipe: recipe.stages[0].parameters["threshold"] == 0.7),
        ("entropy.min_bits=5", lambda recipe: recipe.stages[1].parameters["min_bits"] == 5),
        ("seed=7", lambda recipe: recipe.seed == 7),
        ("input.source=books", lambda recipe: recipe.input.source == "books"),
        ("output.shard_bytes=5MB", lambda recipe: recipe.output.shard_bytes == 5_000_000),
        ("language=off", lambda recipe: recipe.language is None),
        ("max_error_rate=0.5", lambda recipe: recipe.max_error_rate == 0.5),
    ],
)
def test_set_overrides_one_value(override: str, check: "object") -> None:
    recipe = load_recipe_text(SMALL, "r", [override])
    assert callable(check)
    assert check(recipe)


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("threshold", "not of the form"),
        ("toxicity.threshold=1", "the recipe has no stage 'toxicity' (it has: dedup, entropy)"),
        ("x=1", "a recipe has no key 'x' (it has: name, input, language, "),
        ("input.field.text=a", "r: --set input.field.text=a: unknown key 'input.field' (did you mean 'fields'?)"),
        ("dedup.treshold=0.9", "--set dedup.treshold=0.9: unknown key 'treshold' (did you mean 'threshold'?)"),
        ("sed=1", "did you mean 'seed'?"),
        ("dedpu.threshold=1", "did you mean 'dedup'?"),
        ("dedup.threshold=[", "not valid YAML"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(override: str, part: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe_text(SMALL, "r", [override])
    assert part in str(caught.value)


def test_a_file_that_is_no_recipe_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"name: \xff")
    with pytest.raises(UserError, match=r"r\.yaml: cannot be read: not UTF-8 \(a recipe is a YAML file\)"):
        load_recipe(str(tmp_path / "r.yaml"))
    with pytest.raises(UserError, match=r"is a directory, not a recipe \(name the file of the recipe\)"):
        load_recipe(str(tmp_path))


def test_the_schema_accepts_the_packaged_recipes_and_refuses_misspelled_keys() -> None:
    import yaml

    schema = recipe_schema()
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    for path in packaged_recipes().values():
        validator.validate(yaml.safe_load(path.read_text()))
    assert not validator.is_valid({"name": "x", "stages": [{"dedup": {"treshold": 1}}]})
    assert not validator.is_valid({"name": "x", "stages": ["dedup"], "sed": 1})


def test_formats_without_quotes_are_all_that_are_read_but_two() -> None:
    assert frozenset(BUILT_IN) - UNQUOTED == {"csv", "tsv"}
    assert frozenset(BUILT_IN) > UNQUOTED


def test_a_recipe_survives_its_json() -> None:
    recipe = load_recipe("web")
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("kept", "limit"),
    [(0, 16_000_000), (100_000_000, 16_000_000), (1_000_000_000, 62_500_000), (10**12, 128_000_000)],
)
def test_where_nothing_is_said_small_text_is_cut_into_smaller_shards(kept: int, limit: int) -> None:
    assert load_recipe("web").output.shard_limit(kept) == limit
    assert load_recipe("web", ["output.shard_bytes=500MB"]).output.shard_limit(kept) == 500_000_000
