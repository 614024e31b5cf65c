"""HTML report page that needs nothing else: data, style and scripts in one file."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from importlib import resources
from typing import Any

from growsearch.report.compact_json import compact_json
from growsearch.report.page_data import page_data
from growsearch.report.run_data import Run
from growsearch.shown_text import shown, shown_data

_SCRIPTS = (
    "format.js",
    "dom.js",
    "data.js",
    "axes.js",
    "charts.js",
    "scatter.js",
    "bounds.js",
    "device.js",
    "details.js",
    "versus.js",
    "table.js",
    "brush.js",
    "parallel.js",
    "ranks.js",
    "checks.js",
    "influence.js",
    "history.js",
    "page.js",
)

# Escapes of what is made visible, and of some that are left: few texts have any.
_MAYBE_HIDDEN = re.compile(r"\\(?:[bfr]|u(?:00[0189]|007f|061c|20|d[89a-f]|feff))")
# The policy lets nothing in or out: no request can leave the page, and only these two scripts run.
_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="growsearch">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
<script type="application/json" id="run-data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def render_html(run: Run) -> str:
    """Return the page; everything that comes from files is data in it, never markup."""
    style = _asset("page.css")
    script = "(() => {\n" + "".join(_asset(name) for name in _SCRIPTS) + "})();\n"
    policy = (
        f"default-src 'none'; style-src '{fingerprint(style)}'; "
        f"script-src '{fingerprint(script)}'; base-uri 'none'; form-action 'none'"
    )
    return _TEMPLATE.format(
        policy=policy,
        title=html.escape(shown(f"{run.name}: growsearch report")),
        style=style,
        body=_asset("page.html"),
        data=_embedded(page_data(run)),
        script=script,
    )


def _embedded(data: Any) -> str:
    """Return what the page embeds: control codes in its texts can be seen."""
    text = embed_json(data)
    return embed_json(shown_data(data)) if _MAYBE_HIDDEN.search(text) else text


def embed_json(data: Any) -> str:
    """Return ``data`` as JSON that may stand inside a script element whatever it holds."""
    text = compact_json(data)
    for character, code in {"<": "003c", ">": "003e", "&": "0026"}.items():
        text = text.replace(character, f"\\u{code}")
    return text


def _asset(name: str) -> str:
    return resources.files("growsearch.report").joinpath("page", name).read_text(encoding="utf-8")


def fingerprint(content: str) -> str:
    """Return what a Content-Security-Policy names a script or a style by."""
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"sha256-{digest}"
