"""Run a notebook with papermill and store it with its outputs.

    python book/run_notebook.py notebooks/CHAPTER.ipynb
    python book/run_notebook.py notebooks/CHAPTER.ipynb -p random_seed 2 --output out.ipynb

In place it replaces the stored notebook only after a run without an error, and all at once, so
that a failure or a second run of another notebook at the same time can do no harm.
"""

import argparse
import ast
import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def source_sha256(notebook):
    """Hash of what the outputs depend on: the code cells' sources, in their order."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def merge_streams(outputs):
    """Join printed text that arrived in pieces: where it was cut differs from run to run."""
    merged = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def tidy(notebook):
    """Drop what differs between two runs of the same code, and note the code that was run."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata["kernelspec"] = dict(KERNELSPEC)
    language = notebook.metadata.get("language_info", {})
    for key in ("version", "codemirror_mode"):
        language.pop(key, None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):  # papermill adds empty lists
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            cell.outputs = merge_streams(cell.outputs)
    notebook.metadata["book"] = {"source_sha256": source_sha256(notebook)}
    return notebook


def write_at_once(notebook, path):
    """Write beside the target, then rename: readers see the old notebook or the new one."""
    import nbformat

    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            nbformat.write(notebook, file)
        # mkstemp makes files that nobody else may read.
        os.chmod(draft, path.stat().st_mode if path.exists() else 0o644)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def parse_value(text):
    """A Python literal where it is one (2, 0.5, True, ['a', 'b']), else the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="a parameter other than the notebook's own; may be repeated; needs --output",
    )
    parser.add_argument("--output", type=Path, help="where to write (default: in place)")
    given = parser.parse_args(arguments)
    if not given.notebook.is_file():
        parser.error(f"there is no notebook {given.notebook}")
    target = given.output or given.notebook
    if given.parameter and target.resolve() == given.notebook.resolve():
        parser.error("a stored notebook has its own parameters: with -p, say --output PATH")
    if not target.resolve().parent.is_dir():
        parser.error(f"there is no folder {target.parent} to write to")
    return given.notebook, {name: parse_value(text) for name, text in given.parameter}, target


def report(error, notebook):
    """Say in a few lines which cell failed, and with what."""
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in error.traceback]
    tail = "\n".join(plain).strip().splitlines()[-12:]
    print(f"{notebook}: cell {error.cell_index + 1} failed\n", file=sys.stderr)
    print("\n".join(f"    {line}" for line in error.source.strip().splitlines()), file=sys.stderr)
    print("", *tail, sep="\n", file=sys.stderr)


def manager_with_stderr(file):
    """
    A class of kernel managers whose kernels write their standard error to `file`.

    What cells print there travels as messages and is stored. What is left are the kernel's own
    remarks, on encryption, or on sockets that close while it shuts down: they are of use only if
    the kernel dies.
    """
    from jupyter_client import AsyncKernelManager

    class Manager(AsyncKernelManager):
        async def start_kernel(self, **options):
            return await super().start_kernel(**options | {"stderr": file})

    return Manager


def main(arguments=None):
    path, parameters, target = parse_arguments(arguments)
    # Read by the kernel, which inherits them: no progress bars in stored outputs, no debugger
    # chatter on standard error.
    os.environ["BOOK_PROGRESSBAR"] = "0"
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

    import papermill
    from papermill.exceptions import PapermillExecutionError

    with tempfile.TemporaryFile() as remarks:
        try:
            notebook = papermill.execute_notebook(
                path.resolve(),
                None,  # nothing is written before the run has succeeded
                parameters=parameters,
                kernel_name="python3",
                kernel_manager_class=manager_with_stderr(remarks),
                cwd=path.resolve().parent,
                progress_bar=sys.stderr.isatty(),
            )
        except PapermillExecutionError as error:
            report(error, path)
            return 1
        except Exception:
            remarks.seek(0)
            sys.stderr.write(remarks.read().decode(errors="replace"))
            raise
    write_at_once(tidy(notebook), target.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
