"""Flags that the WebUI's command line gets from SD Tune."""


def preload(parser):
    parser.add_argument("--sdtune-pictures", action="append", default=[], metavar="DIR",
                        help="SD Tune: folder that pictures may come from when the WebUI can be reached by others; "
                             "can be repeated")
    parser.add_argument("--sdtune-host", action="append", default=[], metavar="NAME",
                        help="SD Tune: name under which this machine may be called besides localhost, behind a proxy "
                             "say; can be repeated")
