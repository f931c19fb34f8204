"""Files of the WebUI's own trainers and of ours, each used by the WebUI, by our methods on its modules, and by our own modules.

Started by test_same_prediction.py under the WebUI's Python; prints name -> [largest difference on its modules, on ours, size of the
effect] as one line of JSON.
"""

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.webui_trainers import trainers, webui  # noqa: E402

STEPS = 4
DEEP = {"layer_structure": [1, 2, 2, 1], "activation": "swish", "use_layer_norm": True, "activate_output": True, "dropout": True}


def main():
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        webui.lay_out(folder)
        webui.start(folder)
        print(json.dumps(hypernetworks(folder) | embeddings(folder)))


def inputs():
    import torch

    chance = torch.Generator().manual_seed(5)
    return torch.randn(1, 4, 8, 8, generator=chance), torch.tensor([300])


def made_by_us(method, folder, name, **own):
    from dataclasses import replace

    from lib_sdtune.host.webui.host import WebUIHost
    from lib_sdtune.training.run import run
    from lib_sdtune.training.runs import begin

    settings = trainers.config(method, folder, STEPS, 1)
    settings = replace(settings, name=name, **{method: replace(settings.settings, **own)})
    host = WebUIHost()
    run(settings, host, begin(settings, host))


def hypernetworks(folder):
    import torch
    from modules import safe, sd_hijack, shared
    from modules.hypernetworks import hypernetwork as webui

    from lib_sdtune.artefacts import hypernetwork as file
    from lib_sdtune.families.base import Conditioning
    from lib_sdtune.networks.applied_hypernetworks import applied_hypernetworks

    trainers.theirs("hypernetwork", folder, STEPS)
    made_by_us("hypernetwork", folder, "plain")
    made_by_us("hypernetwork", folder, "deep", **DEEP)
    shared.reload_hypernetworks()
    noisy, at = inputs()
    results = {}
    with torch.no_grad():
        context = shared.sd_model.get_learned_conditioning(["a photo of a toy"])
        sd_hijack.undo_optimizations()
        bare = shared.sd_model.apply_model(noisy, at, {"c_crossattn": [context]})
        for name in (trainers.NAME, "plain", "deep"):
            safe.check_pt(shared.hypernetworks[name], None)
            webui.load_hypernetworks([name])
            expected = shared.sd_model.apply_model(noisy, at, {"c_crossattn": [context]})
            shared.loaded_hypernetworks.clear()
            differences = []
            for lent in models(folder):
                with lent as model:
                    read, _ = file.read(file.find(model.folder("hypernetworks"), name))
                    with applied_hypernetworks(model.unet, [(read, 1.0)]):
                        ours = model.family.predict(model, noisy, at, Conditioning(context))
                    differences.append(float((ours - expected).abs().max()))
            results[f"hypernetwork {name}"] = [*differences, float((expected - bare).abs().max())]
    return results


def embeddings(folder):
    import torch
    from modules import safe, sd_hijack, shared

    trainers.theirs("textual_inversion", folder, STEPS)
    made_by_us("textual_inversion", folder, "plain", save_model_as="safetensors")
    made_by_us("textual_inversion", folder, "pickled", save_model_as="pt")
    safe.check_pt(str(folder / "data" / "embeddings" / "pickled.pt"), None)
    database = sd_hijack.model_hijack.embedding_db
    database.load_textual_inversion_embeddings(force_reload=True)
    assert not database.skipped_embeddings
    results = {}
    with torch.no_grad():
        for name in (trainers.NAME, "plain", "pickled"):
            caption = f"a photo of a {name}, red toy"
            expected = shared.sd_model.get_learned_conditioning([caption])
            bare = shared.sd_model.get_learned_conditioning(["a photo of a toy, red toy"])
            differences = []
            for lent in models(folder):
                with lent as model:
                    differences.append(float((model.family.encode_text(model, [caption]).context - expected).abs().max()))
            results[f"embedding {name}"] = [*differences, float((expected - bare).abs().max())]
    return results


def models(folder):
    """The model as the WebUI lends it, and the same checkpoint in our own modules."""
    from lib_sdtune.host.embedded.host import EmbeddedHost
    from lib_sdtune.host.webui.host import WebUIHost
    from lib_sdtune.sections.model import Model

    own = EmbeddedHost(folder / "data", folder / "data" / "models" / "Stable-diffusion" / "embedded.safetensors")
    return WebUIHost().borrow(Model()), own.borrow(Model())


if __name__ == "__main__":
    main()
