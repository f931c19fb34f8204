"""The search over all settings, in a browser: by the words on a field, by its key, by its names in other programs."""

import json

import pytest

from tests.ui.browser import CHROMIUM, RESTORED, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
KNOWN = {  # as kohya, OneTrainer, ai-toolkit and lora-scripts have it -> the field
    "network_dim": "lora_dim", "network dim": "lora_dim", "network_alpha": "lora_alpha", "train_batch_size": "train_batch_size",
    "clip_skip": "model_clip_skip", "noise_offset": "noise_noise_offset", "offset_noise_weight": "noise_noise_offset",
    "max_train_epochs": "train_max_train_epochs", "max_train_epoches": "train_max_train_epochs", "save_every_n_steps": "save_every_n_steps",
    "save.save_every": "save_every_n_steps", "lr_warmup_steps": "train_lr_warmup_steps", "optimizer_type": "train_optimizer",
    "reg_data_dir": "concept_class_images", "reg": "concept_class_images", "is_reg": "concept_class_images",
    "aspect_ratio_bucketing": "dataset_enable_bucket", "bucket": "dataset_enable_bucket", "num_repeats": "concept_repeats",
    "pretrained_model_name_or_path": "model_checkpoint", "sample_prompts": "sample_prompts", "v_parameterization": "model_prediction_type"}
ABOVE = {"class tokens": "concept_prompt", "train_data_dir": "images", "output_name": "name"}  # fields above the groups


def search(page, text):
    page.run(f"""(() => {{
        const field = document.querySelector('#sdtune_search_words');
        field.value = {json.dumps(text)};
        field.dispatchEvent(new Event('input', {{bubbles: true}}));
    }})()""")


def test_a_setting_is_found_by_its_names_in_other_programs(page, url):
    opened(page, url).until(RESTORED + " && !!document.querySelector('#sdtune_search_words')")
    missed = []
    for words, name in KNOWN.items():
        search(page, words)
        field = f"document.querySelector('#sdtune_{name}')"
        if page.run(f"{field} === null || {field}.classList.contains('sdtune-unmatched')"):
            missed.append(words)
    for words, name in ABOVE.items():
        search(page, words)
        if not page.run(f"document.querySelector('#sdtune_{name}').classList.contains('sdtune-found')"):
            missed.append(words)
    assert missed == []
    search(page, "network_dim")
    assert page.run("document.querySelectorAll('.sdtune-field:not(.sdtune-unmatched)').length") < 20
    search(page, "rate")
    hidden = "document.querySelector('#sdtune_{}').classList.contains('sdtune-unmatched')"
    assert page.run(hidden.format("concept_num_class_images")) and not page.run(hidden.format("lora_unet_lr")), "gene-rate-d"
    search(page, "(rate")
    search(page, "")
    assert page.run("document.querySelectorAll('#sdtune_form :is(.sdtune-unmatched, .sdtune-found)').length") == 0


def test_what_is_found_stands_below_its_group_s_title_without_a_gap(page, url):
    opened(page, url).until(RESTORED + " && !!document.querySelector('#sdtune_search_words')")
    search(page, "lr_scheduler_num_cycles")
    field = "document.querySelector('#sdtune_train_lr_scheduler_num_cycles')"
    page.until(f"{field}.offsetHeight > 0")
    page.until(f"{field}.getBoundingClientRect().top - document.querySelector('#sdtune_group_expert .label-wrap').getBoundingClientRect().bottom < 60")
