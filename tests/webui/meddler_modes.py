"""The meddling extension's modes by how a run beside them must end; test_all_modes_are_tried holds it to the extension's own list."""

PUT_ASIDE = ("hooks_unet", "hooks_vae", "hooks_text", "hooks_everywhere", "cat", "attention_class", "block_class", "layer_class",
             "torch_function", "instances", "vae_class", "text_class", "sampler", "sampler_entry", "sampler_function", "scaled_steps",
             "parameter_at_each_picture")
OF_PICTURES = ("sampler", "sampler_entry", "sampler_function", "scaled_steps", "parameter_at_each_picture")  # a training never meets them
REFUSED = {"exchange_parameter": "time_embed", "merged_in_place": "to_", "merged_in_text_encoder": "fc1.weight", "merged_in_vae": "decoder.conv_in",
           "one_bias": "emb_layers", "layer_of_its_own": "attn1.to_q", "another_class": "attn1.to_k", "added_layer": "lora_extra",
           "inference_tensor": "time_embed.0.weight", "exchange_buffer": "position_ids", "exchange_schedule": "alphas_cumprod"}
