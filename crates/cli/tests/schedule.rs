//! `sfumato schedule show`, `plot`, `compare` and `check`.

mod common;

use common::{fail, stderr, stdout, succeed, train_tiny};

#[test]
fn the_table_has_about_twenty_rows_and_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let table = stdout(&succeed(dir.path(), &["schedule", "show", "cosine"]));
    let rows: Vec<&str> =
        table.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())).collect();
    assert!((15..=25).contains(&rows.len()), "{table}");
    assert!(
        rows[0].trim_start().starts_with("1 ") && rows.last().unwrap().trim_start().starts_with("1000 "),
        "{table}"
    );
}

/// The linear schedule by its definition, with `alpha_bar` multiplied up in the test.
#[test]
fn csv_and_json_hold_every_step_to_the_last_digit() {
    let dir = tempfile::tempdir().unwrap();
    let csv = stdout(&succeed(dir.path(), &["schedule", "show", "linear", "--format", "csv"]));
    let json: serde_json::Value =
        serde_json::from_slice(&succeed(dir.path(), &["schedule", "show", "--format", "json"]).stdout).unwrap();
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    assert_eq!(csv.lines().count(), 1001);
    let names = [
        "t",
        "beta",
        "alpha",
        "alpha_bar",
        "one_minus_alpha_bar",
        "snr",
        "log_snr",
        "posterior_variance",
        "posterior_log_variance",
        "posterior_mean_x_0",
        "posterior_mean_x_t",
        "x_0_error_weight",
        "unit_variance_bound_term",
    ];
    assert_eq!(header, names);
    let mut alpha_bar = 1.0;
    for (i, line) in csv.lines().skip(1).enumerate() {
        let values: Vec<f64> = line.split(',').map(|value| value.parse().unwrap()).collect();
        let beta = 1e-4 + (0.02 - 1e-4) * i as f64 / 999.0;
        alpha_bar *= 1.0 - beta;
        assert_eq!(values[0], (i + 1) as f64);
        assert!((values[1] / beta - 1.0).abs() < 1e-12 && (values[3] / alpha_bar - 1.0).abs() < 1e-12, "{line}");
        // SNR(t-1) β_t / 2, the last column, from the tables alone.
        let before = alpha_bar / (1.0 - beta);
        if i > 0 {
            assert!((values[12] / (0.5 * beta * before / (1.0 - before)) - 1.0).abs() < 1e-9, "{line}");
        }
        for (name, value) in header.iter().zip(&values) {
            // JSON has no infinity.
            let read = if value.is_infinite() { None } else { Some(*value) };
            assert_eq!(json[i][name].as_f64(), read, "{name} at {}", i + 1);
        }
    }
}

#[test]
fn the_schedule_of_a_configuration_can_be_shown() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.toml"), "[diffusion.schedule]\nkind = \"explicit\"\nbetas = [0.25, 0.5]\n")
        .unwrap();
    let csv = stdout(&succeed(dir.path(), &["schedule", "show", "--config", "c.toml", "--format", "csv"]));
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[1].starts_with("1,0.25,0.75,0.75,") && lines[2].starts_with("2,0.5,0.5,0.375,"), "{csv}");
    assert_eq!(stdout(&succeed(dir.path(), &["schedule", "show", "c.toml", "--format", "csv"])), csv);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "set -o pipefail; {} schedule show linear --steps 20000 --format csv | head -1",
        env!("CARGO_BIN_EXE_sfumato")
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// `beta_t` and `alpha_bar_t` of the last step, as CSV has them.
fn last_row(dir: &std::path::Path, schedule: &str) -> String {
    let csv = stdout(&succeed(dir, &["schedule", "show", schedule, "--format", "csv"]));
    csv.lines().last().unwrap().to_owned()
}

