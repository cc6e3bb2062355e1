"""Where the templates are, and the Jinja2 environment that renders them."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape


def template_folder() -> Path:
    """The templates: inside the package where it is installed, beside it in the repository."""
    package = Path(__file__).parent
    for folder in (package / "templates", package.parent / "templates"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no templates in {package} or beside it: install genai-autograder again")


def environment() -> Environment:
    """Jinja2 over `template_folder()`: names left undefined are errors, `*.html.j2` is escaped."""
    return Environment(
        loader=FileSystemLoader(template_folder()),
        autoescape=select_autoescape(("html", "html.j2"), default_for_string=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
