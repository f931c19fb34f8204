"""How many steps a run takes, or at most takes."""

from lib_sdtune.sections.general import GeneralConfig


def total_steps(config: GeneralConfig, steps_per_epoch: int, pictures: int) -> int:
    """Steps of the whole run: by epochs, else by steps; where both are 0, what suits the method and the pictures.

    pictures: how many of the subject there are. A run that ends by itself (`train.stop`) may be shorter.
    """
    train = config.train
    if train.max_train_epochs or train.max_train_steps:
        return train.max_train_epochs * steps_per_epoch or train.max_train_steps
    together = train.batch_size * train.gradient_accumulation_steps
    return max(1, round(config.settings.examples_for(pictures) / together))
