//! `diffusers-round-trip`: models trained here, drawn by diffusers.

use super::super::figures::Figures;
use super::super::job::words;
use super::super::printed::{between, number};
use super::super::work::Work;
use crate::cargo::root;

/// Largest difference of a pixel in [-1, 1].
const TOLERANCE: f64 = 1e-3;

/// A model: its name, what it is, how it is trained, and how it is drawn from.
struct Case {
    name: &'static str,
    about: &'static str,
    training: &'static str,
    drawing: &'static str,
}

const CASES: [Case; 3] = [
    Case { name: "plain", about: "unconditional; linear, T = 1000, ε, small variance", training: "", drawing: "" },
    Case {
        name: "classes",
        about: "class-conditional, class 3; quadratic, T = 200, v, large variance",
        training: "--class-conditional --set model.channels=[32,64] --set model.attention=[false,true] \
                   --set diffusion.parameterization=v --set diffusion.variance=fixed-large \
                   --set diffusion.schedule={kind=\"quadratic\",steps=200}",
        drawing: "--class 3",
    },
    Case {
        name: "learned",
        about: "learned variance (`learned_range`); linear, T = 1000, ε",
        training: "--variance learned-range",
        drawing: "",
    },
];

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    figures.seed("training", 0);
    figures.seed("noise", 0);
    for case in &CASES {
        one(work, figures, case)?;
    }
    Ok(())
}

fn one(work: &Work, figures: &mut Figures, case: &Case) -> anyhow::Result<()> {
    let Case { name, about, training, drawing } = case;
    let run =
        work.train(&format!("round-trip-{name}"), [6, 300], &format!("--batch-size 32 --sample-every 0 {training}"))?;
    let exported = format!("exported-{name}");
    let export = work.sfumato(&exported, words(&format!("export --model {run}/model --out {exported}")));
    work.run(export.making(&exported))?;
    let script = root().join("docs/results/diffusers-round-trip.py").to_string_lossy().into_owned();
    let mut arguments = vec![script, "--sfumato".to_owned(), work.program.to_string_lossy().into_owned()];
    arguments.extend(words(&format!("--model {exported} {drawing}")));
    let python = [".venv-conformance", "conformance.txt"];
    let text = work.run(work.python(&format!("round-trip-{name}"), python, arguments)?)?;

    figures.tool("diffusers", between(&text, "diffusers ", ",")?);
    figures.tool("torch", between(&text, ", torch ", "\n")?);
    let after = |line: &str| between(&text, line, "\n");
    figures
        .at("pictures", about)
        .exact("parameters", "", number(between(&text, " of ", " parameters")?)?)
        .tolerance("largest difference", "", number(between(&text, "largest difference ", ",")?)?, TOLERANCE)
        .tolerance("mean difference", "", number(between(&text, ", mean ", "\n")?)?, TOLERANCE)
        .ratio("standard deviation of the pictures", "", number(between(&text, "deviation is ", ")")?)?)
        .word("weights written by diffusers", after("weights written by diffusers: ")?)
        .word("and exported again", after("and exported from there again: ")?);
    Ok(())
}