#[test]
fn a_schedule_is_a_name_a_table_a_run_a_model_or_a_file_of_diffusers() {
    let dir = tempfile::tempdir().unwrap();
    let run =
        train_tiny(dir.path(), "x", &["--steps", "1", "--sample-every", "0", "--set", "diffusion.schedule.steps=300"]);
    let expected = last_row(dir.path(), "linear:300");
    std::fs::write(dir.path().join("s.toml"), "kind = \"linear\"\nsteps = 300\n").unwrap();
    let config = run.join("model/scheduler/scheduler_config.json");
    for path in [run.clone(), run.join("model"), run.join("config.toml"), config, dir.path().join("s.toml")] {
        assert_eq!(last_row(dir.path(), path.to_str().unwrap()), expected, "{}", path.display());
    }
}

#[test]
fn plots_are_svg_or_png_by_their_name_and_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let plot = |schedules: &[&str], out: &str| {
        let args: Vec<&str> = ["schedule", "plot"].iter().chain(schedules).chain(&["--out", out]).copied().collect();
        assert_eq!(stdout(&succeed(dir.path(), &args)).trim(), out);
        std::fs::read(dir.path().join(out)).unwrap()
    };
    let svg = plot(&["linear", "cosine", "notes-cosine"], "three.svg");
    assert_eq!(svg, plot(&["linear", "cosine", "notes-cosine"], "again.svg"));
    let text = String::from_utf8(svg).unwrap();
    // Five panels with three curves each, 1.8 wide, and a legend.
    assert_eq!(text.matches("stroke-width=\"1.8\"").count(), 15, "{text}");
    assert!(
        text.starts_with("<svg")
            && ["linear", "cosine", "notes-cosine"].iter().all(|n| text.contains(&format!(">{n}<")))
    );
    assert!(text.contains("step t") && !text.contains("NaN") && !text.contains("inf"), "{text}");
    assert!(text.len() < 60_000, "{} bytes", text.len());

    plot(&["linear:50", "linear:1000"], "lengths.SVG");
    assert!(std::fs::read_to_string(dir.path().join("lengths.SVG")).unwrap().contains("t / T"));

    plot(&["jensen-shannon"], "one.png");
    let image = image::open(dir.path().join("one.png")).unwrap().into_rgb8();
    assert_eq!((image.width(), image.height()), (1600, 1632));
    let blue = image.pixels().filter(|pixel| pixel.0 == [0, 114, 178]).count();
    assert!(blue > 5000, "{blue}");
}

#[test]
fn one_quantity_makes_one_panel() {
    let dir = tempfile::tempdir().unwrap();
    succeed(dir.path(), &["schedule", "plot", "explicit:0.5", "--quantity", "beta", "--out", "b.svg"]);
    let text = std::fs::read_to_string(dir.path().join("b.svg")).unwrap();
    assert!(text.contains("variance added by a step") && !text.contains("SNR"), "{text}");
}

/// Rows against numbers from the formulas: cosine has as much signal as noise near the middle of its chain.
#[test]
fn comparing_tells_the_ends_the_middle_and_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    let args =
        ["schedule", "compare", "linear", "constant:steps=3,beta=0.5", "--format", "json", "--mean-square", "0.5"];
    let rows: serde_json::Value = serde_json::from_slice(&succeed(dir.path(), &args).stdout).unwrap();
    let number = |row: usize, name: &str| rows[row][name].as_f64().unwrap();
    assert!((number(0, "alpha_bar_T") / 4.0358e-5 - 1.0).abs() < 1e-4, "{rows:#}");
    // Half the signal is gone where Σ ln(1 - β) = -ln 2, near t = sqrt(2 · 1000 ln 2 / 0.0199).
    assert!((number(0, "half_way") - 0.26).abs() < 0.005, "{rows:#}");
    assert_eq!((number(1, "half_way"), number(1, "alpha_bar_T"), number(1, "steps")), (2.0 / 3.0, 0.125, 3.0));
    // ½ (1/1 + 1/3) ½ nats, and ½ (1/8 (½ - 1) - ln(7/8)) nats.
    assert!((number(1, "unit_variance_bits_per_dim") * 2_f64.ln() - 1.0 / 3.0).abs() < 1e-12);
    assert!((number(1, "prior_bits_per_dim") * 2_f64.ln() - 0.5 * (-0.0625 - 0.875_f64.ln())).abs() < 1e-12);
    assert_eq!(rows[1]["findings"][0]["finding"], "prior-too-far");

    let table = stdout(&succeed(dir.path(), &["schedule", "compare", "linear", "cosine", "--plot", "both.svg"]));
    assert!(table.lines().nth(2).unwrap().starts_with("cosine ") && dir.path().join("both.svg").is_file(), "{table}");
    let csv = stdout(&succeed(dir.path(), &["schedule", "compare", "linear", "--format", "csv"]));
    assert!(csv.lines().nth(1).unwrap().starts_with("\"linear\",1000,0.0001,0.02,"), "{csv}");
}

