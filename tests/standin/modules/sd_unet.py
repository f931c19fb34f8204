import torch

unet_options = []
current_unet_option = current_unet = None


class SdUnetOption:
    model_name = label = None

    def create_unet(self):
        raise NotImplementedError


class SdUnet(torch.nn.Module):
    def activate(self):
        pass

    def deactivate(self):
        pass


def apply_unet(option=None):
    global current_unet_option, current_unet
    chosen = next((known for known in unet_options if known.label == option), None)
    if chosen == current_unet_option:
        return
    if current_unet is not None:
        current_unet.deactivate()
    current_unet_option, current_unet = chosen, chosen.create_unet() if chosen else None
    if current_unet is not None:
        current_unet.activate()
