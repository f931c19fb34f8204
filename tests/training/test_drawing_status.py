"""What the status on disk says of a picture that is being drawn."""

import json

from lib_sdtune.config import Config
from lib_sdtune.training.control import Control
from tests.hosts import settings


def test_a_picture_that_is_there_is_no_longer_said_to_be_drawn(tmp_path):
    control = Control(Config.from_dict(settings(tmp_path)), tmp_path)

    def written():
        return json.loads((tmp_path / "status.json").read_text())

    control.report_drawing("drawing a picture since 10:45:33")
    control.changed(at_once=True)
    assert written()["message"] == written()["drawing"] == "drawing a picture since 10:45:33"
    control.report_drawing("")
    assert written()["message"] == "" and "drawing" not in written()
