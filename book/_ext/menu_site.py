"""What this site needs and no setting reaches: four small hooks for Sphinx."""

import re


def follow_the_repository_setting(app, config):
    """Show the buttons that need a public repository only when there is one."""
    options = config.html_theme_options
    if options.get("repository_url"):
        options["use_repository_button"] = True
        options["use_issues_button"] = True
    else:
        options.pop("launch_buttons", None)


def number_references_as_text(app, what, name, obj, options, lines):
    """Keep the numbered references of several docstrings apart on one page.

    In reStructuredText ``.. [1]`` is a footnote, and a page may have one footnote 1 only.
    """
    lines[:] = [
        re.sub(r"\[(\d+)\]_", r"[\1]", re.sub(r"^(\s*)\.\. \[(\d+)\] ", r"\1*  [\2] ", line))
        for line in lines
    ]


def list_sources_as_a_list(app, pagename, templatename, context, doctree):
    """Make the entries of the bibliography items of its list, as their own role is deprecated."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def write_numbers_as_in_the_text(app, pagename, templatename, context, doctree):
    """Give numbers that a run has printed a minus sign, and a space before the per cent sign.

    Only in cells of tables and in the text: printed output stays as Python prints it.
    """
    if "body" in context:
        where = r'(<t[dh][^>]*>|<span class="pasted-text">)'
        body = re.sub(where + r"-(?=\d[\d.,]*%?<)", "\\1\u2212", context["body"])
        number = where + r"([\u2212+]?\d[\d.,]*)%<"
        context["body"] = re.sub(number, "\\1\\2\u00a0%<", body)


def setup(app):
    # Jupyter Book sets this one for an extension that _config.yml leaves out.
    app.add_config_value("comments_config", {}, "html")
    app.connect("config-inited", follow_the_repository_setting)
    app.connect("html-page-context", list_sources_as_a_list)
    app.connect("html-page-context", write_numbers_as_in_the_text)
    # Before napoleon turns the sections into reStructuredText.
    app.connect("autodoc-process-docstring", number_references_as_text, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
