"""Manifests and lock files: which dependencies each kind names."""

import pytest

from headway.agent.forbidden import forbids
from headway.agent.manifests.kinds import kind_of, names_in

PYPROJECT = """
[build-system]
requires = ["setuptools>=68"]
[project]
requires-python = ">=3.11"
dependencies = ["Flask[async]>=2 ; python_version > '3'", "typing_extensions"]
[project.optional-dependencies]
docs = ["sphinx"]
[dependency-groups]
test = ["pytest", {include-group = "docs"}]
[tool.poetry.dependencies]
python = "^3.11"
requests = {version = "2", extras = ["socks"]}
[tool.poetry.group.dev.dependencies]
black = "*"
[tool.uv]
dev-dependencies = ["ruff"]
"""
PACKAGE = """{"name": "mine", "dependencies": {"left-pad": "1", "alias": "npm:lodash@4"},
 "devDependencies": {"@types/node": "*"}, "bundledDependencies": ["chalk"], "scripts": {"test": "jest"}}"""
PACKAGE_LOCK = """{"packages": {"": {"name": "mine", "dependencies": {"left-pad": "1"}},
 "node_modules/left-pad": {}, "node_modules/a/node_modules/@s/b": {}}}"""
YARN = '"@babel/core@^7.0.0", "@babel/core@^7.1.0":\n  version "7.1.0"\nleft-pad@^1:\n  dependencies:\n    x "^1"\n'
PNPM = "packages:\n  '@s/b@1.0.0':\n  left-pad@1.3.0:\n  /old/1.0.0:\n"
CARGO = """[package]
name = "mine"
[dependencies]
serde = "1"
short = { package = "tokio", version = "1" }
[target.'cfg(unix)'.dev-dependencies]
nix = "0.2"
"""
GO = """module example.org/mine

require github.com/pkg/errors v0.9.1
require (
\tgolang.org/x/net v0.1.0 // indirect
)
"""
POM = """<project><groupId>mine</groupId><artifactId>mine</artifactId><dependencies>
<!-- <dependency><groupId>no</groupId><artifactId>no</artifactId></dependency> -->
<dependency><groupId>org.x</groupId><artifactId>log4j-core</artifactId><version>2</version></dependency>
</dependencies></project>"""
GRADLE = """plugins { id("org.jetbrains.kotlin") }
dependencies { implementation 'com.google.guava:guava:33.0'
  api(group: 'org.x', name: 'y')  // 'not:this:1'
}"""

