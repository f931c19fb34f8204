"""What a page of another site tries through the browser of somebody who has SD Tune open, as scripts for that page."""

import json

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

REBOUND = "rebound.example"
RESOLVES = f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1, MAP other.example 127.0.0.1"
"""Flag of a browser for which these names are this machine, as after DNS rebinding."""

TRY = """
(async () => {
    const victim = VICTIM, config = CONFIG, answers = {};
    const attempt = async (name, path, options) => {
        try {
            const answer = await fetch(victim + path, {credentials: "include", ...options});
            answers[name] = answer.type === "opaque" ? "unread" : `read ${answer.status}`;
        } catch { answers[name] = "refused"; }
    };
    const plain = (body) => ({method: "POST", mode: "no-cors", body: typeof body === "string" ? body : JSON.stringify(body)});
    await attempt("read runs", "sdtune/v1/runs");
    await attempt("read config", "config");
    await attempt("read file", "file=sdtune-data");
    await attempt("fetch runs", "sdtune/v1/runs", {mode: "no-cors"});
    await attempt("start", "sdtune/v1/runs", plain(config));
    await attempt("start as JSON", "sdtune/v1/runs", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(config)});
    await attempt("stop", "sdtune/v1/runs/ron/stop", plain(""));
    await attempt("delete", "sdtune/v1/runs/ron", {method: "DELETE"});
    await attempt("write a caption", "sdtune/v1/captions/x/write", plain({name: "0.png", caption: "gone"}));
    for (const [event, data] of EVENTS)
        for (const path of ["run/predict", "api/predict"])
            await attempt(`event ${event} ${path}`, path, plain({fn_index: event, data, session_hash: "x"}));
    const form = new FormData();
    form.append("files", new File(["x"], "x.png"));
    await attempt("upload", "upload", {method: "POST", mode: "no-cors", body: form});
    const frame = document.body.appendChild(Object.assign(document.createElement("iframe"), {name: "frame"}));
    const sent = document.body.appendChild(Object.assign(document.createElement("form"),
        {target: "frame", method: "POST", enctype: "text/plain", action: victim + "sdtune/v1/runs"}));
    sent.appendChild(Object.assign(document.createElement("input"), {name: JSON.stringify(config).slice(0, -1) + ', "x": "', value: '"}'}));
    await new Promise((done) => { frame.onload = done; sent.submit(); setTimeout(done, 3000); });
    answers["socket"] = await new Promise((done) => {
        const socket = new WebSocket(victim.replace("http", "ws") + "queue/join");
        socket.onmessage = (message) => {
            const asked = JSON.parse(message.data).msg;
            if (asked === "send_hash") socket.send(JSON.stringify({fn_index: 0, session_hash: "x"}));
            else done(asked);
        };
        socket.onerror = socket.onclose = () => done("refused");
        setTimeout(() => done("silent"), 3000);
    });
    return answers;
})()
"""

READ_AS_OWN = """
(async () => {
    const answers = {};
    for (const path of ["/", "/config", "/sdtune/v1/runs", "/sdtune/v1/schema"]) answers[path] = (await fetch(path)).status;
    const start = await fetch("/sdtune/v1/runs", {method: "POST", body: JSON.stringify(CONFIG)});
    return {...answers, start: start.status};
})()
"""


def site():
    """An app with an empty page: the site of somebody else."""
    app = FastAPI()
    app.get("/")(lambda: HTMLResponse("<body>cats</body>"))
    return app


def filled(script, victim="", config=None, events=tuple((number, []) for number in range(12))):
    """The script with the address to attack, the settings of a run to start there, and (number, inputs) of gradio's events."""
    for name, value in {"VICTIM": victim, "CONFIG": config, "EVENTS": events}.items():
        script = script.replace(name, json.dumps(value))
    return script


def own_events(page):
    """(number, inputs as they stand on the page) of the events that read or write SD Tune's components, by gradio's /config."""
    parts = {part["id"]: part["props"] for part in page["components"]}
    ours = {number for number, props in parts.items() if str(props.get("elem_id", "")).startswith("sdtune_")}
    return [(number, [parts[place].get("value") for place in event["inputs"]]) for number, event in enumerate(page["dependencies"])
            if ours & {*event["inputs"], *event["outputs"]}]
