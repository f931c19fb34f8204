"""Stable Diffusion 1.x: one CLIP ViT-L text tower, epsilon prediction, 512 pixels."""

from lib_sdtune.families import registry
from lib_sdtune.families.base import Conditioning, Family, Target
from lib_sdtune.ldm import webui_config
from lib_sdtune.ldm.layers import text_layers, unet_layers
from lib_sdtune.ldm.prompt import encode
from lib_sdtune.ldm.vae import moments


@registry.register("sd1")
class SD1(Family):
    scale_factor = 0.18215
    resolution = 512
    sd_version = "SD1"
    base_model_version = "sd_v1"
    architecture = "stable-diffusion-v1"
    defaults = {"dataset": {"resolution": 512}}

    def recognises(self, shapes):
        first = shapes.get("model.diffusion_model.middle_block.1.proj_in.weight", ())
        return len(first) == 4 and any(name.startswith("cond_stage_model.transformer.") for name in shapes)

    def targets(self, model):
        for layer in unet_layers(model.unet):
            yield Target(f"lora_unet_{layer.diffusers}", layer.module, "unet", layer.kind, layer.block)
        for name, layer in text_layers(model.text_encoders[0].text_model):
            yield Target(f"lora_te_{name}", layer, "text_encoder_1", "attention", "TE")

    def encode_text(self, model, captions, clip_skip=1):
        return self.encode_prompts(model, [[(caption, 1.0)] for caption in captions], clip_skip)

    def encode_prompts(self, model, prompts, clip_skip=1):
        return Conditioning(encode(model.text_encoders[0].text_model, model.tokenizer, prompts, model.embeddings, clip_skip))

    def encode_images(self, model, pixels):
        vae = model.vae
        mean, std = moments(vae.quant_conv(vae.encoder(pixels.to(vae.quant_conv.weight.dtype))))
        return mean.float() * self.scale_factor, std.float() * self.scale_factor

    def write_config(self, model, path):
        webui_config.write(path, model.unet, model.vae, model.text_encoders[0], model.path)
