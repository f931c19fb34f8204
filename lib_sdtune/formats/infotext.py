"""Pictures as the WebUI keeps them: PNG, with what made them in the text chunk "parameters"."""

from lib_sdtune.formats.files import atomic


def save(image, path):
    """Write a PIL image whose infotext, if any, is in `.info["parameters"]`."""
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    if image.info.get("parameters"):
        info.add_text("parameters", image.info["parameters"])
    with atomic(path) as unfinished:
        image.save(unfinished, format="PNG", pnginfo=info)
