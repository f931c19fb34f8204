"""Options of sd-scripts for files, samples and validation."""

from lib_sdtune.settings_import.option import Option
from lib_sdtune.settings_import.sd_scripts.options.unneeded import FILES

SAVING = [
    Option("output_name", str, None, "name", group="naming", how="letters that no file name may have are replaced"),
    Option("output_dir", str, None, how=FILES),
    Option("save_model_as", str, None, "textual_inversion.save_model_as", group="saving",
           how="safetensors or pt for an embedding; all else is safetensors here"),
    Option("use_safetensors", bool, False, how="all files are safetensors here", scripts="d"),
    Option("save_precision", str, "float", "save.precision", group="saving",
           how="absent is the precision of training there, float32 for a network"),
    Option("save_every_n_epochs", int, 0, "save.every_n_epochs", group="saving"),
    Option("save_every_n_steps", int, 0, "save.every_n_steps", group="saving"),
    Option("save_n_epoch_ratio", int, None, "save.every_n_epochs", group="saving",
           how="at least so many files in the run: epochs / ratio"),
    Option("save_last_n_epochs", int, 0, "save.keep_last", group="saving", how="the number of files that stay"),
    Option("save_last_n_steps", int, 0, "save.keep_last", group="saving",
           how="in steps there: the files of so many steps, and the newest"),
    Option("save_last_n_epochs_state", int, None, how="kept so many states; one is kept here"),
    Option("save_last_n_steps_state", int, None, how="kept states of so many steps; one is kept here"),
    Option("save_state", bool, False, "save.state_every_n_steps", group="saving",
           how="a state with every file; here by steps"),
    Option("save_state_on_train_end", bool, False, how="kept the state of the finished run"),
    Option("resume", str, None, how="went on from a state of sd-scripts; --resume goes on from states of SD Tune"),
    Option("skip_until_initial_step", bool, False, how="belonged to resume", scripts="n"),
    Option("initial_epoch", int, None, how="belonged to resume", scripts="n"),
    Option("initial_step", int, None, how="belonged to resume", scripts="n"),
]

SAMPLES = [
    Option("sample_every_n_epochs", int, 0, "sample.every_n_epochs", group="samples"),
    Option("sample_every_n_steps", int, 0, "sample.every_n_steps", group="samples"),
    Option("sample_at_first", bool, False, how="made samples before the first step too"),
    Option("sample_prompts", str, None, "sample.prompts", group="samples", how="the file that it names is read"),
    Option("sample_sampler", str, "ddim", how="chose the sampler of the samples; here it is the WebUI's"),
    Option("validation_split", float, 0.0, "validation.split", scripts="n"),
    Option("validate_every_n_steps", int, 0, "validation.every_n_steps", group="validation", scripts="n"),
    Option("validate_every_n_epochs", int, None, how="validated at every so manieth epoch; here after each", scripts="n"),
    Option("validation_seed", int, None, how="chose which pictures are kept aside; train.seed does here", scripts="n"),
    Option("max_validation_steps", int, None, how="measured so many batches; here all", scripts="n"),
]
