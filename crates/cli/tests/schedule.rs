//! `sfumato schedule show`

mod common;

use common::{stdout, succeed};

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
    let mut alpha_bar = 1.0;
    for (i, line) in csv.lines().skip(1).enumerate() {
        let values: Vec<f64> = line.split(',').map(|value| value.parse().unwrap()).collect();
        let beta = 1e-4 + (0.02 - 1e-4) * i as f64 / 999.0;
        alpha_bar *= 1.0 - beta;
        assert_eq!(values[0], (i + 1) as f64);
        assert!((values[1] / beta - 1.0).abs() < 1e-12 && (values[2] / alpha_bar - 1.0).abs() < 1e-12, "{line}");
        for (name, value) in header.iter().zip(&values) {
            assert_eq!(json[i][name].as_f64().unwrap(), *value, "{name} at {}", i + 1);
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
    assert!(lines[1].starts_with("1,0.25,0.75,") && lines[2].starts_with("2,0.5,0.375,"), "{csv}");
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
