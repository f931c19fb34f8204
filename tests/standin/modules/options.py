import json
import sys
import traceback


class OptionInfo:
    def __init__(self, default=None, label="", component=None, component_args=None, onchange=None, section=None, refresh=None,
                 comment_before="", comment_after="", infotext=None, restrict_api=False, category_id=None):
        self.default, self.label, self.onchange, self.section, self.restrict_api = default, label, onchange, section, restrict_api
        self.component, self.component_args, self.comment_after = component, component_args, comment_after

    def info(self, text):
        self.comment_after += text
        return self


class Options:
    def __init__(self):
        defaults = {"sd_model_checkpoint": None, "sd_vae": "Automatic", "sd_vae_overrides_per_model_preferences": True,
                    "cross_attention_optimization": "Automatic", "fp8_storage": "Disable", "cache_fp16_weight": False,
                    "sd_unet": "Automatic", "CLIP_stop_at_last_layers": 1}
        self.__dict__["data_labels"] = {key: OptionInfo(default) for key, default in defaults.items()}
        self.__dict__["data"] = dict(defaults)

    def __getattr__(self, key):
        if key in self.data:
            return self.data[key]
        if key in self.data_labels:
            return self.data_labels[key].default
        raise AttributeError(key)

    def __setattr__(self, key, value):
        """AssertionError where an argument of the command line freezes the setting, RuntimeError where it is hidden."""
        from modules import shared

        arguments, option = shared.cmd_opts, self.data_labels.get(key)
        assert not arguments.freeze_settings, "changing settings is disabled"
        assert key not in (arguments.freeze_specific_settings or "").split(","), f"not possible to set '{key}'"
        section = option.section[0] if option and option.section else "sd"
        assert section not in (arguments.freeze_settings_in_sections or "").split(","), f"not possible to set '{key}'"
        if option and (option.component_args or {}).get("visible", True) is False:
            raise RuntimeError(f"not possible to set '{key}' because it is restricted")
        self.data[key] = value

    def set(self, key, value, is_api=False, run_callbacks=True):
        """Whether the option changed; a callback that raises puts the old value back."""
        before = self.data.get(key)
        if before == value:
            return False
        try:
            setattr(self, key, value)
        except RuntimeError:
            return False
        if run_callbacks and self.data_labels[key].onchange:
            try:
                self.data_labels[key].onchange()
            except Exception as error:
                print(f"changing setting {key} to {value}: {type(error).__name__}", file=sys.stderr)
                print(*traceback.TracebackException.from_exception(error).format(), sep="", file=sys.stderr)
                self.data[key] = before
                return False
        return True

    def onchange(self, key, func, call=True):
        self.data_labels[key].onchange = func

    def add_option(self, key, info):
        self.data_labels[key] = info
        self.data.setdefault(key, info.default)

    def save(self, filename):
        with open(filename, "w", encoding="utf8") as file:
            json.dump(self.data, file)
