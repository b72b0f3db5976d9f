//! `bits-per-dim`: what `docs/results/bits-per-dim.md` says of the bound.

use anyhow::Context;

use super::super::figures::Figures;
use super::super::printed;
use super::super::scores::Scores;
use super::super::work::Work;
use super::rows;
use crate::cargo::root;

/// Steps of the chain whose terms are added up.
const STEPS: [(&str, [f64; 2]); 4] = [
    ("1, the decoder", [1.0, 1.0]),
    ("2 to 10", [2.0, 10.0]),
    ("11 to 100", [11.0, 100.0]),
    ("101 to 1000", [101.0, 1000.0]),
];

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let whole = rows::reference_bound(work, figures)?;
    rows::bound(figures, "test-split", "bits/dim", &whole)?;
    figures.at("test-split", "pictures").exact("bits/dim", "", whole.number("/examples")?);
    figures.at("test-split", "seconds").time("bits/dim", "", whole.number("/seconds")?);
    by_step(figures, &whole)?;
    figures.picture("fashion-mnist-terms.svg", "Terms of the bound by step", work.path("terms.svg"));
    strata(work, figures)?;
    decoders(work, figures)?;
    independent(work, figures)?;
    one_pixel(work, figures)
}

/// Where in the chain the bits are.
fn by_step(figures: &mut Figures, whole: &Scores) -> anyhow::Result<()> {
    let terms = whole.get("/terms")?.as_array().context("the terms are no list")?.len();
    for (name, [first, last]) in STEPS {
        let mut sum = 0.0;
        for place in 0..terms {
            let step = whole.number(&format!("/terms/{place}/step"))?;
            if (first..=last).contains(&step) {
                sum += whole.number(&format!("/terms/{place}/term/bits_per_dim"))?;
            }
        }
        // Three standard errors of the difference of two totals, about: the errors of sums are not in the result.
        let error = whole.bits("/total")?.standard_error;
        figures.at("by-step", name).tolerance("bits/dim", "", sum, 5.0 * error);
    }
    Ok(())
}

/// Every step, and one step in each stratum.
fn strata(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let (data, num) = (work.dataset()?, work.pick(2, 40));
    let ways = [("every step (`--stride 1`)", "--stride 1"), ("strata, ten draws (`--draws 10`)", "--draws 10")];
    for (place, (name, arguments)) in ways.into_iter().enumerate() {
        let scores = work.eval(
            &format!("strata-{place}"),
            &format!("--model runs/reference/model --dataset {data} --limit {num} --in-order --variance fixed-small {arguments}"),
        )?;
        figures.at("strata", name).exact("evaluations", "", scores.number("/evaluations")?).interval(
            "bits/dim",
            "",
            scores.bits("/total")?,
        );
    }
    Ok(())
}

/// The exact decoder and DDPM's approximation, with the same noise.
fn decoders(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let (data, num) = (work.dataset()?, work.pick(20, 500));
    for cdf in ["exact", "tanh"] {
        for variance in ["fixed-small", "fixed-large"] {
            let scores = work.eval(
                &format!("decoders-{cdf}-{variance}"),
                &format!("--model runs/reference/model --dataset {data} --limit {num} --in-order --variance {variance} --cdf {cdf}"),
            )?;
            let mut row = figures.at("decoders", cdf);
            if variance == "fixed-small" {
                row.interval("L_0", "bits/dim", scores.bits("/decoder_term")?);
            }
            row.interval(&format!("total, {variance}"), "bits/dim", scores.bits("/total")?);
        }
    }
    Ok(())
}

/// The golden model, whose bound numpy and PyTorch have computed in f64.
fn independent(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let golden = root().join("crates/cli/tests/golden/bits_per_dim");
    let expected = Scores::read(&golden.join("expected.json"))?;
    let shown = golden.display();
    for variance in ["fixed-small", "fixed-large"] {
        for cdf in ["tanh", "exact"] {
            let scores = work.eval(
                &format!("independent-{variance}-{cdf}"),
                &format!(
                    "--model {shown}/model --dataset npy:{shown}/images.npy --noise {shown}/noise.npy --stride 1 \
                     --variance {variance} --cdf {cdf}"
                ),
            )?;
            let key = variance.replace('-', "_");
            let reference = expected.number(&format!("/bits_per_dim/{key}~1{cdf}/total"))?;
            let found = scores.bits("/total")?.value;
            figures
                .at("independent", &format!("{variance}, {cdf}"))
                .exact("f64 reference", "", reference)
                .tolerance("`sfumato eval`", "", found, 1e-5)
                .tolerance("difference", "", found - reference, 1e-5);
        }
    }
    for tool in ["python", "numpy", "torch", "diffusers"] {
        figures.tool(&format!("{tool} (of the reference)"), expected.text(&format!("/versions/{tool}"))?);
    }
    Ok(())
}

/// One pixel by how far the mean is off.
fn one_pixel(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let text = work.run(work.example("likelihood_cdfs", "sfumato-schedule")?)?;
    let table = printed::table(&text)?;
    for row in &table.rows {
        let name = format!("{} levels off", row[0]);
        let mut place = figures.at("one-pixel", &name);
        for (column, cell) in table.head.iter().zip(row).skip(1) {
            // Four decimals are printed.
            place.tolerance(column, "", printed::number(cell)?, 1e-4);
        }
    }
    Ok(())
}
