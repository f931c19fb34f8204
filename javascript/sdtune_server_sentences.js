// What the server says, in the words of the page: its sentences come in English, with their codes and values, and
// name settings by their keys.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    // Where an answer holds sentences for people; everything else stays as it is.
    const SPOKEN = [
        'message',
        'notes',
        'what',
        'why',
        'change',
        'sentence',
        'forgetting',
        'problem',
        'note',
        'reasons',
        'detail',
        'recipe',
        'missing',
        'differs',
        'unsupported',
        'taken',
    ];
    const KEY = /"((?:[a-z_]+\.)?[a-z_]+|concepts\[(\d+)\]\.([a-z_]+))"/g;
    const FOR_PROGRAMS = / ?[(（]"(?:overwrite|sure)": true(?:, --sure)?[)）]/g; // how a program would ask for it

    const WIDE_STOP = /([。！？]) /g; // brings the space behind it along

    // A sentence, or several, with `codes`: {sentence: {code, values}}; '{1}: {2}' is what is said of a setting.
    sdtune.said = function (text, codes) {
        const said = translated(String(text ?? ''), codes || {}).replace(FOR_PROGRAMS, '');
        return withLabels(said.replace(WIDE_STOP, '$1'));
    };

    function translated(text, codes) {
        if (codes[text]) return filled(codes[text]);
        const whole = sdtune.t(text);
        if (whole !== text) return whole;
        for (const [sign, joint] of [
            [/ · /, ' · '],
            [/([.!?])\s+/, ' '],
        ]) {
            const parts = text
                .replace(new RegExp(sign, 'g'), (joined, stop) => (stop || '') + '\u0000')
                .split('\u0000');
            if (parts.length > 1) return parts.map((part) => translated(part, codes)).join(joint);
        }
        return text;
    }

    const isName = (blank, code) => code.includes(`"{${blank}}"`); // somebody's, and no word of ours

    // A code with its values, which may be codes themselves, or words that the table has.
    function filled({code, values}) {
        const said = Object.entries(values).map(([name, value]) => [
            name,
            typeof value !== 'string' ? filled(value) : isName(name, code) ? value : sdtune.t(value),
        ]);
        return sdtune.t(code, Object.fromEntries(said));
    }

    const withLabels = (text) =>
        text.replace(KEY, (key, path, number, concept) => {
            const label = sdtune.form.label(concept ? 'concept.' + concept : path);
            if (!label) return key;
            return `"${label}"` + (Number(number) ? ` (${Number(number) + 1})` : '');
        });

    // An answer with its sentences in the words of the page; `plain` keeps a message as it came.
    sdtune.spoken = function (answer) {
        if (Array.isArray(answer)) return answer.map(sdtune.spoken);
        if (!answer || typeof answer !== 'object') return answer;
        speak(answer, answer.codes || {});
        return answer;
    };

    function speak(part, codes) {
        for (const [name, value] of Object.entries(part)) {
            if (name === 'codes') continue;
            if (value && typeof value === 'object' && !(SPOKEN.includes(name) && Array.isArray(value))) {
                speak(value, codes);
            } else if (SPOKEN.includes(name) && value) {
                if (name === 'message') part.plain = value;
                part[name] = Array.isArray(value)
                    ? value.map((line) => sdtune.said(line, codes))
                    : typeof value === 'string'
                      ? sdtune.said(value, codes)
                      : value;
            }
        }
    }

    // The boxes that the server draws.
    sdtune.sayBoxes = function (place) {
        for (const line of place.querySelectorAll('[data-codes]'))
            line.textContent = sdtune.said(line.dataset.said, JSON.parse(line.dataset.codes));
    };
})(window.sdtune);
