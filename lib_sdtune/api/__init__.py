"""The REST API: /sdtune/v1 on the WebUI's own server, or on ours. `router.attach` adds it; a file per kind of thing."""
