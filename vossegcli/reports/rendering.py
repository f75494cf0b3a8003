"""Pages made from the templates of this package."""

from __future__ import annotations

from typing import Any


def rendered(template: str, **values: Any) -> str:  # noqa: ANN401 - a template takes anything
    """Fill in a template, named as its file in `templates/`; texts are escaped, bytes that are not UTF-8 too."""
    from jinja2 import Environment, PackageLoader  # takes long, and most runs write no page

    environment = Environment(loader=PackageLoader("vossegcli.reports"), autoescape=True)
    html: str = environment.get_template(template).render(**values)
    return html.encode("utf-8", "replace").decode()
