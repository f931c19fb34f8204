import pytest

from lib_sdtune.data.buckets import Buckets, slack
from lib_sdtune.sections.dataset import DatasetConfig

# what sd-scripts prints for resolution 512, min 256, max 1024, steps 64
SD1 = {(256, 832), (256, 896), (256, 960), (256, 1024), (320, 704), (320, 768), (384, 640), (448, 576), (512, 512), (576, 448), (640, 384),
       (704, 320), (768, 320), (832, 256), (896, 256), (960, 256), (1024, 256)}
PICTURES = [(512, 512), (3000, 2000), (2000, 3000), (100, 100), (8000, 100), (1, 1), (1, 5000), (517, 389), (64, 64), (4032, 3024)]


def test_the_sizes_are_sd_scripts_sizes():
    assert set(Buckets(DatasetConfig()).sizes) == SD1


@pytest.mark.parametrize("size, bucket", [((3000, 2000), (640, 384)), ((1024, 768), (576, 448)), ((512, 512), (512, 512)),
                                          ((8000, 100), (1024, 256)), ((100, 8000), (256, 1024)), ((700, 500), (576, 448))])
def test_the_nearest_aspect_ratio_wins(size, bucket):
    assert Buckets(DatasetConfig()).fit(*size).size == bucket


@pytest.mark.parametrize("options", [{}, {"bucket_no_upscale": True}, {"enable_bucket": False}, {"resolution": 64}, {"resolution": 1024},
                                     {"bucket_reso_steps": 256, "resolution": 128}, {"min_bucket_reso": 300, "max_bucket_reso": 700},
                                     {"bucket_no_upscale": True, "resolution": 64}, {"resolution": 768, "bucket_reso_steps": 32}])
def test_every_picture_gets_a_possible_place(options):
    dataset = DatasetConfig(**options)
    buckets = Buckets(dataset)
    for picture in PICTURES:
        fit = buckets.fit(*picture)
        assert all(side > 0 and side % dataset.bucket_reso_steps == 0 for side in fit.size)
        assert min(slack(fit)) >= 0
        if not dataset.bucket_no_upscale and dataset.bucket_reso_steps <= dataset.resolution:
            assert fit.size[0] * fit.size[1] <= dataset.resolution**2
        longest = max(dataset.max_bucket_reso, dataset.resolution) + dataset.bucket_reso_steps
        assert dataset.bucket_no_upscale or max(fit.size) <= longest
        assert 0 in slack(fit) or dataset.bucket_no_upscale  # nothing is cut away on both sides


def test_without_buckets_all_are_squares_of_the_resolution_as_in_sd_scripts():
    assert {Buckets(DatasetConfig(enable_bucket=False, resolution=520)).fit(*picture).size for picture in PICTURES} == {(520, 520)}


def test_small_pictures_stay_small_if_asked():
    buckets = Buckets(DatasetConfig(bucket_no_upscale=True))
    assert buckets.fit(300, 200) == ((256, 192), (300, 200))
    assert buckets.fit(3000, 2000).scaled[0] <= 640
    assert buckets.fit(40, 40).size == (64, 64)  # a side of nothing is impossible


@pytest.mark.parametrize("resolution, picture, size", [(768, (1600, 200), (1600, 192)), (768, (300, 1500), (256, 1472)),
                                                       (768, (2000, 1500), (832, 640)), (512, (2000, 100), (1984, 64)),
                                                       (512, (700, 2100), (256, 768)), (512, (2100, 700), (768, 256))])
def test_a_picture_that_is_not_enlarged_knows_no_longest_side_as_in_sd_scripts(resolution, picture, size):
    assert Buckets(DatasetConfig(bucket_no_upscale=True, resolution=resolution)).fit(*picture).size == size


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_steps_below_a_latent_work_as_one_latent(steps):
    """Real files of other programs say 1; sides still have to be whole latents."""
    assert Buckets(DatasetConfig(bucket_reso_steps=steps)).sizes == Buckets(DatasetConfig(bucket_reso_steps=8)).sizes
