"""Textual inversion on a tiny model: what learns, what is written, and what is refused."""

import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib_sdtune import optim
from lib_sdtune.artefacts import embedding
from lib_sdtune.config import Config
from lib_sdtune.data.scan import scan
from lib_sdtune.errors import NameTaken, UserError
from lib_sdtune.methods import registry
from lib_sdtune.methods.textual_inversion import TextualInversion
from tests.formats.webui_rules import check_pt
from tests.hosts import bits, resumed, settings, train

KEYS, WIDTHS = ("emb_params",), (16,)


def config(images, prompt="", **changes):
    own = {"lr": 0.05} | changes.pop("textual_inversion", {})
    concepts = [{"images": str(images), "prompt": prompt}]
    return settings(images, method="textual_inversion", concepts=concepts, textual_inversion=own, **changes)


def method(host, **settings):
    return TextualInversion(Config.from_dict({"name": "zwx", "method": "textual_inversion", "concepts": [{"images": "x"}],
                                              "textual_inversion": settings}), host.model)


def table(host):
    return host.model.text_encoders[0].text_model.embeddings.token_embedding.weight


def read(host, name="ron.safetensors"):
    return embedding.read(host.folder("embeddings") / name, KEYS, WIDTHS)


def test_a_run_learns_a_word_and_nothing_else(host, images):
    before = bits(host.model)
    control = train(host, config(images, textual_inversion={"init_text": "cat", "num_vectors_per_token": 2}))
    assert control.snapshot()["state"] == "finished"
    assert list(load_file(host.folder("embeddings") / "ron.safetensors")) == ["emb_params"]
    cat = table(host)[host.model.tokenizer("cat")[0]]
    moved = (read(host) - cat).abs()
    assert moved.shape == (2, 16) and moved.min() > 0 and moved.max() > 0.05
    after = bits(host.model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert host.model.embeddings == {}
    assert [artefact.tag for artefact in host.published] == ["ron"]


def test_init_text_is_spread_over_the_vectors(host):
    cat, dog = (host.model.tokenizer(word)[0] for word in ("cat", "dog"))
    rows = method(host, init_text="cat dog", num_vectors_per_token=4).rows
    assert torch.equal(rows, table(host)[[cat, cat, dog, dog]])


def test_more_init_text_than_vectors_is_cut_with_a_note(host, caplog):
    caplog.set_level(logging.WARNING, "sdtune")
    rows = method(host, init_text="cat dog cat", num_vectors_per_token=2).rows
    assert torch.equal(rows, table(host)[host.model.tokenizer("cat dog")])
    assert '"textual_inversion.init_text" has 3 tokens and there are 2 vectors, so it was cut to the first 2.' in caplog.text


def test_a_note_reaches_who_watches_the_run(host, images):
    notes = train(host, config(images, textual_inversion={"init_text": "cat dog cat", "num_vectors_per_token": 2})).snapshot()["notes"]
    assert notes == ['"textual_inversion.init_text" has 3 tokens and there are 2 vectors, so it was cut to the first 2.']
    assert "notes" not in train(host, config(images, name="other")).snapshot()


def test_no_init_text_starts_at_zero(host):
    assert not method(host, init_text="", num_vectors_per_token=3).rows.any()


def test_a_word_that_people_type_is_warned_of(host, caplog):
    caplog.set_level(logging.WARNING, "sdtune")
    method(host)
    assert not caplog.text
    method(host, token="cat")
    assert '"cat" is a word that the model knows already' in caplog.text


def test_gradients_reach_the_rows_alone(host):
    ti = method(host, num_vectors_per_token=2)
    for _, part in host.model.modules():
        part.requires_grad_(False)
    with ti.attached():
        host.model.family.encode_text(host.model, ["a photo of zwx, and a cat"]).context.square().sum().backward()
    assert ti.rows.grad.abs().min() > 0
    assert all(p.grad is None for _, part in host.model.modules() for p in part.parameters())


def test_the_word_stands_in_longer_captions_and_beside_other_embeddings(host):
    host.model.embeddings["other"] = other = torch.ones(1, 16)
    ti, model = method(host, num_vectors_per_token=3), host.model
    encode = model.family.encode_text
    bare = encode(model, ["a cat, zwx, other"]).context
    with ti.attached():
        assert encode(model, ["cat " * 80 + "zwx and other"]).context.shape == (1, 154, 16)
        both = encode(model, ["a cat, zwx, other"]).context
        assert torch.equal(both, encode(model, ["a cat, ZWX, other"]).context)
        ti.rows.data += 1
        assert not torch.allclose(encode(model, ["a cat, zwx, other"]).context, both)
    assert torch.equal(encode(model, ["a cat, zwx, other"]).context, bare)
    assert model.embeddings == {"other": other}


def test_an_embedding_of_the_same_name_is_back_afterwards(host):
    host.model.embeddings["zwx"] = old = torch.ones(1, 16)
    ti = method(host)
    with pytest.raises(ZeroDivisionError), ti.attached():
        assert host.model.embeddings["zwx"] is ti.rows
        raise ZeroDivisionError
    assert host.model.embeddings["zwx"] is old


def test_another_token_is_what_captions_say(host, images):
    for number in range(3):
        (images / f"{number}.txt").write_text("a sks cat", encoding="utf-8")
    train(host, config(images, textual_inversion={"token": "sks", "init_text": "cat"}))
    assert not torch.equal(read(host), table(host)[host.model.tokenizer("cat")])


def test_pt_on_request_is_the_webuis(host, images):
    train(host, config(images, textual_inversion={"save_model_as": "pt"}, save={"every_n_steps": 4}))
    assert sorted(path.name for path in host.folder("embeddings").glob("*.pt")) == ["ron-step00000004.pt", "ron.pt"]
    check_pt(host.folder("embeddings") / "ron.pt")
    data = torch.load(host.folder("embeddings") / "ron.pt", weights_only=True)
    assert (data["name"], data["step"], data["sd_checkpoint"], data["sd_checkpoint_name"]) == ("ron", 6, "0" * 10, "tiny")


def test_vectors_never_decay(host):
    embedded = method(host, init_text="cat", num_vectors_per_token=2)
    before, (group,) = embedded.rows.detach().clone(), embedded.parameter_groups()
    optimizer = optim.make("AdamW", {"weight_decay": 0.5}, [{key: value for key, value in group.items() if key != "name"}])
    embedded.rows.grad = torch.zeros_like(embedded.rows)
    optimizer.step()
    assert torch.equal(embedded.rows, before)


def test_going_on_from_an_embedding(host, images):
    embedding.write(host.folder("embeddings") / "old.pt", torch.full((3, 16), 0.5), KEYS, WIDTHS, {}, "old", 100)
    train(host, config(images, textual_inversion={"init_embedding": "old", "lr": 1e-3}))
    assert (read(host) - 0.5).abs().max() < 0.02 and not torch.equal(read(host), torch.full((3, 16), 0.5))
    assert torch.equal(read(host, "old.pt"), torch.full((3, 16), 0.5))


def test_steps_are_counted_on_from_the_file(host, images):
    embedding.write(host.folder("embeddings") / "old.pt", torch.full((3, 16), 0.5), KEYS, WIDTHS, {}, "old", 100)
    train(host, config(images, textual_inversion={"init_embedding": "old", "save_model_as": "pt"}))
    assert embedding.steps(host.folder("embeddings") / "ron.pt") == 106
    embedding.write(host.folder("embeddings") / "plain.safetensors", torch.full((3, 16), 0.5), KEYS, WIDTHS, {})
    assert embedding.steps(host.folder("embeddings") / "plain.safetensors") == 0


def test_a_name_is_taken_whatever_the_ending(host, images):
    embedding.write(host.folder("embeddings") / "ron.pt", torch.full((1, 16), 0.5), KEYS, WIDTHS, {}, "ron")
    with pytest.raises(NameTaken, match=r"ron\.pt exists"):
        train(host, config(images))
    train(host, config(images, overwrite=True, textual_inversion={"init_embedding": "ron"}))
    assert sorted(path.name for path in host.folder("embeddings").iterdir()) == ["ron.json", "ron.safetensors"]


def test_norms_are_kept(host, images):
    train(host, config(images, textual_inversion={"preserve_norm": True, "num_vectors_per_token": 2, "init_text": "cat"}))
    usual = table(host).norm(dim=1).median()
    assert torch.allclose(read(host).norm(dim=1), usual.expand(2), rtol=1e-5)


def test_schedule_text_sets_the_rate(host, images):
    train(host, config(images, textual_inversion={"lr": "5e-3:2, 1e-3:4, 1e-4"}))
    lines = (host.folder("sdtune") / "runs/ron/log.csv").read_text().splitlines()
    column = lines[0].split(",").index("lr")
    assert [float(line.split(",")[column]) for line in lines[1:]] == [5e-3, 5e-3, 1e-3, 1e-3, 1e-4, 1e-4]


@pytest.mark.parametrize("changes", [{}, {"dataset": {"shuffle_caption": True, "caption_tag_dropout_rate": 0.5, "alpha_mask": True}}])
def test_stopping_and_resuming_gives_the_same_bytes(images, tmp_path, changes):
    whole, broken = resumed(tmp_path, config(images, **changes))
    assert torch.equal(read(whole), read(broken))


# prompts

def captions(host, images, prompt, **changes):
    from lib_sdtune.data.loader import Dataset

    settings = Config.from_dict(config(images, prompt, **changes))
    scanned = scan(settings.concepts, settings.dataset, settings.loss, host.data_dir, template_folders=[host.folder("templates")])
    TextualInversion.prepare_data(settings, scanned)
    TextualInversion.check_data(settings, scanned)
    dataset = Dataset(scanned, settings)
    return [example.caption for step in range(dataset.batches_per_epoch) for example in dataset.examples(step)]


def test_without_a_prompt_the_own_templates_say_the_word(host, images):
    spoken = captions(host, images, "")
    assert len(set(spoken)) > 5 and all("ron" in caption and "a cat, number" in caption for caption in spoken)
    for number in range(3):
        (images / f"{number}.txt").unlink()
    spoken = captions(host, images, "")
    assert len(set(spoken)) > 5 and all("ron" in caption and "number" not in caption for caption in spoken)


def test_captions_that_say_the_word_are_taken_as_they_are(host, images):
    for number in range(3):
        (images / f"{number}.txt").write_text(f"ron on picture {number}", encoding="utf-8")
    assert set(captions(host, images, "")) == {f"ron on picture {number}" for number in range(3)}


def test_the_hosts_templates_and_file_names_as_words(host, images):
    host.folder("templates").mkdir(parents=True)
    (host.folder("templates") / "mine.txt").write_text("one [name] by [filewords]\n\ntwo [name]\n", encoding="utf-8")
    for number in range(3):
        (images / f"{number}.txt").unlink()
        (images / f"{number}.png").rename(images / f"00{number}-a red fox {number}.png")
    assert set(captions(host, images, "mine.txt")) == {"two ron", *(f"one ron by a red fox {number}" for number in range(3))}


def test_a_prompt_may_be_a_template_itself(host, images):
    assert set(captions(host, images, "[name]: [filewords]")) == {f"ron: a cat, number {number}" for number in range(3)}


def test_a_prompt_that_says_the_word_goes_before_caption_files_that_never_do(host, images):
    assert set(captions(host, images, "a photo of ron")) == {"a photo of ron"}
    (images / "1.txt").write_text("ron on a picture", encoding="utf-8")
    assert set(captions(host, images, "a photo of ron")) == {"a cat, number 0", "ron on a picture", "a cat, number 2"}


def untouched(host):
    return not [path for path in host.data_dir.rglob("*") if path.is_file() and "runs" not in path.parts and "cache" not in path.parts]


@pytest.mark.parametrize(("changes", "says"), [
    ({"name": ""}, '"name" is empty'),
    ({"name": "../ron"}, '"name"'),
    ({"name": "a/b"}, '"name"'),
    ({"textual_inversion": {"num_vectors_per_token": 0}}, '"textual_inversion.num_vectors_per_token" is 0; the smallest value is 1.'),
    ({"textual_inversion": {"num_vectors_per_token": 76}}, '"textual_inversion.num_vectors_per_token" is 76; the largest value is 75.'),
    ({"prompt": "subjekt.txt"}, "There is no prompt template subjekt.txt .did you mean 'subject.txt'"),
    ({"prompt": "a photo of a cat"}, 'never say "ron"'),
    ({"prompt": "a [filewords]"}, 'never says .name.'),
    ({"textual_inversion": {"init_embedding": "nobody"}}, "There is no embedding called 'nobody'"),
    ({"textual_inversion": {"init_embedding": "../old"}}, "There is no embedding called"),
    ({"textual_inversion": {"save_model_as": "ckpt"}}, '"textual_inversion.save_model_as" is .ckpt.'),
])
def test_wrong_input_is_one_sentence_and_leaves_nothing(host, images, changes, says):
    with pytest.raises(UserError, match=says) as caught:
        train(host, config(images, **changes))
    assert "\n" not in str(caught.value) and untouched(host)


def test_a_template_that_wants_words_of_pictures_without_any(host, images):
    for number in range(3):
        (images / f"{number}.txt").unlink()
    with pytest.raises(UserError, match=r"in place of \[filewords\], and 0\.png has none; write them into 0\.txt beside it"):
        train(host, config(images, "subject_filewords.txt"))
    assert untouched(host)


def test_an_embedding_of_another_family(host, images):
    host.folder("embeddings").mkdir(parents=True)
    save_file({"emb_params": torch.zeros(1, 1024)}, host.folder("embeddings") / "sd2.safetensors")
    with pytest.raises(UserError, match="sd2.safetensors has vectors of width 1024 and this model's are 16 wide"):
        train(host, config(images, textual_inversion={"init_embedding": "sd2"}))
    assert [path.name for path in host.folder("embeddings").iterdir()] == ["sd2.safetensors"]


def test_a_pt_with_code_in_it(host, images):
    class Bomb:
        def __reduce__(self):
            return open, (str(host.data_dir / "ran"), "w")

    host.folder("embeddings").mkdir(parents=True)
    torch.save({"string_to_param": {"*": Bomb()}}, host.folder("embeddings") / "bad.pt")
    with pytest.raises(UserError, match=r"bad\.pt holds something other than numbers and text, perhaps code"):
        train(host, config(images, textual_inversion={"init_embedding": "bad"}))
    assert not (host.data_dir / "ran").exists() and not (host.folder("sdtune") / "runs" / "ron").exists()


def test_is_registered():
    assert registry["textual_inversion"] is TextualInversion
