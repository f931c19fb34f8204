"""What counts as wrong, and how much."""

from dataclasses import dataclass

from lib_sdtune.declaration import option


@dataclass
class LossConfig:
    """What counts as wrong."""

    prior_loss_weight: float = option(1.0, "1: how much class pictures count.",
                                      label="Weight of class pictures", low=0, high=100)
    prior_preservation: str = option(
        "auto", "auto takes class pictures where there are any, else the teacher; teacher needs none: the untouched "
                "model says what the class is; pictures does without it.",
        choices=["auto", "pictures", "teacher"])
    teacher_every_n_examples: int = option(
        4, "4: the teacher is asked about every fourth example, which counts four times. 1 takes longest.",
        label="Teacher, every N examples", low=1, high=1000)
    teacher_caption_dropout_rate: float = option(
        0.0, "0, or 0.5: how often the teacher is asked about an empty prompt, from which guidance leads away.",
        label="Teacher: empty prompts", low=0, high=1)
    min_snr_gamma: float = option(0.0, "0, or 5 to learn evenly over the timesteps (arXiv 2303.09556).",
                                  label="Min-SNR gamma", low=0, high=100)
    loss_type: str = option("l2", "l2; huber or smooth_l1 forgive single bad pictures.",
                            choices=["l2", "l1", "huber", "smooth_l1"])
    huber_c: float = option(0.1, "0.1: from what error on huber and smooth_l1 forgive, at pure noise.",
                            label="Huber threshold", above=0, high=1)
    huber_schedule: str = option("snr", "snr forgives more where there is much noise; exponential; constant.",
                                 label="Huber schedule", choices=["snr", "exponential", "constant"])
    huber_scale: float = option(1.0, "1: multiplies the threshold; snr does without.",
                                label="Huber scale", above=0, high=100)
    v_pred_like_loss: float = option(0.0, "0, or 0.1: noise-predicting models alone, adds a loss like v-prediction's.",
                                     label="Loss like v-prediction", low=0, high=100)
    scale_v_pred_loss_like_noise_pred: bool = option(
        False, "For v-prediction models alone: weighs timesteps as noise prediction does.",
        label="Weigh v-prediction like noise prediction")
    normalize_masked_area_loss: bool = option(
        False, "With masks: every picture counts the same, however little of it is seen; else every visible part does.",
        label="Equal weight for masked pictures")
    debiased_estimation: bool = option(False, "Weights by 1 / sqrt(SNR) (arXiv 2310.08442).")
