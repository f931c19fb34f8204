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
        'samples_note',
        'drawing',
        'reasons',
        'detail',
        'recipe',
        'missing',
        'differs',
        'unsupported',
        'taken',
        'measured_by',
    ];
    const FOR_PROGRAMS = / ?[(（]"(?:overwrite|sure)": true(?:, --sure)?[)）]/g; // how a program would ask for it

    const WIDE_STOP = /([。！？]) /g; // brings the space behind it along

    // A sentence, or several, with `codes`: {sentence: {code, values}}; '{1}: {2}' is what is said of a setting.
    // path: of the request that it answers, which tells whose fields it speaks of.
    sdtune.said = function (text, codes, path) {
        const said = translated(String(text ?? ''), codes || {}).replace(FOR_PROGRAMS, '');
        return sdtune.withLabels(said.replace(WIDE_STOP, '$1'), path);
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

    // The answer to a request for `path`, its sentences in the words of the page; `plain` keeps a message as it came.
    sdtune.spoken = function (answer, path) {
        if (Array.isArray(answer)) return answer.map((part) => sdtune.spoken(part, path));
        if (!answer || typeof answer !== 'object') return answer;
        speak(answer, answer.codes || {}, path);
        return answer;
    };

    function speak(part, codes, path) {
        for (const [name, value] of Object.entries(part)) {
            if (name === 'codes') continue;
            if (value && typeof value === 'object' && !(SPOKEN.includes(name) && Array.isArray(value))) {
                speak(value, codes, path);
            } else if (SPOKEN.includes(name) && value) {
                if (name === 'message') part.plain = value;
                part[name] = Array.isArray(value)
                    ? value.map((line) => sdtune.said(line, codes, path))
                    : typeof value === 'string'
                      ? sdtune.said(value, codes, path)
                      : value;
            }
        }
    }

    // The boxes that the server draws.
    sdtune.sayBoxes = function (place) {
        for (const line of place.querySelectorAll('[data-codes]'))
            line.textContent = sdtune.said(line.dataset.said, JSON.parse(line.dataset.codes));
        sdtune.sayAloud(place);
    };

    // What a screen reader says of parts that the server drew: whoever translates the page does not look there.
    sdtune.sayAloud = function (place) {
        for (const part of place.querySelectorAll('[aria-label]'))
            part.setAttribute('aria-label', sdtune.t(part.getAttribute('aria-label')));
    };
})(window.sdtune);
