"""An extension that behaves as popular ones do, at their worst, for `tests/webui/test_beside_others.py`.

Copy the folder `meddler` into the WebUI's extensions. Through the API: "alwayson_scripts": {"meddler": {"args": [MODE, HOW]}}.
MODE: a name of `sdtune_meddling.MODES`, or "". HOW: "keeps" does not take it back when the picture ends, "breaks" raises
in the middle of the picture, "" takes it back as it should.
"""

import gradio as gr
import sdtune_meddling
from modules import scripts, shared

sdtune_meddling.register()


def break_off():
    """The UNet's second call raises, for what a callback raises is caught; the hook takes itself out."""
    calls = []

    def hook(module, args):
        calls.append(1)
        if len(calls) == 2:
            handle.remove()
            sdtune_meddling.asked()
            raise RuntimeError("the meddler breaks this picture off")

    handle = shared.sd_model.model.diffusion_model.time_embed.register_forward_pre_hook(hook)


class Meddler(scripts.Script):
    keeps = False

    def title(self):
        return "Meddler"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        return [gr.Textbox("", label="Meddler's mode"), gr.Textbox("", label="How it ends")]

    def process(self, p, mode="", how="", *args):
        sdtune_meddling.stop()
        self.keeps = how == "keeps"
        if how == "breaks":
            break_off()
        if mode:
            sdtune_meddling.start(mode)

    def postprocess(self, p, processed, *args):
        sdtune_meddling.asked()
        if not self.keeps:
            sdtune_meddling.stop()
