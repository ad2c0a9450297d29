"""Examples in docstrings run, and what is public is documented to numpydoc's rules."""

import doctest
import importlib
import inspect
import pkgutil

import pymc as pm
import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import helpers

FOUND = list(pkgutil.walk_packages(helpers.__path__, "helpers."))
ROOMS = [found.name for found in FOUND if found.ispkg]
MODULES = [found.name for found in FOUND if not found.ispkg]

# Of numpydoc's checks, those that a reader would miss: a summary of one line that ends with a
# full stop, all parameters described with their type, in order, returns that say what comes back.
CODES = {
    "GL01", "GL02", "GL03", "GL05", "GL06", "GL07", "GL08",
    "SS01", "SS02", "SS03", "SS04", "SS06",
    "PR01", "PR02", "PR03", "PR04", "PR06", "PR07", "PR10",
    "RT01", "YD01", "EX01",
}  # fmt: skip


def is_distribution(thing):
    """PyMC documents distributions by their dist(), and hooks such as logp are not called."""
    return inspect.isclass(thing) and issubclass(thing, pm.Distribution)


def needs_example(name):
    """All that is public but exceptions, which a reader catches and never makes."""
    thing = getattr(helpers, name)
    return not (inspect.isclass(thing) and issubclass(thing, Exception))


def public():
    """Names of what helpers offers, and of the public methods that its classes define."""
    for name in helpers.__all__:
        yield f"helpers.{name}"
        thing = getattr(helpers, name)
        if inspect.isclass(thing) and not is_distribution(thing):
            for method, member in vars(thing).items():
                is_function = inspect.isfunction(member) or isinstance(member, classmethod)
                if is_function and not method.startswith("_") and member.__doc__:
                    yield f"helpers.{name}.{method}"


def everything():
    """Public functions and classes of every module that is not private."""
    for module in MODULES:
        if "._" not in module:
            loaded = importlib.import_module(module)
            for name in getattr(loaded, "__all__", []):
                if inspect.isfunction(thing := getattr(loaded, name)) or inspect.isclass(thing):
                    yield f"{module}.{name}"


# Their examples compile and sample.
SLOW = {"helpers.analysis.tables", "helpers.diagnostics.profiling", "helpers.models.many_tables"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(m, marks=pytest.mark.slow) if m in SLOW else m for m in MODULES],
)
def test_examples_run(name, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)  # examples read data/
    monkeypatch.setenv("MPLBACKEND", "Agg")
    result = doctest.testmod(importlib.import_module(name), report=True)
    assert result.failed == 0


@pytest.mark.parametrize("name", list(public()))
def test_public_docstrings_keep_to_numpydoc(name):
    faults = [(code, text) for code, text in validate(name)["errors"] if code in CODES]
    if is_distribution(getattr(helpers, name.split(".")[1])):
        faults = [fault for fault in faults if fault[0] not in ("PR01", "PR02")]
    if name == "helpers.CategoryCounts":  # a record: its fields stand under Attributes
        faults = [fault for fault in faults if fault[0] != "PR01"]
    if name.count(".") == 2 or not needs_example(name.split(".")[1]):  # methods: the class has one
        faults = [fault for fault in faults if fault[0] != "EX01"]
    assert faults == []


@pytest.mark.parametrize("name", list(everything()))
def test_every_function_of_a_module_is_documented(name):
    module, _, last = name.rpartition(".")
    codes = CODES - {"EX01", "RT01", "YD01", "PR01"}
    if is_distribution(getattr(importlib.import_module(module), last)):
        codes -= {"PR02"}
    assert [fault for fault in validate(name)["errors"] if fault[0] in codes] == []


@pytest.mark.parametrize(
    "name", [n for n in helpers.__all__ if is_distribution(getattr(helpers, n))]
)
def test_distributions_document_the_parameters_of_dist(name):
    distribution = getattr(helpers, name)
    documented = {p.name for p in NumpyDocString(inspect.getdoc(distribution))["Parameters"]}
    assert documented == set(inspect.signature(distribution.dist).parameters) - {"kwargs"}


def test_sections_are_there_and_errors_are_listed():
    for name in filter(needs_example, helpers.__all__):
        thing = getattr(helpers, name)
        text = inspect.getdoc(thing)
        assert "Examples\n--------" in text, name
        is_record = name == "CategoryCounts"
        assert ("Attributes\n----------" if is_record else "Parameters\n----------") in text, name
        assert is_record or "Returns\n-------" in text, name
        module = inspect.getmodule(thing)  # helpers beside it raise, if it has the module alone
        source = inspect.getsource(thing if len(module.__all__) > 1 else module)
        assert "raise " not in source or "Raises\n------" in text, name


def test_public_names_are_sorted_and_there():
    assert helpers.__all__ == sorted(helpers.__all__)
    for module in ["helpers", *ROOMS]:
        loaded = importlib.import_module(module)
        assert all(hasattr(loaded, name) for name in loaded.__all__), module


def test_a_room_offers_what_its_modules_call_public():
    for name in everything():
        module, _, last = name.rpartition(".")
        room = module.rpartition(".")[0]
        assert last in importlib.import_module(room).__all__, f"{name} is not offered by {room}"
