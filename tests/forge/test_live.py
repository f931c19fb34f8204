"""What a user of a fork does, over HTTP: each method, pictures before, during and after, a retrained file, a stop and a resume."""

PLAIN = "a photo of a cat"


def test_a_lora_shows_in_its_prompt_alone_and_a_retrained_one_at_once(fork, config):
    plain = fork.draw(PLAIN)
    run = fork.train(config("fork lora", sample={"prompts": [PLAIN], "every_n_steps": 1, "steps": 1}))
    assert len(run["samples"]) == 2
    assert fork.draw(PLAIN) == plain
    worn = fork.draw(f"{PLAIN} <lora:fork lora:1>")
    fork.train(config("fork lora", lora={"unet_lr": 0.1}))
    again = fork.draw(f"{PLAIN} <lora:fork lora:1>")
    assert len({plain, worn, again}) == 3 and fork.draw(PLAIN) == plain


def test_a_picture_during_a_run_and_after_dreambooth_is_as_before(fork, config):
    fork.train(config("fork worn"))
    plain, worn = fork.draw(PLAIN), fork.draw(f"{PLAIN} <lora:fork worn:1>")
    light = {"max_train_steps": 3, "optimizer": "Lion"}  # whose resume point takes least of the disk
    status, answer = fork.tune("/runs", config("fork dreambooth", method="dreambooth", train=light,
                                               dreambooth={"unet_lr": 1e-5, "text_encoder_lr": 0},
                                               save={"state_every_n_steps": 0}))
    assert status == 201, answer
    fork.until("fork dreambooth", lambda run: run["state"] == "training", 900)
    assert fork.draw(f"{PLAIN} <lora:fork worn:1>") == worn
    fork.until("fork dreambooth", lambda run: run["state"] == "finished", 1800)
    assert fork.draw(f"{PLAIN} <lora:fork worn:1>") == worn and fork.draw(PLAIN) == plain


def test_an_embedding_is_known_to_prompts_at_once(fork, config, images):
    fork.train(config("forkword", method="textual_inversion", textual_inversion={"lr": 0.05},
                      concepts=[{"images": str(images), "prompt": "a photo of [name]"}]))
    assert fork.draw("a photo of forkword") != fork.draw("a photo of forkworx")


def test_a_stopped_run_goes_on(fork, config):
    settings = config("fork stopped", train={"max_train_steps": 4})
    assert fork.tune("/runs", settings)[0] == 201
    fork.until("fork stopped", lambda run: run["state"] == "training" and run["step"] >= 1, 900)
    fork.order("/runs/fork stopped/stop?save=false")
    fork.until("fork stopped", lambda run: run["state"] == "stopped", 300)
    assert fork.order("/runs/fork stopped/resume")[0] == 200
    assert fork.until("fork stopped", lambda run: run["state"] == "finished", 900)["step"] == 4


def test_a_hypernetwork_is_refused_before_it_begins(fork, config):
    status, answer = fork.tune("/runs", config("fork hypernetwork", method="hypernetwork"))
    assert status == 422 and "draws without hypernetworks" in answer["detail"]
