"""A run whose pictures have moved goes on in the tab too, once their new place is named."""

import json

import pytest

from tests.ui.browser import CHROMIUM, RESTORED, opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
SENTENCE = ('"{}" is /old/{}, which is not there any more. Put it back; or, where it has moved, go on with its new place: by HTTP, POST '
            '/sdtune/v1/runs/ron/{} with the body {{"{}": "PATH"}}, or on the command line, train CONFIG --resume with the new place in CONFIG.')
FOLDERS = {"concepts[0].images": "pics", "validation.images": "held"}
SERVER = """
const answers = window.fetch;
window.asked = [];
window.fetch = (address, ...others) => {
    if (!String(address).endsWith('/ORDER')) return answers(address, ...others);
    const places = JSON.parse(others[0].body || '{}');
    window.asked.push(places);
    const gone = Object.entries(SENTENCES).find(([key]) => !(key in places));
    const headers = {'Content-Type': 'application/json'};
    return Promise.resolve(new Response(JSON.stringify(gone ? {detail: gone[1]} : {}), {status: gone ? 422 : 200, headers}));
};
"""
SAID = "document.querySelector('#sdtune_offline').textContent"
FIELD = "document.querySelector('#sdtune_missing_folder input')"


@pytest.mark.parametrize("order", ["resume", "retry"])
def test_each_folder_that_is_gone_is_asked_for_and_named_in_the_request(page, url, order):
    sentences = {key: SENTENCE.format(key, name, order, key) for key, name in FOLDERS.items()}
    opened(page, url, SERVER.replace("SENTENCES", json.dumps(sentences)).replace("ORDER", order)).until(f"{RESTORED} && !!sdtune.view.run")
    page.run(f"sdtune.status.order('{order}')")
    page.until(f"{FIELD}?.value === '/old/pics' && !{SAID}.includes('HTTP') && {SAID}.includes('Pictures')")
    page.run(f"{FIELD}.value = '/new/pics', {FIELD}.parentNode.querySelector('button').click()")
    page.until(f"{FIELD}?.value === '/old/held'")
    page.run(f"{FIELD}.value = '/new/held', {FIELD}.dispatchEvent(new KeyboardEvent('keydown', {{key: 'Enter'}}))")
    page.until(f"!{FIELD} && {SAID} === ''")
    assert page.run("window.asked")[-1] == {"concepts[0].images": "/new/pics", "validation.images": "/new/held"}
