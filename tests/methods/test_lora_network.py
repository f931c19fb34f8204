"""What a LoRA's metadata say of its network: what is in the file, also where another file was gone on from."""

import pytest

from lib_sdtune.config import Config
from lib_sdtune.methods.lora import LoraMethod
from tests.hosts import TinyHost, settings
from tests.lora_tools import files
from tests.models import tiny_sd1


def facts(tmp_path, **lora):
    model = tiny_sd1()
    model.folder = TinyHost(tmp_path).folder
    return LoraMethod(Config.from_dict(settings("pictures", lora=lora)), model).metadata()


@pytest.mark.parametrize(("convolutions", "network_args"), [(False, None), (True, {"conv_dim": "3", "conv_alpha": "6.0"})])
def test_convolutions_are_those_of_the_file_that_is_gone_on_from(tmp_path, convolutions, network_args):
    files.lora(TinyHost(tmp_path).folder("lora") / "before.safetensors", dim=3, alpha=6.0, convolutions=convolutions)
    metadata = facts(tmp_path, init_file="before", dim=9, conv_dim=8, conv_alpha=8, preset="full", block_dims=[4] * 25)
    assert metadata["ss_network_args"] == network_args
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == (3, 6.0)


def test_norms_are_those_of_the_file_that_is_gone_on_from(tmp_path):
    files.lora(TinyHost(tmp_path).folder("lora") / "before.safetensors", convolutions=False, norms=True)
    assert facts(tmp_path, init_file="before")["ss_network_args"] == {"train_norm": "True"}
    files.lora(TinyHost(tmp_path).folder("lora") / "before.safetensors", convolutions=False)
    assert facts(tmp_path, init_file="before", train_norm=True)["ss_network_args"] is None


@pytest.mark.parametrize("network", ["diag-oft", "boft", "ia3"])
def test_a_network_without_alpha_claims_none(tmp_path, network):
    files.lora(TinyHost(tmp_path).folder("lora") / "before.safetensors", network=network, dim=4, convolutions=False)
    metadata = facts(tmp_path, init_file="before")
    assert metadata["ss_network_alpha"] is None and metadata["ss_network_args"] == {"algo": network}
    assert (metadata["ss_network_dim"] is None) == (network == "ia3")


@pytest.mark.parametrize("preset", ["attn-only", "ia3"])
def test_a_preset_without_convolutions_claims_none(tmp_path, preset):
    assert facts(tmp_path, preset=preset, conv_dim=8)["ss_network_args"] == {"preset": preset}
    assert facts(tmp_path, conv_dim=8)["ss_network_args"] == {"conv_dim": "8", "conv_alpha": "1.0"}
