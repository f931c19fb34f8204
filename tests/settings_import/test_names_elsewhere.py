"""What settings are called in other programs is read off the tables of their files."""

from lib_sdtune.settings_import.names_elsewhere import names_elsewhere
from lib_sdtune.ui.fields import declared


def test_names_lead_to_settings_that_exist():
    known = {field.path.replace("concept.", "concepts[].") for field in declared()} | {"concepts[]", "dataset.*"}
    names = names_elsewhere()
    assert set(names) <= known
    assert names["lora.dim"][0] == "network_dim" and "class_tokens" in names["concepts[].prompt"]
    assert {"optimizer_type", "optimizer"} <= set(names["train.optimizer"]) and all(len(set(words)) == len(words) for words in names.values())
