"""The page around the tab when no WebUI is there: our scripts and style in its head, and nothing fetched from elsewhere."""

import json
import re
from pathlib import Path

import gradio as gr
import gradio.routes

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = re.compile(rb'<(?:script|link)[^>]+(?:src|href)="https?://[^>]*>(?:\s*</script>)?')


def head():
    """(scripts with translations, style) as tags, inlined, so that no route has to serve files."""
    languages = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "localizations").glob("*.json"))}
    tags = [f"<script>window.sdtune_languages = {harmless(json.dumps(languages))}</script>"]
    scripts = [Path(__file__).with_name("translate.js"), *sorted((ROOT / "javascript").glob("*.js"))]
    tags += [f"<script>{harmless(path.read_text(encoding='utf-8'))}</script>" for path in scripts]
    return "".join(tags), f"<style>{(ROOT / 'style.css').read_text(encoding='utf-8')}</style>"


def harmless(script):
    return script.replace("</script", "<\\/script")


def install():
    """Make gradio's page carry `head()`. Works with old and new starlette, which order the template's arguments differently."""
    if getattr(gradio.routes.templates, "sdtune", False):
        return
    scripts, style = (text.encode() for text in head())
    original = gradio.routes.templates.TemplateResponse

    def response(name, context, **rest):
        try:
            made = original(name, context, **rest)
        except TypeError:
            made = original(context["request"], name, context, **rest)
        made.body = FOREIGN.sub(b"", made.body).replace(b"</head>", scripts + b"</head>").replace(b"</body>", style + b"</body>")
        made.init_headers()
        return made

    gradio.routes.templates.TemplateResponse = response
    gradio.routes.templates.sdtune = True


def theme():
    """The WebUI's own look with the fonts of the machine."""
    return gr.themes.Default(font=["Source Sans Pro", "ui-sans-serif", "system-ui", "sans-serif"],
                             font_mono=["IBM Plex Mono", "ui-monospace", "monospace"])


CSS = "footer { display: none !important; } .gradio-container { max-width: 1500px !important; margin: 0 auto; }"
