"""What is refused before any picture is read: settings that contradict each other, and what is not installed here."""

from lib_sdtune.data.prepare.crop import finder
from lib_sdtune.data.prepare.settings import PrepareConfig, colour, expressions
from lib_sdtune.errors import UserError


def check(settings: PrepareConfig) -> None:
    """UserError for the first of it."""
    if settings.background:
        colour(settings.background)
    if settings.alpha and settings.format == "jpg":
        raise UserError('"alpha" needs png or webp; a jpg can\'t be transparent.')
    if settings.crop == "face":
        finder()
    if settings.cut_out == "rembg":
        try:
            import rembg  # noqa: F401
        except Exception as error:  # it fails in many ways when its runtime is missing
            raise UserError('"cut_out" is rembg, which is not installed here; install it (pip install rembg), '
                            "or choose border for plain backgrounds.") from error
    unfit = settings.folder.strip(". ") != settings.folder or set(settings.folder) & set('/\\:*?"<>|\0')
    if unfit:
        raise UserError(f'"folder" {settings.folder!r} can\'t be a folder\'s name; write for example "10_ron cat".')
    for rule in settings.replace + settings.replace_regex:
        if not rule.partition("=")[1] or not rule.partition("=")[0].strip():
            raise UserError(f'"{rule}" is no replacement; write OLD=NEW.')
    for expression in expressions(settings):
        expression.check()
