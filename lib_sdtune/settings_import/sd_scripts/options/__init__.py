"""Every option of sd-scripts' train_network.py, train_db.py and train_textual_inversion.py for SD1, SD2 and SDXL, and
what it is called here.

Names, kinds and defaults are those of kohya-ss/sd-scripts at 48d368fa (library/train_util.py and the scripts). The
other programs that write its names are translated through this table, and docs/sd-scripts-options.md is written from
it.
"""

from lib_sdtune.settings_import.sd_scripts.options.learning import LEARNING
from lib_sdtune.settings_import.sd_scripts.options.model import MODEL
from lib_sdtune.settings_import.sd_scripts.options.network import EMBEDDING, NETWORK
from lib_sdtune.settings_import.sd_scripts.options.objective import LOSS, NOISE
from lib_sdtune.settings_import.sd_scripts.options.other_scripts import OTHERS
from lib_sdtune.settings_import.sd_scripts.options.pictures import CAPTIONS, PICTURES
from lib_sdtune.settings_import.sd_scripts.options.reporting import REPORTING
from lib_sdtune.settings_import.sd_scripts.options.saving import SAMPLES, SAVING

OPTIONS = [*MODEL, *PICTURES, *CAPTIONS, *NETWORK, *EMBEDDING, *LEARNING, *NOISE, *LOSS, *SAVING, *SAMPLES, *REPORTING]
BY_NAME = {option.name: option for option in (*OPTIONS, *OTHERS)}
