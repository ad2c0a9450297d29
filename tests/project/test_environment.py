"""The three lists of dependencies, and the Python version, say the same."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
LOCK = (ROOT / "requirements.lock").read_text().splitlines()
PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.+!]*")


def ranges(lines):
    """Version ranges by name. Extras of a package (arviz[matplotlib]) count as the package:
    conda-forge has no extras."""
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r.specifier for r in requirements}


def environment_ranges():
    plain = [entry for entry in ENVIRONMENT if isinstance(entry, str)]
    from_pip = [line for entry in ENVIRONMENT if isinstance(entry, dict) for line in entry["pip"]]
    found = ranges([*plain, *(line for line in from_pip if line != "-e .")])
    assert "-e ." in from_pip, "environment.yml must install the package itself"
    return {name: found[name] for name in found if name != "pip"}


def locked():
    return {
        canonicalize_name(name): version for name, version in (line.split("==") for line in LOCK)
    }


def test_environment_has_the_ranges_of_the_project():
    project = ranges([*PROJECT["dependencies"], *EXTRAS["book"], *EXTRAS["test"]])
    project["python"] = SpecifierSet(PROJECT["requires-python"])
    assert environment_ranges() == project


def test_lock_has_names_and_versions_only():
    assert [line for line in LOCK if not PINNED.fullmatch(line)] == []
    names = [canonicalize_name(line.split("==")[0]) for line in LOCK]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("extra", ["", "book", "test", "data", "dask"])
def test_lock_is_within_the_ranges(extra):
    lines = EXTRAS[extra] if extra else PROJECT["dependencies"]
    versions = locked()
    for name, allowed in ranges(lines).items():
        assert name in versions, f"{name} is not in requirements.lock: run `make lock`"
        assert allowed.contains(versions[name], prereleases=True), (
            f"{name} {versions[name]} of requirements.lock is not {allowed}: run `make lock`"
        )


@pytest.mark.slow
def test_what_the_package_imports_is_declared():
    imported = set()
    for path in (ROOT / "src").glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    libraries = imported - sys.stdlib_module_names - {"helpers"}
    providers = packages_distributions()
    needed = {canonicalize_name(name) for library in libraries for name in providers[library]}
    assert (
        needed - set(ranges([*PROJECT["dependencies"], *EXTRAS["jax"], *EXTRAS["dask"]])) == set()
    )


def test_python_version_is_allowed():
    python = Version((ROOT / ".python-version").read_text().strip())
    assert python in SpecifierSet(PROJECT["requires-python"])