CASES = {
    "pyproject.toml": (PYPROJECT, "setuptools flask typing-extensions sphinx pytest python requests black ruff"),
    "requirements-dev.txt": (
        (
            "# flask\n-r base.txt\nDjango==4 # the web\n-e git+https://x.org/a/boto3.git@v1#egg=boto3\n"
            "numpy @ https://x.org/numpy.whl\nhttps://x.org/f/pandas-2.0-py3.whl\n\\\n--hash=sha256:0\n"
        ),
        "django boto3 numpy pandas",
    ),
    "requirements/base.in": ("a\nb[c]>1\n", "a b"),
    "setup.cfg": (
        "[options]\ninstall_requires =\n  attrs\n  flask>1\n[options.extras_require]\nx = y\n",
        "attrs flask y",
    ),
    "setup.py": ("from setuptools import setup\nsetup(name='mine', install_requires=['flask>1'])\n", "flask"),
    "Pipfile": ('[packages]\nflask = "*"\n[requires]\npython_version = "3"\n', "flask"),
    "Pipfile.lock": ('{"_meta": {}, "default": {"flask": {}}}', "flask"),
    "uv.lock": ('version = 1\n[[package]]\nname = "flask"\n', "flask"),
    "environment.yml": (
        "dependencies:\n  - python=3.11\n  - conda-forge::numpy\n  - pip:\n    - flask>1\n",
        "python numpy flask",
    ),
    "package.json": (PACKAGE, "left-pad alias lodash @types/node chalk"),
    "package-lock.json": (PACKAGE_LOCK, "left-pad @s/b"),
    "yarn.lock": (YARN, "@babel/core left-pad"),
    "pnpm-lock.yaml": (PNPM, "@s/b left-pad old"),
    "deno.json": ('{"imports": {"chalk": "npm:chalk@5"}}', "chalk"),
    "Cargo.toml": (CARGO, "serde short tokio nix"),
    "Cargo.lock": ('[[package]]\nname = "serde"\n', "serde"),
    "go.mod": (GO, "github-com/pkg/errors golang-org/x/net"),
    "go.sum": ("github.com/pkg/errors v0.9.1 h1:x=\n", "github-com/pkg/errors"),
    "Gemfile": ("source 'https://rubygems.org'\ngem 'rails', '~> 7'\n# gem 'no'\n", "rails"),
    "x.gemspec": ("  spec.add_development_dependency 'rspec', '1'\n", "rspec"),
    "Gemfile.lock": ("GEM\n  specs:\n    rails (7.0)\n      rack (>= 2)\n", "rails rack"),
    "pom.xml": (POM, "org-x:log4j-core"),
    "app/build.gradle.kts": (GRADLE, "org-jetbrains-kotlin com-google-guava:guava org-x:y"),
    "gradle/libs.versions.toml": ('a = { module = "org.x:y", version = "1" }\n', "org-x:y"),
    "composer.json": ('{"require": {"php": ">8", "symfony/console": "*"}}', "php symfony/console"),
    "composer.lock": ('{"packages": [{"name": "symfony/console"}]}', "symfony/console"),
    "App.csproj": ('<Project><PackageReference Include="Newtonsoft.Json" Version="1"/></Project>', "newtonsoft-json"),
    "packages.config": ('<packages><package id="NUnit" version="3"/></packages>', "nunit"),
    "packages.lock.json": ('{"dependencies": {"net8.0": {"NUnit": {}}}}', "nunit"),
    "pubspec.yaml": ("dependencies:\n  http: ^1\n", "http"),
    "mix.exs": ('defp deps do\n [{:phoenix, "~> 1"}]\nend\n', "phoenix"),
    "Package.swift": ('.package(url: "https://github.com/a/vapor.git", from: "4.0.0")', "vapor"),
}


@pytest.mark.parametrize(("path", "text", "names"), [(p, t, n) for p, (t, n) in CASES.items()], ids=list(CASES))
def test_what_a_manifest_names(path: str, text: str, names: str) -> None:
    assert names_in(path, text) == frozenset(names.split())


@pytest.mark.parametrize("path", ["README.md", "src/app.py", "data/package.txt", "setup.sh", "Cargo.toml.md"])
def test_other_files_are_no_manifests(path: str) -> None:
    assert kind_of(path) is None
    assert names_in(path, "flask") == frozenset()


@pytest.mark.parametrize("path", ["pyproject.toml", "package.json", "setup.py", "Cargo.toml", "composer.lock"])
def test_a_manifest_that_is_broken_hides_nothing(path: str) -> None:
    assert "left-pad" in names_in(path, '<<<<<<< {"dependencies": ["left-pad" = ')


@pytest.mark.parametrize("path", ["package.json", "package-lock.json", "pyproject.toml", "Pipfile", "composer.json"])
def test_a_manifest_of_another_shape_raises_nothing(path: str) -> None:
    for text in ("[]", "null", '{"dependencies": 3, "packages": [1, null], "require": []}', "[" * 5000, "\0", "a = 1"):
        names_in(path, text)


@pytest.mark.parametrize(
    ("rule", "name", "meant"),
    [
        ("Left_Pad", "left-pad", True),
        ("left-pad", "left-pad-extra", False),
        ("boto*", "boto3", True),
        ("@aws-sdk", "@aws-sdk/client-s3", True),
        ("symfony", "symfony/console", True),
        ("github.com/pkg/errors", "github.com/pkg/errors/v2", True),
        ("errors", "github.com/pkg/errors", False),
        ("log4j-core", "org.apache:log4j-core", True),
        ("org.apache", "org.apache:log4j-core", True),
        ("org.apache:log4j-core", "org.apache:log4j-core", True),
        ("org.apache:log4j-api", "org.apache:log4j-core", False),
    ],
)
def test_which_dependencies_a_rule_means(rule: str, name: str, meant: bool) -> None:
    assert forbids(rule, name) is meant