#[test]
fn checking_names_what_is_wrong_and_fails_only_at_errors() {
    let dir = tempfile::tempdir().unwrap();
    let check = |args: &[&str]| stdout(&succeed(dir.path(), &[&["schedule", "check"], args].concat()));
    assert!(check(&["linear", "cosine"]).matches("nothing is wrong").count() == 2);
    let said = check(&["linear:100", "notes-cosine"]);
    assert!(
        said.contains("warning: x_T still holds") && said.contains("8 steps from 993 to 1000 do nothing"),
        "{said}"
    );
    // No signal at the end: impossible for epsilon, and no schedule at all here.
    assert!(fail(dir.path(), 1, &["schedule", "check", "explicit:0.5,1"]).contains("did not pass"));
    let output = common::run(dir.path(), &["schedule", "check", "explicit:0.5,1", "linear"]);
    let said = stdout(&output);
    assert!(said.contains("error: alpha_bar is 0 at step 2") && stderr(&output).contains("1 of 2 schedules"), "{said}");
    let said = stdout(&common::run(dir.path(), &["schedule", "check", "explicit:0.5,1", "--prediction", "v"]));
    assert!(said.contains("error: beta at step 2 is 1"), "{said}");
    // A variance below 0 makes the signal rise.
    let said = stdout(&common::run(dir.path(), &["schedule", "check", "explicit:0.5,-0.1"]));
    assert!(said.contains("the signal-to-noise ratio does not fall"), "{said}");
    fail(dir.path(), 1, &["schedule", "check", "linear:100", "--strict"]);
}

#[test]
fn checking_measures_the_data_and_prints_json() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["schedule", "check", "linear:100", "--dataset", "fashion-mnist-mini", "--json"];
    let verdicts: serde_json::Value = serde_json::from_slice(&succeed(dir.path(), &args).stdout).unwrap();
    let finding = &verdicts[0]["findings"][0];
    assert_eq!((finding["finding"].as_str(), finding["severity"].as_str()), (Some("prior-too-far"), Some("warning")));
    let mean_square = verdicts[0]["mean_square"].as_f64().unwrap();
    assert!((0.5..0.9).contains(&mean_square), "most pixels are black: {mean_square}");
    // ½ (ᾱ (m - 1) - ln(1 - ᾱ)) in bits.
    let alpha_bar = finding["alpha_bar"].as_f64().unwrap();
    let expected = 0.5 * (alpha_bar * (mean_square - 1.0) - (-alpha_bar).ln_1p()) / 2_f64.ln();
    assert!((finding["bits_per_dim"].as_f64().unwrap() / expected - 1.0).abs() < 1e-10, "{finding:#}");
}

