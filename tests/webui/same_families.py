"""Every family: our modules, the WebUI's modules as they are lent, and the WebUI's own forward give the same answers.

Started by test_same_families.py under the WebUI's Python with a folder of small checkpoints. Prints one line of JSON:
name -> {"types": what the two hosts say, "lent": differences, "ours": differences, "scale": how large the answers are,
"adapted": differences with a LoRA on the text encoders, and how much that changes}.
"""

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.webui_trainers import webui  # noqa: E402

WIDTH, HEIGHT = 72, 104  # odd numbers of latents
PROMPTS = {"short": "a cat", "emphasised": "a (cat:1.3) and a [dog]", "long": "cat, dog, " * 40, "embedding": "a zwirbel, and a cat"}


def main(source):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        webui.lay_out(folder)
        models = folder / "data" / "models" / "Stable-diffusion"
        names = [name for path in sorted(source.glob("*.safetensors")) for name in prepare(path, models)]
        webui.start(folder)
        print(json.dumps({name: compare(name, folder / "data") for name in names}))


def prepare(path, models):
    """Copies of a checkpoint for the WebUI; the names of them."""
    import torch
    import yaml
    from safetensors.torch import load_file, save_file

    chance, tensors = torch.Generator().manual_seed(1), load_file(path)
    for name, tensor in tensors.items():
        if name.endswith(("ln_final.bias", "final_layer_norm.bias")):  # the WebUI's emphasis divides by the mean, which would be 0
            tensors[name] = tensor + 0.1 * torch.randn(tensor.shape, generator=chance) + 0.1
    config = yaml.safe_load(path.with_suffix(".yaml").read_text())
    save_file(tensors, models / path.name)
    (models / path.name).with_suffix(".yaml").write_text(yaml.safe_dump(config))
    names, params = [path.stem, f"{path.stem}-inpainting"], config["model"]["params"]
    denoiser = params.get("denoiser_config")
    if denoiser is not None:
        denoiser["params"]["scaling_config"]["target"] = "sgm.modules.diffusionmodules.denoiser_scaling.VScaling"
        save_file(tensors, models / f"{path.stem}-v.safetensors")
        (models / f"{path.stem}-v.yaml").write_text(yaml.safe_dump(config))
        names.append(f"{path.stem}-v")
    else:
        config["model"]["target"] = "ldm.models.diffusion.ddpm.LatentInpaintDiffusion"
        params |= {"conditioning_key": "hybrid", "finetune_keys": None}
    params["network_config" if denoiser else "unet_config"]["params"]["in_channels"] = 9
    first = "model.diffusion_model.input_blocks.0.0.weight"
    more = torch.randn(tensors[first].shape[0], 5, 3, 3, generator=chance) * 0.05
    tensors[first] = torch.cat([tensors[first], more], dim=1)
    save_file(tensors, models / f"{path.stem}-inpainting.safetensors")
    (models / f"{path.stem}-inpainting.yaml").write_text(yaml.safe_dump(config))
    return names


