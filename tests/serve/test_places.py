"""Places below roots, after links are resolved, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from curator.errors import UserError
from curator.recipe import load_recipe_text
from serve.places import Allowances, Endpoint, PlaceError, Places, root_of
from tests.runs import recipe_text, write_jsonl


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    for name in ("in", "out", "secret"):
        (tmp_path / name).mkdir()
    write_jsonl(tmp_path / "in" / "a.jsonl", [{"text": "a"}])
    write_jsonl(tmp_path / "secret" / "s.jsonl", [{"text": "s"}])
    return tmp_path


def places_of(roots: Path) -> Places:
    return Places((root_of(str(roots / "in")),), (root_of(str(roots / "out")), "s3://bucket/runs"))


@pytest.mark.parametrize("given", ["in", "in/a.jsonl", "in/*.jsonl", "in/**/*.jsonl"])
def test_what_lies_below_an_input_root_is_read(roots: Path, given: str) -> None:
    assert [Path(file.path).name for file in places_of(roots).discover([f"{roots}/{given}"], "auto")] == ["a.jsonl"]


@pytest.mark.parametrize(
    "given",
    [
        "{roots}/secret/s.jsonl",
        "{roots}/in/../secret/s.jsonl",
        "{roots}/in/*/../../secret/*.jsonl",
        "{roots}/*/s.jsonl",
        "{roots}/in\0/a.jsonl",
        "{roots}/insecure",
        "{roots}",
        "a.jsonl",
        "~/x",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "s3://bucket/runs",
        "",
    ],
)
def test_what_does_not_is_refused_before_it_is_looked_at(roots: Path, given: str) -> None:
    with pytest.raises(UserError):
        places_of(roots).discover([given.format(roots=roots)], "auto")


@pytest.mark.parametrize("name", ["link", "folder"])
def test_a_link_that_leads_out_is_refused(roots: Path, name: str) -> None:
    (roots / "in" / "link").symlink_to(roots / "secret")
    (roots / "in" / "folder").mkdir()
    (roots / "in" / "folder" / "b.jsonl").symlink_to(roots / "secret" / "s.jsonl")
    with pytest.raises(PlaceError):
        places_of(roots).discover([f"{roots}/in/{name}"], "auto")


def test_a_link_within_the_root_is_followed(roots: Path) -> None:
    (roots / "in" / "b.jsonl").symlink_to(roots / "in" / "a.jsonl")
    assert len(places_of(roots).discover([f"{roots}/in/b.jsonl"], "auto")) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("x", "{roots}/out/x"),
        ("a/b", "{roots}/out/a/b"),
        ("{roots}/out/x", "{roots}/out/x"),
        ("s3://bucket/runs/x", "s3://bucket/runs/x"),
    ],
)
def test_an_output_is_below_an_output_root(roots: Path, given: str, expected: str) -> None:
    assert places_of(roots).output(given.format(roots=roots)) == expected.format(roots=roots)


@pytest.mark.parametrize(
    "given",
    [
        ".",
        "..",
        "../secret/x",
        "x/../../secret",
        "{roots}/out",
        "{roots}/secret/x",
        "{roots}/in/x",
        "link/x",
        "s3://bucket/other",
        "s3://bucket/runs",
        "s3://other/runs/x",
        "gs://bucket/runs/x",
        "x\0y",
    ],
)
def test_an_output_elsewhere_is_refused(roots: Path, given: str) -> None:
    (roots / "out" / "link").symlink_to(roots / "secret")
    with pytest.raises(UserError):
        places_of(roots).output(given.format(roots=roots))


def test_without_roots_nothing_is_open(roots: Path) -> None:
    with pytest.raises(PlaceError, match="no input root"):
        Places().discover([str(roots / "in")], "auto")
    with pytest.raises(PlaceError, match="no output root"):
        Places().output("x")


@pytest.mark.parametrize(
    "stage",
    ["dedup: {against: ['%s']}", "toxicity: {model: '%s'}"],
)
@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "~/x", "{roots}/secret/m", "s3://b/x"])
def test_a_recipe_names_no_file_elsewhere(roots: Path, stage: str, path: str) -> None:
    recipe = load_recipe_text(recipe_text(stage % path.format(roots=roots)), "r")
    with pytest.raises(UserError):
        places_of(roots).check_recipe(recipe)


def test_the_language_model_of_a_recipe_is_held_against_the_roots_too(roots: Path) -> None:
    places = places_of(roots)
    with pytest.raises(PlaceError):
        places.check_recipe(load_recipe_text(recipe_text("dedup", language={"model": "/etc/passwd"}), "r"))
    places.check_recipe(load_recipe_text(recipe_text("dedup", language={"model": f"{roots}/in/m.bin"}), "r"))
    places.check_recipe(load_recipe_text(recipe_text("dedup", "pii"), "r"))


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("augmentation: {translators: [{name: apertium, options: {program: rm}}]}", "program names a program to run"),
        (
            (
                "augmentation: {translators: [{name: endpoint, pivots: {oc: fr}, options: {url: 'https://10.0.0.1/v1', "
                "model: m, cache: '%s/in/c', key_variable: SECRET}}]}"
            ),
            "url names an address to ask",
        ),
        ("pii: {actions: {email: hash}, key: {environment: SECRET}}", "environment names a variable"),
    ],
)
def test_a_recipe_names_nothing_that_is_the_servers_own(roots: Path, stage: str, said: str) -> None:
    recipe = load_recipe_text(recipe_text(stage.replace("%s", str(roots))), "r")
    with pytest.raises(PlaceError, match=said):
        places_of(roots).check_recipe(recipe)


ENDPOINT = (
    "augmentation: {translators: [{name: endpoint, pivots: {oc: fr}, options: "
    "{url: '%s', model: m, cache: '{roots}/in/c', key_variable: %s}}]}"
)


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("augmentation: {translators: [{name: apertium, options: {program: /usr/bin/apertium}}]}", None),
        ("augmentation: {translators: [{name: apertium, options: {program: apertium}}]}", "program names"),
        ("pii: {actions: {email: hash}, key: {environment: PII_KEY}}", None),
        ("pii: {actions: {email: hash}, key: {environment: ONE_KEY}}", "environment names"),
        (ENDPOINT % ("https://one.example/v1", "ONE_KEY"), None),
        (ENDPOINT % ("https://two.example/v1", "null"), None),
        (ENDPOINT % ("https://one.example/v1/", "ONE_KEY"), "url names"),
        (ENDPOINT % ("https://two.example/v1", "ONE_KEY"), "key_variable names"),
        (ENDPOINT % ("https://one.example/v1", "PII_KEY"), "key_variable names"),
    ],
)
def test_what_an_administrator_allows_a_recipe_may_name_and_keys_go_to_their_own_address_alone(
    roots: Path, stage: str, said: str | None
) -> None:
    allowances = Allowances(
        programs=("/usr/bin/apertium",),
        endpoints=(
            Endpoint(url="https://one.example/v1", key_variable="ONE_KEY"),
            Endpoint(url="https://two.example/v1"),
        ),
        environment=("PII_KEY",),
    )
    places = replace(places_of(roots), allowances=allowances)
    recipe = load_recipe_text(recipe_text(stage.replace("{roots}", str(roots))), "r")
    if said is None:
        places.check_recipe(recipe)
    else:
        with pytest.raises(PlaceError, match=said):
            places.check_recipe(recipe)


def test_a_root_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        root_of(str(tmp_path / "absent"))
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert root_of(str(tmp_path / "link")) == str(tmp_path / "real")
