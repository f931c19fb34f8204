// Going on with a run: where a folder of its pictures is gone, its new place can be named, and the run goes on there.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const t = (...args) => sdtune.t(...args);
    const GONE = /^"([^"]+)" is (.+), which is not there any more\. Put it back; or, /s;

    // Rejects with an error that, where a folder is gone, has a `remedy`: the field for its new place.
    // order: 'resume' or 'retry'. places: {setting: path} of the folders that were named already.
    sdtune.goOn = async function (id, order, places) {
        try {
            return await sdtune.call('runs/' + encodeURIComponent(id) + '/' + order, 'POST', places);
        } catch (problem) {
            const [, key, path] = GONE.exec(problem.plain || '') || [];
            if (!key) throw problem;
            const sentence = t('"{key}" is {path}, which is not there any more. Put it back, or say where it is now.', {
                key,
                path,
            });
            throw Object.assign(new Error(sdtune.withLabels(sentence)), {
                remedy: newPlace(id, order, key, path, places),
            });
        }
    };

    function newPlace(id, order, key, path, places) {
        const {el} = sdtune;
        const field = el('input', {type: 'text', 'aria-label': t('New place of the folder'), spellcheck: 'false'});
        field.value = path;
        const again = async () => {
            try {
                await sdtune.goOn(id, order, {...places, [key]: field.value.trim()});
                sdtune.status.say('');
            } catch (problem) {
                sdtune.status.say(problem.message, problem.remedy);
            }
            sdtune.refresh();
        };
        field.addEventListener('keydown', (event) => event.key === 'Enter' && again());
        return el(
            'div',
            {class: 'sdtune-line', id: 'sdtune_missing_folder'},
            field,
            el(
                'button',
                {type: 'button', class: 'sdtune-button', onclick: again},
                order === 'resume' ? t('Resume from there') : t('Retry from there'),
            ),
        );
    }
})(window.sdtune);
