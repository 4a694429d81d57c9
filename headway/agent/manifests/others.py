"""Manifests and lock files of other worlds: Rust, Go, Ruby, Java, PHP, .NET, Dart, Elixir, Swift."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from headway.agent.manifests.names import Unreadable, json_table, table, tables_below

_GEM = re.compile(r"^\s*(?:gem|[\w.]*add_\w*dependency)\s*\(?\s*['\"]([\w.-]+)['\"]", re.MULTILINE)
_LOCKED_GEM = re.compile(r"^ {2,6}([\w.-]+)(?: \(|!?$)", re.MULTILINE)
_MODULE = re.compile(r"(?:^|\s)([\w~-]+(?:\.[\w~-]+)+(?:/[\w.~-]+)*)\s+v\d", re.MULTILINE)
_POM_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_POM_BLOCK = re.compile(r"<(dependency|plugin|parent|extension|path)>(.*?)</\1>", re.DOTALL)
_COORDINATES = re.compile(r"['\"=\s]([\w.-]+):([\w.-]+)(?=[:'\"=@])")
_GROUP_AND_NAME = re.compile(
    r"group\s*[:=]\s*['\"]([\w.-]+)['\"]\s*,\s*(?:name|module)\s*[:=]\s*['\"]([\w.-]+)['\"]", re.IGNORECASE
)
_PLUGIN = re.compile(r"\bid\s*[(=]?\s*['\"]([\w.-]+)['\"]")
_NUGET = re.compile(
    r"<(?:PackageReference|PackageVersion|GlobalPackageReference)\b[^>]*?\b(?:Include|Update)\s*=\s*"
    r"['\"]([\w.-]+)['\"]",
    re.IGNORECASE,
)
_OLD_NUGET = re.compile(r"<package\b[^>]*?\bid\s*=\s*['\"]([\w.-]+)['\"]", re.IGNORECASE)
_PUB = re.compile(r"^ {2}([a-z_][\w]*):", re.MULTILINE)
_MIX = re.compile(r"\{\s*:(\w+)\s*,|^\s*\"(\w+)\":\s*\{:", re.MULTILINE)
_SWIFT = re.compile(r"(?:url|location)\"?\s*:\s*\"[^\"]*?/([\w.-]+?)(?:\.git)?/?\"")


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(str(error)) from error


def cargo(text: str) -> Iterator[str]:
    """`Cargo.toml`, also for one target or the workspace; a renamed crate under both names."""
    for key, value in tables_below(_toml(text)):
        if key.replace("_", "-") in {"dependencies", "dev-dependencies", "build-dependencies"}:
            for name, facts in table(value).items():
                yield name
                yield str(table(facts).get("package", ""))


def cargo_lock(text: str) -> Iterator[str]:
    """`Cargo.lock`."""
    packages = _toml(text).get("package")
    for package in packages if isinstance(packages, list) else []:
        yield str(table(package).get("name", ""))


def go_mod(text: str) -> Iterator[str]:
    """`go.mod`: what is required and what replaces it."""
    plain = re.sub(r"//.*", "", text)
    yield from _MODULE.findall(plain)


def go_sum(text: str) -> Iterator[str]:
    """`go.sum`."""
    for line in text.splitlines():
        yield line.partition(" ")[0]


def gemfile(text: str) -> Iterator[str]:
    """`Gemfile` and gem specifications."""
    yield from _GEM.findall(text)


def gemfile_lock(text: str) -> Iterator[str]:
    """`Gemfile.lock`."""
    yield from _LOCKED_GEM.findall(text)


def pom(text: str) -> Iterator[str]:
    """`pom.xml`, as `group:artifact`."""
    for _, block in _POM_BLOCK.findall(_POM_COMMENT.sub("", text)):
        inner = re.sub(r"<exclusions>.*?</exclusions>", "", block, flags=re.DOTALL)
        group, artifact = (re.search(rf"<{tag}>\s*([^<\s]+)\s*</{tag}>", inner) for tag in ("groupId", "artifactId"))
        if artifact:
            yield f"{group[1]}:{artifact[1]}" if group else artifact[1]


def gradle(text: str) -> Iterator[str]:
    """Gradle's builds, version catalogues and lock files, as `group:artifact`; plugins by their id."""
    plain = re.sub(r"(?m)(^|\s)//.*$", "", text)
    for group, name in (*_COORDINATES.findall(f"\n{plain}"), *_GROUP_AND_NAME.findall(plain)):
        yield f"{group}:{name}"
    yield from _PLUGIN.findall(plain)


def composer(text: str) -> Iterator[str]:
    """`composer.json` and `composer.lock`."""
    read = json_table(text)
    for key in ("require", "require-dev"):
        yield from table(read.get(key))
    for key in ("packages", "packages-dev"):
        found = read.get(key)
        for package in found if isinstance(found, list) else []:
            yield str(table(package).get("name", ""))


def dotnet(text: str) -> Iterator[str]:
    """Projects, shared properties and the older `packages.config`."""
    plain = _POM_COMMENT.sub("", text)
    yield from _NUGET.findall(plain)
    yield from _OLD_NUGET.findall(plain)


def dotnet_lock(text: str) -> Iterator[str]:
    """`packages.lock.json`."""
    for framework in table(json_table(text).get("dependencies")).values():
        yield from table(framework)


def pubspec(text: str) -> Iterator[str]:
    """`pubspec.yaml` and `pubspec.lock`."""
    yield from _PUB.findall(text)


def mix(text: str) -> Iterator[str]:
    """`mix.exs` and `mix.lock`."""
    for pair in _MIX.findall(text):
        yield from pair


def swift(text: str) -> Iterator[str]:
    """`Package.swift` and `Package.resolved`, by the last part of the address."""
    yield from _SWIFT.findall(text)
