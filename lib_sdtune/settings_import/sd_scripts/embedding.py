"""Textual inversion in sd-scripts: the word, where it starts, and the templates of its prompts."""

from pathlib import PurePath

from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.entries import Entries, integer, text

TEMPLATES = {"use_object_template": "subject.txt", "use_style_template": "style.txt"}


def set_embedding(draft: Draft, options: Entries) -> None:
    """Set the section "textual_inversion" but for its rate, and the template as the concepts' prompt."""
    if word := options.take("token_string"):
        draft.set("textual_inversion.token", text(word.value), word)
    if start := options.take("init_word"):
        draft.set("textual_inversion.init_text", text(start.value), start)
    if weights := options.take("weights"):
        name = PurePath(text(weights.value).replace("\\", "/")).stem
        draft.set("textual_inversion.init_embedding", name, weights, "here the name of one in the embeddings folder")
    draft.assign("textual_inversion.num_vectors_per_token", 1)
    if count := options.take("num_vectors_per_token"):
        try:
            draft.set("textual_inversion.num_vectors_per_token", integer(count.value), count)
        except ValueError as error:
            draft.notes.unread(count, error)
    for name, template in TEMPLATES.items():
        if entry := options.take_switch(name):
            for concept in draft.config["concepts"]:
                concept.setdefault("prompt", template)
            draft.notes.differ(
                entry, "its own list of sentences there, a template file here", "concepts[].prompt", template
            )
