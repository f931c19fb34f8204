"""Why options of sd-scripts have no setting here, where several have the same reason."""

MEMORY = "saved memory or time and changes no result; SD Tune does that by itself"
LOGGING = "wrote logs for other programs; a run here keeps its own log"
UPLOAD = "uploaded files; nothing here is sent anywhere"
CARD = "wrote that text into the file's metadata"
FILES = "chose folders; where files go is fixed here"
WORKERS = "several computers or processes; `torchrun` starts those here"
COLOURS = "changed colours or cut out faces while training; prepare such pictures beforehand"