def compare(name, data):
    import torch
    from modules import sd_models, shared

    from lib_sdtune.host.embedded.host import EmbeddedHost
    from lib_sdtune.host.webui.host import WebUIHost
    from lib_sdtune.sections.model import Model

    shared.opts.data.update(emphasis="Original")
    sd_models.load_model(sd_models.get_closet_checkpoint_match(name))
    write_embedding(shared.sd_model, data)
    noisy, at = torch.randn(1, 4, HEIGHT // 8, WIDTH // 8, generator=torch.Generator().manual_seed(5)), torch.tensor([300])
    with torch.no_grad():
        expected = {key: answers_of_webui(prompt, noisy, at) for key, prompt in PROMPTS.items()}
        expected["negative"] = answers_of_webui("", noisy, at, negative=True)
        own = EmbeddedHost(data, data / "models" / "Stable-diffusion" / f"{name}.safetensors")
        differences, types = {}, {}
        for host, lending in (("lent", WebUIHost()), ("ours", own)):
            with lending.borrow(Model()) as model:
                if host == "lent":
                    differences["adapted"] = {"text": adapted(lending, model, data)}
                answers = {key: answers_of(model, prompt, noisy, at) for key, prompt in PROMPTS.items()}
                answers["negative"] = answers_of(model, "", noisy, at, negative=True)
                types[host] = model.prediction_type
            differences[host] = {key: [difference(*pair) for pair in zip(answers[key], expected[key], strict=True)] for key in expected}
    return {"types": types, "adapted": differences.pop("adapted"), "scale": [float(value.abs().mean()) for value in expected["short"]], **differences}


def write_embedding(sd_model, data):
    """An embedding called zwirbel, of three vectors, that the WebUI reads anew."""
    import torch
    from modules.sd_hijack import model_hijack

    from lib_sdtune.artefacts import embedding
    from lib_sdtune.host.webui import model

    family, _ = model.detected(sd_model)
    widths = [table.shape[1] for name, table in sd_model.state_dict().items()
              if name.endswith("token_embedding.wrapped.weight") and not (family.name == "sdxl" and name.startswith("cond_stage_model"))]
    rows = torch.randn(3, sum(widths), generator=torch.Generator().manual_seed(3)) * 0.05
    embedding.write(data / "embeddings" / "zwirbel.safetensors", rows, family.embedding_keys, widths, {})
    model_hijack.embedding_db.load_textual_inversion_embeddings(force_reload=True)
    assert "zwirbel" in model_hijack.embedding_db.word_embeddings


def answers_of_webui(prompt, noisy, at, negative=False):
    """[context, prediction], and the vector where there is one."""
    from modules import prompt_parser, shared

    prompts = prompt_parser.SdConditioning([prompt], is_negative_prompt=negative, width=WIDTH, height=HEIGHT)
    conditioning = shared.sd_model.get_learned_conditioning(prompts)
    hole = {"c_concat": [concat(noisy)]} if shared.sd_model.model.diffusion_model.input_blocks[0][0].in_channels == 9 else {}
    if isinstance(conditioning, dict):
        return [conditioning["crossattn"], shared.sd_model.apply_model(noisy, at, conditioning | hole), conditioning["vector"]]
    return [conditioning, shared.sd_model.apply_model(noisy, at, {"c_crossattn": [conditioning]} | hole)]


def concat(noisy):
    """A mask and latents, as the WebUI lays them together (modules/processing.py: inpainting_image_conditioning)."""
    import torch

    chance = torch.Generator().manual_seed(9)
    mask = (torch.rand(noisy[:, :1].shape, generator=chance) > 0.5).float()
    return torch.cat([mask, torch.randn(noisy.shape, generator=chance)], dim=1)


def answers_of(model, prompt, noisy, at, negative=False):
    from lib_sdtune.prompts import emphasis

    conditioning = model.family.encode_prompts(model, [emphasis(prompt)], negative=negative)
    conditioning.concat = concat(noisy) if model.variant.inpainting else None
    answers = [conditioning.context, model.family.predict(model, noisy, at, conditioning)]
    return answers if conditioning.vector is None else [*answers, conditioning.vector]


def adapted(host, model, data):
    """A LoRA on the text encoders: what the WebUI answers while it is on the lent modules, with the file in a prompt, and
    with both at once, against ours. After them how much the LoRA changes.
    """
    import networks
    import torch
    from modules import shared
    from modules.sd_hijack import model_hijack

    from lib_sdtune.formats import tensors
    from lib_sdtune.host.webui import fused
    from lib_sdtune.networks.base import applied
    from lib_sdtune.networks.lora import LoRA

    rng = torch.Generator().manual_seed(4)
    targets = [target for target in model.family.targets(model) if target.part != "unet"]
    layers = {target.key: LoRA(target.layer, 2, 2, rng) for target in targets}
    for layer in layers.values():
        layer.up.data.copy_(torch.randn(layer.up.shape, generator=rng) * 0.3)

    def ours():
        return model.family.encode_text(model, ["a cat"]).context

    def theirs():
        conditioning = shared.sd_model.get_learned_conditioning(["a cat"])
        return conditioning["crossattn"] if isinstance(conditioning, dict) else conditioning

    bare = ours()
    pairs = [(target.layer, layers[target.key]) for target in targets]
    with applied(pairs):
        expected = ours()
        with host.with_webui_state(), fused.adapted(shared.sd_model):
            worn = theirs()
        with applied(pairs):
            wanted_twice = ours()
    held = {f"{key}.{tail}": tensor for key, layer in layers.items() for tail, tensor in layer.tensors().items()}
    folder = data / "models" / "Lora"
    folder.mkdir(parents=True, exist_ok=True)
    tensors.write(folder / "worn.safetensors", held, {})
    with host.with_webui_state():
        networks.list_available_networks()
        networks.load_networks(["worn"], [1.0], [1.0], [None])
        assert not networks.extra_network_lora.errors and model_hijack
        worn_file = theirs()
        networks.load_networks([])
        again = theirs()
    with applied(pairs), host.with_webui_state(), fused.adapted(shared.sd_model):
        networks.load_networks(["worn"], [1.0], [1.0], [None])
        both = theirs()
        networks.load_networks([])
    assert difference(again, bare) < 1e-5 and difference(ours(), bare) < 1e-5 and difference(wanted_twice, expected) > 1e-2
    return [difference(worn, expected), difference(worn_file, expected), difference(both, wanted_twice), difference(expected, bare)]


def difference(ours, theirs):
    return float((ours - theirs[..., :ours.shape[-1]]).abs().max())  # the WebUI's vector goes on with the sizes


if __name__ == "__main__":
    main(Path(sys.argv[1]))
