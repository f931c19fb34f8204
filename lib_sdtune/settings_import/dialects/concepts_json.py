"""A list of concepts alone, of diffusers' DreamBooth or of sd_dreambooth_extension; it also joins other settings."""

from lib_sdtune.settings_import.concepts_list import is_concepts, set_concepts
from lib_sdtune.settings_import.dialects import registry
from lib_sdtune.settings_import.dialects.base import Dialect
from lib_sdtune.settings_import.documents import Document
from lib_sdtune.settings_import.draft import Draft
from lib_sdtune.settings_import.files import Files
from lib_sdtune.settings_import.sd_scripts.pictures import set_images


@registry.register("concepts list")
class ConceptsList(Dialect):
    title, program, order, is_part = "a list of concepts", "", 19, True

    @staticmethod
    def recognises(document: Document) -> bool:
        return is_concepts(document.data)

    @staticmethod
    def read(document: Document, draft: Draft, files: Files) -> None:
        if not draft.program:
            draft.program = "diffusers"
            draft.config["method"] = "dreambooth"
            draft.assign("dreambooth.unet_lr", 5e-6)
            draft.notes.warnings.append(
                f"{document.name} names pictures alone; give the settings of the training too. The "
                "others are SD Tune's own."
            )
        set_concepts(draft, document.rows, document.name)
        set_images(draft)