#[test]
fn a_file_that_asks_for_zero_terminal_snr_is_checked_as_rescaled() {
    let dir = tempfile::tempdir().unwrap();
    let file = "{ \"_class_name\": \"DDPMScheduler\", \"prediction_type\": \"v_prediction\", \"rescale_betas_zero_snr\": true }";
    std::fs::write(dir.path().join("scheduler_config.json"), file).unwrap();
    let said = stdout(&succeed(dir.path(), &["schedule", "check", "scheduler_config.json"]));
    assert!(said.contains("zero terminal SNR") && said.contains("nothing is wrong"), "{said}");
    let alpha_bar: f64 = last_row(dir.path(), "scheduler_config.json").split(',').nth(3).unwrap().parse().unwrap();
    assert!(alpha_bar < 1e-16, "{alpha_bar}");
    fail(dir.path(), 1, &["schedule", "check", "scheduler_config.json", "--prediction", "epsilon"]);
}

#[test]
fn training_refuses_a_schedule_that_cannot_work() {
    let dir = tempfile::tempdir().unwrap();
    // The last beta is the largest below 1: no signal at all, and the noise is predicted.
    let schedule = "diffusion.schedule={ kind = \"explicit\", betas = [0.5, 0.9999999999999999] }";
    let args: Vec<&str> = ["train", "--steps", "1", "--out", "runs/x"]
        .iter()
        .chain(common::TINY)
        .chain(&["--set", schedule])
        .copied()
        .collect();
    let said = fail(dir.path(), 1, &args);
    assert!(said.contains("noise schedule: alpha_bar is 0 at step 2") && said.contains("predict v"), "{said}");
    assert!(!dir.path().join("runs/x").exists(), "nothing is written");
}

#[test]
fn training_warns_of_the_schedule_before_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let args: Vec<&str> = ["train", "--steps", "1", "--sample-every", "0", "--out", "runs/x"]
        .iter()
        .chain(common::TINY)
        .chain(&["--set", "diffusion.schedule.steps=50"])
        .copied()
        .collect();
    let said = stderr(&succeed(dir.path(), &args));
    assert!(said.contains("warning: noise schedule: x_T still holds"), "{said}");
}

#[test]
fn mistakes_are_named_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let (path, write) = (dir.path(), |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap());
    write("bad.toml", "kind = \"cosine\"\nstep = 3\n");
    write("bad.json", "{ \"betas\": [] }");
    std::fs::create_dir(path.join("empty")).unwrap();
    for (code, args, parts) in [
        (2, &["show", "sawtooth"][..], &["sawtooth", "cosine", "nor is there a file"][..]),
        (2, &["show", "linear:ten"], &["`ten`", "whole number"]),
        (2, &["plot", "linear", "--out", "x.pdf"], &["x.pdf", ".svg or .png"]),
        (2, &["plot", "linear"], &["--out"]),
        (2, &["compare"], &["SCHEDULE"]),
        (2, &["compare", "linear", "--plot", "x"], &[".svg or .png"]),
        (2, &["check", "linear", "--mean-square=-1"], &["--mean-square", "-1"]),
        (2, &["check", "explicit:0.1,0.2", "--steps", "3"], &["explicit", "3"]),
        (1, &["show", "explicit:0.5,1"], &["explicit:0.5,1", "step 2"]),
        (1, &["plot", "linear", "explicit:0.5,1", "--out", "x.svg"], &["explicit:0.5,1", "step 2"]),
        (1, &["plot", "linear", "--out", "no/such/x.svg"], &["no/such/x.svg"]),
        (1, &["show", "nowhere.toml"], &["nowhere.toml"]),
        (1, &["show", "bad.toml"], &["bad.toml", "step"]),
        (1, &["show", "bad.json"], &["bad.json", "scheduler_config.json"]),
        (1, &["show", "empty"], &["empty"]),
    ] {
        let said = fail(path, code, &[&["schedule"], args].concat());
        for part in parts {
            assert!(said.contains(part), "{args:?}: '{part}' is not in:\n{said}");
        }
        assert!(!path.join("x.svg").exists());
    }
}
