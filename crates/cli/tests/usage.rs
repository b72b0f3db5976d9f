//! Wrong numbers on the command line: each a sentence with the value and the range, and the usage of the command.

mod common;

use common::fail;

#[test]
fn numbers_out_of_range_are_answered_with_the_range() {
    let dir = tempfile::tempdir().unwrap();
    for (command, flag, value, expected) in [
        ("train", "--steps", "-5", "--steps must be at least 1 (found -5)"),
        ("train", "--steps", "0", "--steps must be at least 1 (found 0)"),
        ("train", "--steps", "many", "--steps must be a whole number, at least 1 (found many)"),
        ("train", "--batch-size", "-1", "--batch-size must be at least 1 (found -1)"),
        ("train", "--batch-size", "2.5", "--batch-size must be a whole number, at least 1 (found 2.5)"),
        ("train", "--learning-rate", "-1e-4", "--learning-rate must be a number above 0 (found -1e-4)"),
        ("train", "--learning-rate", "nan", "--learning-rate must be a number above 0 (found nan)"),
        ("train", "--learning-rate", "-inf", "--learning-rate must be a number above 0 (found -inf)"),
        ("train", "--minutes", "-1", "--minutes must be 0 or a number above it (found -1)"),
        ("train", "--max-minutes", "soon", "--minutes must be 0 or a number above it (found soon)"),
        ("train", "--seed", "-1", "--seed must be at least 0 (found -1)"),
        ("train", "--checkpoint-every", "0", "--checkpoint-every must be at least 1 (found 0)"),
        ("train", "--sample-every", "-3", "--sample-every must be at least 0 (found -3)"),
        ("train", "--image-size", "0", "--image-size must be"),
        ("train", "--gpu", "-1", "--gpu must be at least 0 (found -1)"),
        ("train", "--threads", "0", "--threads must be at least 1 (found 0)"),
        ("sample", "--num", "-4", "--num must be"),
        ("sample", "--seed", "-1", "--seed must be"),
        ("sample", "--seed", "first", "--seed must be"),
        ("sample", "--batch-size", "0", "--batch-size must be at least 1 (found 0)"),
        ("sample", "--threads", "many", "--threads must be a whole number, at least 1 (found many)"),
        ("eval", "--limit", "-1", "--limit must be"),
        ("eval", "--draws", "0", "--draws must be at least 1 (found 0)"),
        ("compare", "--limit", "0", "--limit must be at least 1 (found 0)"),
        ("compare", "--seed", "first", "--seed must be a whole number, at least 0 (found first)"),
        ("schedule show", "--every", "-2", "--every must be"),
        ("schedule show", "--steps", "x", "--steps must be a whole number"),
    ] {
        let args: Vec<&str> = command.split(' ').chain([flag, value]).collect();
        let said = fail(dir.path(), 2, &args);
        assert!(said.contains(expected), "{args:?}: '{expected}' is not in:\n{said}");
        assert!(
            said.contains(&format!("Usage: sfumato {command}")),
            "{args:?}: the command's usage is not in:\n{said}"
        );
        assert!(!said.contains("invalid digit") && !said.contains("unexpected argument"), "{said}");
    }
}

#[test]
fn usage_errors_show_the_usage_of_the_command() {
    let dir = tempfile::tempdir().unwrap();
    for (args, usage) in [
        (&["train", "--set", "optimizer"][..], "Usage: sfumato train"),
        (&["train", "--dataset", "toy:swiss-roll", "--class-conditional"], "Usage: sfumato train"),
        (&["train", "--gpu", "1"], "Usage: sfumato train"),
        (&["train", "--flip", "-5"], "Usage: sfumato train"),
        (&["schedule", "show", "sawtooth"], "Usage: sfumato schedule show"),
    ] {
        let said = fail(dir.path(), 2, args);
        assert!(said.contains(usage), "{args:?}: '{usage}' is not in:\n{said}");
    }
}

#[test]
fn a_gpu_is_not_asked_of_a_backend_that_has_none() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["train", "--gpu", "1"][..], &["train", "--gpu", "0", "--backend", "flex"]] {
        let said = fail(dir.path(), 2, args);
        assert!(
            said.contains("--gpu") && said.contains("'flex' computes on the CPU") && said.contains("cuda"),
            "{said}"
        );
    }
    assert!(!dir.path().join("runs").exists());
}

#[test]
fn a_backend_or_a_preset_that_does_not_exist_is_answered_with_the_likeliest() {
    let dir = tempfile::tempdir().unwrap();
    for (name, hint) in [
        ("cpu", "did you mean flex?"),
        ("gpu", "did you mean cuda (NVIDIA), metal (Apple)"),
        ("mps", "did you mean metal?"),
        ("cuad", "did you mean cuda?"),
        ("nd-array", "did you mean ndarray?"),
        ("tpu", "one of flex, ndarray, cuda, wgpu, vulkan, metal, rocm (found tpu)"),
    ] {
        let said = fail(dir.path(), 2, &["train", "--backend", name]);
        assert!(said.contains(hint) && said.contains("--backend must be one of"), "{said}");
    }
    for (name, hint) in [
        ("fashion_mnist", "did you mean 'fashion-mnist'?"),
        ("swissroll", "did you mean 'swiss-roll'?"),
        ("cifar10", "did you mean 'ddpm-cifar10'?"),
        ("imagenet", "no preset 'imagenet'. Presets: fashion-mnist-mini"),
    ] {
        let said = fail(dir.path(), 1, &["train", "--preset", name]);
        assert!(said.contains(hint), "{said}");
    }
    for (set, hint) in [
        ("optimizer.learning_rat=1", "did you mean optimizer.learning_rate?"),
        ("batch_size=4", "did you mean training.batch_size?"),
        ("training.steps=-5", "training.steps must be at least 1 (found -5)"),
        ("training.steps=0", "training.steps must be at least 1 (found 0)"),
        ("optimizer.learning_rate=-1.0", "optimizer.learning_rate must be a number above 0 (found -1)"),
        ("optimizer.decay=cosin", "did you mean 'cosine'?"),
    ] {
        let said = fail(dir.path(), 1, &["train", "--set", set, "--out", "runs/x"]);
        assert!(said.contains(hint), "{set}: {said}");
    }
    assert!(!dir.path().join("runs").exists());
}
