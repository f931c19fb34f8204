// Preparing: pictures get the sizes that the form says, which follow the model, until others are typed here.
window.sdtune = window.sdtune || {};

(function (sdtune) {
    const SIZES = ['resolution', 'min_bucket_reso', 'max_bucket_reso', 'bucket_reso_steps'];
    const filled = {};

    function follow() {
        for (const setting of sdtune.picturesPage.facts.prepare) {
            if (!SIZES.includes(setting.name)) continue;
            const field = sdtune.byId('sdtune_prepare_' + setting.name);
            const size = sdtune.form.value('dataset.' + setting.name);
            const untouched = field.value === (filled[setting.name] ?? String(setting.default));
            if (size && untouched) field.value = filled[setting.name] = String(size);
        }
    }

    sdtune.prepareSizes = {follow};
})(window.sdtune);
