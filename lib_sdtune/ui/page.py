"""The page around the tab when no WebUI is there: our scripts and style in its head, nothing fetched from elsewhere."""

import json
import re
from pathlib import Path
from typing import Any

import gradio as gr
import gradio.routes

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = re.compile(rb'<(?:script|link)[^>]+(?:src|href)="https?://[^>]*>(?:\s*</script>)?')


def head() -> tuple[str, str]:
    """(scripts with translations, style) as tags, inlined, so that no route has to serve files."""
    tables = sorted((ROOT / "localizations").glob("*.json"))
    languages = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in tables}
    tags = [f"<script>window.sdtune_languages = {harmless(json.dumps(languages))}</script>"]
    scripts = [Path(__file__).with_name("translate.js"), *sorted((ROOT / "javascript").glob("*.js"))]
    tags += [f"<script>{harmless(path.read_text(encoding='utf-8'))}</script>" for path in scripts]
    return "".join(tags), f"<style>{(ROOT / 'style.css').read_text(encoding='utf-8')}</style>"


def harmless(script: str) -> str:
    return script.replace("</script", "<\\/script")


def install() -> None:
    """Make gradio's page carry `head()`; old and new starlette order the template's arguments differently."""
    if getattr(gradio.routes.templates, "sdtune", False):
        return
    scripts, style = (text.encode() for text in head())
    original = gradio.routes.templates.TemplateResponse

    def response(name: Any, context: Any, **options: Any) -> Any:
        try:
            page = original(name, context, **options)
        except TypeError:
            page = original(context["request"], name, context, **options)
        body = FOREIGN.sub(b"", page.body).replace(b"</head>", scripts + b"</head>")
        page.body = body.replace(b"</body>", style + b"</body>")
        page.init_headers()
        return page

    gradio.routes.templates.TemplateResponse = response
    gradio.routes.templates.sdtune = True


def theme() -> gr.themes.Base:
    """The WebUI's own look with the fonts of the machine."""
    return gr.themes.Default(font=["Source Sans Pro", "ui-sans-serif", "system-ui", "sans-serif"],
                             font_mono=["IBM Plex Mono", "ui-monospace", "monospace"])


CSS = "footer { display: none !important; } .gradio-container { max-width: 1500px !important; margin: 0 auto; }"
