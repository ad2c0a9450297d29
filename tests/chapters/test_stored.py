"""The stored notebooks are complete, in order, free of warnings, and as old as their code."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
from scripts import load

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHAPTERS = [path for path in PATHS if path.stem[:2].isdigit()]
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
VISIBLE_LINES, HIDDEN_LINES = 15, 45
MACHINE_PATH = re.compile(r"/(root|home|work|tmp|Users)/")
ADDRESS = re.compile(r"https?://[^\s\"'<>)]+")
WARNING = re.compile(r"\b\w*Warning\b\s*:|^WARNING\b", re.MULTILINE)
HEADING = re.compile(r"^# (?!#)(.+)$", re.MULTILINE)
FENCED = re.compile(r"^(```+|~~~+).*?^\1", re.MULTILINE | re.DOTALL)

each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return set(cell.metadata.get("tags", []))


def output_texts(cell):
    """Everything an output says, pictures left out (their letters mean nothing)."""
    for output in cell.outputs:
        yield output.get("text", "")
        for mime, content in output.get("data", {}).items():
            if "image/" not in mime:
                yield content if isinstance(content, str) else json.dumps(content)


def titles(notebook):
    prose = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [title for text in prose for title in HEADING.findall(FENCED.sub("", text))]


@each_notebook
def test_ran_from_start_to_end(path, notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), (
        f"run `python book/run_notebook.py notebooks/{path.name}`"
    )


@each_notebook
def test_outputs_are_those_of_the_code(path, notebook):
    stored = notebook.metadata.get("book", {}).get("source_sha256")
    assert stored == load(ROOT / "book" / "run_notebook.py").source_sha256(notebook), (
        "a code cell was changed after the run: "
        f"run `python book/run_notebook.py notebooks/{path.name}`"
    )


@each_notebook
def test_no_errors_no_warnings(path, notebook):
    for number, cell in enumerate(code_cells(notebook), 1):
        for output in cell.outputs:
            assert output.output_type != "error", f"In [{number}]: {output.get('ename')}"
            assert output.get("name") != "stderr", f"In [{number}]: {output.text}"
        for text in output_texts(cell):
            assert not WARNING.search(text), f"In [{number}]: {text}"


@each_notebook
def test_no_path_of_a_machine(path, notebook):
    for cell in notebook.cells:
        texts = [cell.source, *(output_texts(cell) if cell.cell_type == "code" else [])]
        for text in texts:
            lines = ADDRESS.sub("", text).splitlines()
            assert not [line[:200] for line in lines if MACHINE_PATH.search(line)]


@each_notebook
def test_figures_have_caption_name_and_description(path, notebook):
    for number, cell in enumerate(code_cells(notebook), 1):
        shown = {mime for output in cell.outputs for mime in output.get("data", {})}
        removed = tags(cell) & {"remove-output", "remove-cell"}
        if removed or not any(mime.startswith("image/") for mime in shown):
            continue
        mystnb = cell.metadata.get("mystnb", {})
        assert mystnb.get("figure", {}).get("caption", "").strip(), f"In [{number}]: no caption"
        assert mystnb.get("figure", {}).get("name", "").strip(), f"In [{number}]: no name"
        assert mystnb.get("image", {}).get("alt", "").strip(), f"In [{number}]: no alt text"


@each_notebook
def test_one_title_at_the_top(path, notebook):
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    assert len(titles(notebook)) == 1, titles(notebook)


def test_titles_differ():
    found = [title for path in PATHS for title in titles(nbformat.read(path, as_version=4))]
    assert sorted(found) == sorted(set(found))


@each_notebook
def test_has_parameters(path, notebook):
    cells = [cell for cell in code_cells(notebook) if "parameters" in tags(cell)]
    assert len(cells) == 1, "exactly one cell has the tag `parameters`"
    for name in ("random_seed", "draws"):
        assert re.search(rf"^{name}\s*(:[^=]+)?=", cells[0].source, re.MULTILINE), name


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_fits_share_the_settings_of_the_book(path, notebook):
    """Fits with another sampler than the book's are there for comparison."""
    source = "\n".join(cell.source for cell in code_cells(notebook))
    assert source.count("set_up(draws, random_seed)") == 1
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pm.sample":
            names = {keyword.arg for keyword in call.keywords}
            assert None in names or "nuts_sampler" in names, ast.unparse(call)


@each_notebook
def test_cells_are_short(path, notebook):
    for number, cell in enumerate(code_cells(notebook), 1):
        lines = len(cell.source.strip().splitlines())
        allowed = HIDDEN_LINES if tags(cell) & HIDDEN else VISIBLE_LINES
        assert lines <= allowed, f"In [{number}] has {lines} lines, {allowed} are allowed"


@each_notebook
def test_solutions_do_not_stand_in_plain_sight(path, notebook):
    texts = [c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown"]
    open_ones = [line for t in texts for line in t.splitlines() if re.match(r"Solution \d", line)]
    assert not open_ones, f"{path.name}: put these into a dropdown: {open_ones}"


@each_notebook
def test_ends_with_the_versions(path, notebook):
    last = code_cells(notebook)[-1]
    assert last is notebook.cells[-1], "the last cell is the one that prints the versions"
    printed = "\n".join(output_texts(last))
    assert re.search(r"Python\D*\d", printed) and re.search(r"pymc\s*[:=]\s*\d", printed), printed


def test_runner_does_not_store_other_parameters_in_place(tmp_path, capsys):
    path = tmp_path / "chapter.ipynb"
    path.write_text("not read")
    runner = load(ROOT / "book" / "run_notebook.py")
    for output in ([], ["--output", str(path)]):
        with pytest.raises(SystemExit):
            runner.parse_arguments([str(path), "-p", "random_seed", "2", *output])
        assert "say --output" in capsys.readouterr().err
    arguments = [str(path), "-p", "draws", "50", "-p", "cluster", "province"]
    _, parameters, _ = runner.parse_arguments([*arguments, "--output", str(tmp_path / "o.ipynb")])
    assert parameters == {"draws": 50, "cluster": "province"}


def test_runner_stores_the_same_for_the_same_run():
    def run(when, pieces):
        cell = nbformat.v4.new_code_cell("print('ab')", execution_count=1, id="one")
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=t) for t in pieces]
        glued = {"application/papermill.record/text/plain": "1.5"}
        cell.outputs.append(nbformat.v4.new_output("display_data", data=glued))
        cell.metadata = nbformat.from_dict({"papermill": {"start": when}, "tags": []})
        cell.metadata["execution"] = {"iopub.execute_input": when}
        notebook = nbformat.v4.new_notebook(cells=[cell])
        notebook.metadata["papermill"] = {"start_time": when, "input_path": "somewhere"}
        notebook.metadata["language_info"] = {"name": "python", "version": when}
        return load(ROOT / "book" / "run_notebook.py").tidy(notebook)

    first, second = run("now", ["a", "b"]), run("later", ["ab"])
    assert first == second
    assert first.cells[0].outputs[1].data == {"application/papermill.record/text/plain": "1.5"}
