"""Every constant sentence of the tab: what a translation has to cover."""

import json
import re
from pathlib import Path

import gradio as gr

from lib_sdtune import failures
from lib_sdtune.data.caption_editing import PRUNING
from lib_sdtune.sentences import FILE
from lib_sdtune.ui import lora_tools_page, pictures_page
from lib_sdtune.ui.context import TabContext
from lib_sdtune.ui.tab import build

ROOT = Path(__file__).parents[2]
TEXT = r"'((?:[^'\\]|\\.)+)'"
LABEL = r"'([A-Z](?:[^'\\]|\\.)*)'"
PHASE = re.compile(r'\b(?:progress|preparing)\([^"\n]*"([^"]+)"\)')
KEYS = re.compile(r"\b(?:NAMES|VERDICTS) = \{(.*?)\};", re.S)


def on_one_line(script):
    """A script with each call, list and joined text on one line, however long: as the patterns here and in the tests read it."""
    script = re.sub(r"([(\[{])\n\s*", r"\1", re.sub(r"'\s*\+\s*'", "", script))
    script = re.sub(r",?\n\s*([)\]}])(?=[),;\].])", r"\1", script)
    return re.sub(r",\n\s*", ", ", script)


def of_form():
    """Labels, infos, placeholders, buttons, accordions, choices with words, headings."""
    words = set()
    for block in build(TabContext(home="webui")).blocks.values():
        if str(block.elem_id).endswith(("_started", "_wanted", "_opened", "_open_form_button", "_base", "_estimated", "_restore_button", "_use_button", "_use_preset_button", "_estimate_button",
                                           "_set_name", "_preset_name", "_save_preset_button", "_list_presets_button")):
            continue
        words |= {getattr(block, name, None) for name in ("label", "info")}
        if isinstance(block, gr.Button):
            words.add(block.value)
        if block.elem_id == "sdtune_preset":
            words |= set(block.choices)
        if isinstance(block, gr.Radio):
            words |= {shown for shown, _ in block.choices}
        if isinstance(block, gr.HTML) and "sdtune-heading" in str(block.value):
            words |= set(re.findall(">([^<]+)<", block.value))
        if isinstance(block, gr.TabItem):
            words.add(block.label)
    return {text for text in words | of_declarations() if text}


def of_server():
    """Constant sentences of the server with numbered blanks, as `sentences.json` has them for its answers' codes."""
    return set(json.loads(FILE.read_text(encoding="utf-8")))


def of_declarations():
    """What the page for pictures reads off the declarations, and the explanation that the server sends with them."""
    facts = pictures_page.facts()
    groups = facts["prepare"], *(captioner["fields"] for captioner in facts["captioners"]), *lora_tools_page.facts().values()
    fields = [field for group in groups for field in group]
    return {field[key] for field in fields for key in ("label", "info")} | {captioner["label"] for captioner in facts["captioners"]} | {PRUNING}


def of_scripts():
    """What the scripts say through `t` and its kin: also reasons of failures, phases of a run's preparation, buttons of the panel."""
    words = {sentence for _, why, change, _ in failures.KNOWN for sentence in (why, change)}
    words |= {failures.explain("")[part] for part in ("why", "change")}
    for path in sorted((ROOT / "javascript").glob("*.js")):
        text = on_one_line(path.read_text(encoding="utf-8"))
        words |= set(re.findall(rf"\bt\({TEXT}", text)) | set(re.findall(rf"\b(?:button|copy)\((?:[a-z]+, )?{LABEL}", text))
        words |= set(re.findall(rf"\bbutton\('[^']+', {LABEL}", text)) | set(re.findall(rf"\bkey\('\w+', {TEXT}", text))
        words |= set(re.findall(rf"\bfield\('\w+', {LABEL}", text)) | set(re.findall(rf"\['\w+', {LABEL}\]", text))
        words |= set(re.findall(r"\['((?:What|Most)[^']*)'", text)) | set(re.findall(rf"cell\({TEXT}", text))
        words |= {word for group in KEYS.findall(text) for word in re.findall(rf": {TEXT}", group)}
    for path in [ROOT / "lib_sdtune" / "jobs.py", *(ROOT / "lib_sdtune").glob("[dt]*/**/*.py")]:  # data, training
        words |= set(PHASE.findall(path.read_text(encoding="utf-8")))
    panel = (ROOT / "lib_sdtune" / "ui" / "panel.html").read_text(encoding="utf-8")
    return words | set(re.findall(r"<button[^>]*>([^<]+)<", panel)) | set(re.findall(r'aria-label="([^"]+)"', panel))
