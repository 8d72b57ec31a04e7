"""Nodes and sizes as people write them."""

from __future__ import annotations

import pytest

from curator.errors import UserError
from curator.estimate.machines import Cluster, Node, parse_cluster, parse_count, parse_node, parse_text_bytes


def test_a_node_is_read_as_count_cores_memory_and_price() -> None:
    assert parse_node("16x4:64GB:0.85") == Node(16, 4, 64_000_000_000, 0.85)
    assert parse_node("1x2:8GiB") == Node(1, 2, 8 << 30)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0x4:64GB", "at least one node with one core"),
        ("4x0:64GB", "at least one node with one core"),
        ("0x4", "not understood"),
        ("16x4", "not understood"),
        ("16x4:64GB:cheap", "not understood"),
        ("16x4:64GB:-1", "not understood"),
        ("16x4:64XB", "memory: expected a size"),
        ("16x4:100MB", "no worker fits"),
        ("", "not understood"),
    ],
)
def test_a_node_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_node(text)


def test_workers_are_a_core_each_as_far_as_they_fit_into_memory() -> None:
    assert Node(1, 4, 64_000_000_000).workers == 4
    assert Node(1, 64, 8_000_000_000).workers == 20
    assert parse_cluster(["2x4:64GB", "3x64:8GB"]).workers == 68


def test_this_machine_is_taken_where_no_node_is_given() -> None:
    (node,) = parse_cluster([]).nodes
    assert node.count == 1
    assert node.workers >= 1
    assert Cluster((node,)).price_an_hour is None


@pytest.mark.parametrize("text", ["0", "0GB", "many", "-5GB", "4XB", ""])
def test_a_size_of_nothing_or_of_no_unit_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--size"):
        parse_text_bytes(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e99", "many", ""])
def test_documents_that_are_no_number_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--documents"):
        parse_count("--documents", text)


def test_documents_are_read_in_both_forms() -> None:
    assert parse_count("--documents", "1e11") == 100_000_000_000
    assert parse_count("--documents", "250000") == 250_000
