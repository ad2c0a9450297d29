"""The package keeps its shape: rooms, what is private, lengths, annotations, the wheel."""

import ast
import importlib
import inspect
import io
import pkgutil
import shutil
import subprocess
import sys
import sysconfig
import tokenize
from pathlib import Path

import pymc as pm
import pytest

import helpers

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
FILES = sorted(SOURCE.glob("helpers/**/*.py"))
ROOMS = sorted(room.name for room in pkgutil.iter_modules(helpers.__path__) if room.ispkg)
MODULE_LINES, FUNCTION_LINES = 450, 80
HOOKS = {"logp", "rv_op", "support_point"}  # called by PyMC alone, in its own way

each_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix()
)


def room_of(module):
    return ".".join(module.split(".")[:2])


def is_private(dotted):
    return any(part.startswith("_") and not part.endswith("__") for part in dotted.split("."))


def imports(path):
    """What a file imports from helpers: (line, module, name)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)


def test_rooms_import_only_from_those_beneath_them():
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@each_file
def test_rooms_import_what_is_public_from_a_module_and_not_from_its_room(path):
    here = room_of(".".join(path.relative_to(SOURCE).with_suffix("").parts))
    across = [
        f"line {line}: {name or module} of {module}"
        for line, module, name in imports(path)
        if module.split(".")[0] == "helpers" and room_of(module) != here
        if is_private(module)
        or is_private(name)
        or (module.count(".") < 2 and path != SOURCE / "helpers" / "__init__.py")
    ]
    assert across == []


@each_file
def test_names_with_an_underscore_stay_in_their_file(path):
    """A name that two files of a room share lies in a private module, without an underscore."""
    shared = [
        f"line {line}: {name} of {module}"
        for line, module, name in imports(path)
        if module.split(".")[0] == "helpers" and is_private(name)
    ]
    assert shared == []


def test_helpers_does_not_offer_what_only_chapters_share():
    """The contract on layers covers the rooms, and not the package that holds them."""
    offered = imports(SOURCE / "helpers" / "__init__.py")
    assert [m for _, m, n in offered if "helpers.book" in (room_of(m), f"{m}.{n}")] == []


def code_lines(node, lines):
    """Lines of a function that hold code: no docstring, no comment, no blank line."""
    kept = set(range(node.lineno, node.end_lineno + 1))
    for inner in ast.walk(node):
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant):
            if isinstance(inner.value.value, str):
                kept -= set(range(inner.lineno, inner.end_lineno + 1))
    return [n for n in kept if (text := lines[n - 1].strip()) and not text.startswith("#")]


@each_file
def test_modules_and_functions_are_short(path):
    """Or a comment `# long: why` stands on the first line of the file, or of the function."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    comments = tokenize.generate_tokens(io.StringIO(text).readline)
    excused = {
        token.start[0]
        for token in comments
        if token.type == tokenize.COMMENT and token.string.startswith("# long: ")
    }
    assert len(lines) <= MODULE_LINES or 1 in excused, f"{len(lines)} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            head = set(range(node.lineno, node.body[0].lineno))
            length = len(code_lines(node, lines))
            assert length <= FUNCTION_LINES or head & excused, f"{node.name}: {length} lines"


def public_functions(room):
    """Functions that a room offers, and the public methods that its classes define."""
    module = importlib.import_module(f"helpers.{room}")
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isfunction(thing):
            yield name, inspect.unwrap(thing)
        elif inspect.isclass(thing):
            hooks = HOOKS if issubclass(thing, pm.Distribution) else ()
            for method, member in vars(thing).items():
                member = getattr(member, "__func__", getattr(member, "fget", member))
                if inspect.isfunction(member) and member.__module__.startswith("helpers."):
                    if not method.startswith("_") and method not in hooks:
                        yield f"{name}.{method}", member


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_offers_is_annotated(room):
    bare = []
    for name, function in public_functions(room):
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        if "." in name and parameters and parameters[0].name in ("self", "cls"):
            parameters = parameters[1:]
        bare += [f"{name}({p.name})" for p in parameters if p.annotation is p.empty]
        if signature.return_annotation is signature.empty:
            bare.append(f"{name} -> ?")
    assert bare == []


@pytest.mark.slow
def test_wheel_is_complete_and_imports_by_itself(tmp_path):
    """Built from a copy, installed where the source is out of reach, every module imported."""
    copy = tmp_path / "project"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(SOURCE, copy / "src", ignore=skipped)

    def run(*command):
        done = subprocess.run(
            [str(part) for part in command], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    quietly = ["--quiet", "--no-deps", "--no-index"]
    run(*pip, "wheel", *quietly, "--no-build-isolation", "--wheel-dir", tmp_path, copy)
    (wheel,) = tmp_path.glob("*.whl")

    # A new environment sees the libraries of this one, but not its editable install: a folder
    # named in a .pth file does not have its own .pth files read.
    clean = tmp_path / "clean"
    run(sys.executable, "-m", "venv", "--without-pip", clean)
    python = clean / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    there = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    run(*pip, "--python", python, "install", *quietly, wheel)
    (there / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    script = """
        import importlib, pathlib, pkgutil, helpers
        folder = pathlib.Path(helpers.__file__).parent
        assert (folder / "py.typed").is_file()
        print(folder)
        for module in pkgutil.walk_packages(helpers.__path__, "helpers."):
            importlib.import_module(module.name)
            print(module.name)
    """
    folder, *modules = run(python, "-I", "-c", inspect.cleandoc(script)).splitlines()
    assert Path(folder) == there / "helpers"
    in_source = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for path in FILES
    }
    assert {"helpers", *modules} == in_source

    # README's command is there, and works where the project is not.
    command = python.with_name("not-on-the-menu" + python.suffix)
    assert "Analyse FILE, a table of counts" in run(command, "--help")
    (tmp_path / "bad.csv").write_text("n_left,n_right\n1,4\n-3,3\n")
    refused = subprocess.run([command, "bad.csv"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stdout == ""
    assert "bad.csv cannot be analysed. Negative counts in row(s) 1" in refused.stderr
    assert "Traceback" not in refused.stderr and not (tmp_path / "analysis").exists()
