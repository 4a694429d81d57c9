import itertools
import json
from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.host.service_settings import find_settings, load_settings


def refused(folder: Path, text: str) -> str:
    path = folder / "temporal-dev.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_settings(path)
    assert "Nothing was started" in str(caught.value)
    return caught.value.message


def test_the_shipped_file_is_valid_and_rendered_to_flags() -> None:
    flags = load_settings(find_settings()).flags("temporal.db")

    pairs = list(itertools.pairwise(flags))
    assert ("--db-filename", "temporal.db") in pairs
    assert ("--sqlite-pragma", "journal_mode=wal") in pairs
    assert ("--sqlite-pragma", "synchronous=full") in pairs
    assert ("--dynamic-config-value", "matching.enableFairness=true") in pairs
    assert ("--search-attribute", "HeadwayRun=Keyword") in pairs


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "temporal-dev.yaml"
    path.write_text("")

    assert load_settings(path).address == "127.0.0.1:7233"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("servr: {port: 1}", "servr: is not a setting; did you mean 'server'?"),
        ("server: {prot: 7233}", "server.prot: is not a setting; did you mean 'port'?"),
        ("sqlite_pragmas: {jurnal_mode: wal}", "did you mean 'journal_mode'?"),
        ("dynamic_config: {matching.enableFairnes: true}", "did you mean 'matching.enableFairness'?"),
        ("dynamic_config: {matching.enablefairness: true}", "did you mean 'matching.enableFairness'?"),
    ],
)
def test_an_unknown_key_is_named_with_the_file_and_the_nearest_known_one(tmp_path: Path, text: str, told: str) -> None:
    message = refused(tmp_path, text)

    assert told in message
    assert str(tmp_path / "temporal-dev.yaml") in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("server: {port: many}", "server.port: must be a valid integer, got 'many'"),
        ("server: {port: 70000}", "server.port: must be less than or equal to 65535"),
        ("server: {ip: 0.0.0.0}", "server.ip: must be a loopback address"),
        ("namespace: {retention: 3 weeks}", "namespace.retention: must be a duration such as 720h"),
        ("namespace: {retention: 1h}", "namespace.retention: must be at least 24h"),
        ("sqlite_pragmas: {journal_mode: wall}", "sqlite_pragmas.journal_mode: must be one of"),
        ("sqlite_pragmas: {busy_timeout: long}", "sqlite_pragmas.busy_timeout: must be a whole number"),
        ("dynamic_config: {matching.enableFairness: 'yes'}", "must be true or false"),
        ("dynamic_config: {matching.numTaskqueueReadPartitions: true}", "must be a whole number"),
        ("search_attributes: {HeadwayRun: Keywords}", "search_attributes.HeadwayRun: must be one of"),
        ("- a list", "must hold keys"),
        ("server: {port: 1", "is not YAML"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_should_be(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "temporal-dev.yaml"
    path.write_text(text)

    with pytest.raises(UserError) as caught:
        load_settings(path)

    assert told in caught.value.message


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    message = refused(tmp_path, "server: {prot: 1, port: x}\ndynamic_config: {nothing.like: 1}")

    assert len(message.splitlines()) == 3


def test_off_is_a_word_to_sqlite_though_a_truth_value_to_yaml(tmp_path: Path) -> None:
    path = tmp_path / "temporal-dev.yaml"
    path.write_text("sqlite_pragmas: {synchronous: off}")

    assert load_settings(path).sqlite_pragmas == {"synchronous": "off"}


def test_a_given_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml is not a file"):
        find_settings(tmp_path / "nowhere.yaml")


def test_dynamic_values_are_rendered_as_json(tmp_path: Path) -> None:
    path = tmp_path / "temporal-dev.yaml"
    path.write_text("dynamic_config: {matching.longPollExpirationInterval: 30s, frontend.rps: 5}")

    flags = load_settings(path).flags("temporal.db")

    assert f"matching.longPollExpirationInterval={json.dumps('30s')}" in flags
    assert "frontend.rps=5" in flags
