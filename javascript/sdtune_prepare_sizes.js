// Preparing: pictures get the sizes that the form says, which follow the model, until others are typed here.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const SIZES = ['resolution', 'min_bucket_reso', 'max_bucket_reso', 'bucket_reso_steps'];
    const filled = {};

    // As a run would have it: bucket sides that stand where the host puts them go along with the resolution.
    function trained(name) {
        const [size, before] = [sdtune.form.value, sdtune.form.recommended].map((of) => of('dataset.' + name));
        if (!/^(min|max)_/.test(name) || String(size) !== String(before)) return size;
        const share = trained('resolution') / sdtune.form.recommended('dataset.resolution');
        return share > 0 && share < Infinity ? Math.floor(size * share) : size;
    }

    // What the training takes may be beyond what Prepare does.
    const within = ({low, high}, size) => size && Math.min(Math.max(Number(size), low ?? -Infinity), high ?? Infinity);

    function follow() {
        for (const setting of sdtune.picturesPage.facts.prepare) {
            if (!SIZES.includes(setting.name)) continue;
            const field = sdtune.byId('sdtune_prepare_' + setting.name);
            const size = within(setting, trained(setting.name));
            const untouched = field.value === (filled[setting.name] ?? String(setting.default));
            if (size && untouched) field.value = filled[setting.name] = String(size);
        }
    }

    sdtune.prepareSizes = {follow};
})(window.sdtune);
