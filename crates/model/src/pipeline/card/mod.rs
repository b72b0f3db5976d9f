//! `README.md` in a model's directory: what is said of a model to people, in the form of the Hugging Face Hub.

mod facts;
mod usage;

use std::{fmt::Write, path::Path};

use sfumato_files::{FileError, read_text, write_atomically};

use self::facts::{Scores, Trained};
use super::{AnyConfig, PipelineSpec};

/// Name of the file.
const FILE: &str = "README.md";
/// How a card of ours is told from the text of somebody else.
const MARK: &str = "<!-- This card was written by sfumato, and is replaced when the model is written again. Remove this line to keep a text of your own. -->";
/// Grid of samples beside the card.
const SAMPLES: &str = "samples.png";
/// Facts of provenance that are not said twice.
const SAID: [&str; 2] = ["dataset", "dataset_sha256"];

impl PipelineSpec {
    /// Writes `README.md` into the model's directory `dir`. What is known of the training and of scores is read from `source`, the
    /// checkpoint that the model comes from; it can be `dir` itself. A `README.md` of somebody else stays.
    ///
    /// # Errors
    /// [`FileError`] if it cannot be written.
    pub fn write_card(&self, dir: &Path, source: &Path) -> Result<(), FileError> {
        let path = dir.join(FILE);
        if path.exists() && !read_text(&path).is_ok_and(|text| text.contains(MARK)) {
            return Ok(());
        }
        write_atomically(&path, self.card(dir, source).as_bytes())
    }

    fn card(&self, dir: &Path, source: &Path) -> String {
        let mut card = self.head();
        let provenance = &self.facts.provenance;
        let data = provenance.get("dataset").and_then(|name| name.as_str()).map(escape);
        let of = data.map_or_else(String::new, |data| format!(", trained on {data}"));
        let _ = writeln!(card, "\n{MARK}\n\n# Diffusion model{of}\n");
        if dir.join(SAMPLES).is_file() {
            let _ = writeln!(card, "![Samples of this model]({SAMPLES})\n");
        }
        let trained = Trained::read(source);
        table(&mut card, "Model", &self.model_rows());
        table(&mut card, "Data and training", &self.training_rows(&trained));
        let scores = Scores::read(source);
        if !scores.rows.is_empty() {
            table(&mut card, "Scores", &scores.rows);
            card.push_str("Intervals are 95 %: the mean ± 1.96 standard errors over the examples.\n\n");
        }
        self.usage(&mut card);
        card
    }

    /// What the Hub reads. The licence is for the owner of the model to say.
    fn head(&self) -> String {
        let mut head = "---\n".to_owned();
        if matches!(self.config, AnyConfig::UNet(_)) {
            head.push_str("library_name: diffusers\npipeline_tag: unconditional-image-generation\n");
        }
        head.push_str("tags:\n- diffusion\n- ddpm\n- sfumato\n");
        if let Some(name) = self.facts.provenance.get("dataset").and_then(|name| name.as_str()).and_then(on_the_hub) {
            let _ = write!(head, "datasets:\n- {name}\n");
        }
        head + "---\n"
    }

    fn model_rows(&self) -> Vec<(String, String)> {
        let row = |name: &str, value: String| (name.to_owned(), value);
        let mut rows = vec![
            row("network", self.config.class_name().to_owned()),
            row("parameters", self.config.num_params().to_string()),
        ];
        rows.extend(self.config.example_shape().map(|shape| row("one sample", format!("{shape:?}"))));
        rows.push(row("noise schedule", self.scheduler.describe_schedule()));
        rows.push(row("predicts", format!("{:?}", self.scheduler.parameterization).to_lowercase()));
        rows.push(row("scheduler", self.scheduler.class_name.clone()));
        if !self.facts.class_names.is_empty() {
            rows.push(row("classes", self.facts.class_names.join(", ")));
        }
        rows
    }

    fn training_rows(&self, trained: &Trained) -> Vec<(String, String)> {
        let provenance = &self.facts.provenance;
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let of = |name: &str, key: &str| provenance.get(key).map(|value| (name.to_owned(), text(value)));
        let mut rows: Vec<_> =
            of("data set", "dataset").into_iter().chain(of("its SHA-256", "dataset_sha256")).collect();
        rows.extend(trained.rows.iter().cloned());
        let rest = provenance.iter().filter(|(key, _)| !SAID.contains(&key.as_str()));
        rows.extend(rest.map(|(key, value)| (key.replace('_', " "), text(value))));
        rows
    }

    fn usage(&self, card: &mut String) {
        card.push_str("## How to use it\n\nIn this directory, with Sfumato:\n\n");
        let _ = writeln!(card, "```sh\n{}\n```\n", self.sample_here("."));
        match self.sample_in_diffusers(".") {
            Some(code) => {
                let _ = writeln!(
                    card,
                    "With diffusers, in this directory, or with the name of a repository in place of `\".\"`:\n\n```python\n{code}```"
                );
            }
            None => card.push_str("This network is no class of diffusers, which cannot load it.\n"),
        }
    }
}

/// The name that a data set has on the Hub, where it has one.
fn on_the_hub(dataset: &str) -> Option<&'static str> {
    match dataset {
        "fashion-mnist" | "fashion-mnist-mini" => Some("zalando-datasets/fashion_mnist"),
        "mnist" => Some("ylecun/mnist"),
        "cifar10" => Some("uoft-cs/cifar10"),
        _ => None,
    }
}

fn table(card: &mut String, title: &str, rows: &[(String, String)]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(card, "## {title}\n\n| | |\n| --- | --- |");
    for (name, value) in rows {
        let _ = writeln!(card, "| {} | {} |", escape(name), escape(value));
    }
    card.push('\n');
}

/// Text that is neither markup nor the end of a table's cell.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '[' | ']' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;
    use sfumato_nets::unet::UNet2DConfig;

    use super::*;
    use crate::pipeline::{Facts, Scheduler};

    fn spec(dataset: &str) -> PipelineSpec {
        let config = AnyConfig::UNet(UNet2DConfig { sample_size: None, ..UNet2DConfig::default() });
        let provenance = json!({ "version": "0.1.0", "dataset": dataset, "dataset_sha256": "ab" });
        let facts = Facts { provenance: provenance.as_object().cloned().unwrap(), ..Facts::default() };
        PipelineSpec { config, scheduler: Scheduler::default(), facts }
    }

    #[test]
    fn the_head_is_what_the_hub_reads_and_a_card_can_be_renewed() {
        let dir = tempfile::tempdir().unwrap();
        let card = || fs::read_to_string(dir.path().join(FILE)).unwrap();
        spec("fashion-mnist-mini").write_card(dir.path(), dir.path()).unwrap();
        let head = "---\nlibrary_name: diffusers\npipeline_tag: unconditional-image-generation\ntags:\n- diffusion\n- ddpm\n- sfumato\n\
                    datasets:\n- zalando-datasets/fashion_mnist\n---\n";
        assert!(card().starts_with(head), "{}", card());
        assert!(card().contains("DDPMPipeline.from_pretrained(\".\")") && !card().contains("samples.png"));
        fs::write(dir.path().join(SAMPLES), "").unwrap();
        spec("folder:<b>|x").write_card(dir.path(), dir.path()).unwrap();
        assert!(card().contains("| data set | folder:&lt;b&gt;\\|x |") && !card().contains("datasets:"), "{}", card());
        assert!(card().contains("![Samples of this model](samples.png)"));
    }

    #[test]
    fn the_text_of_somebody_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "# Mine\n").unwrap();
        spec("mnist").write_card(dir.path(), dir.path()).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), "# Mine\n");
    }

    #[test]
    fn training_and_the_scores_of_these_very_weights_are_said() {
        let run = tempfile::tempdir().unwrap();
        let source = run.path().join("checkpoints/step-0000100");
        for folder in ["unet", "training"] {
            fs::create_dir_all(source.join(folder)).unwrap();
        }
        let weights = source.join("unet").join(crate::pipeline::WEIGHTS_FILE);
        fs::write(&weights, "weights").unwrap();
        fs::write(source.join("training/state.json"), r#"{"step":100,"examples":800,"seconds":90.0}"#).unwrap();
        fs::write(source.join("training/data.json"), r#"{"examples":64,"shape":[1,8,8]}"#).unwrap();
        fs::write(
            source.join("training/held_out.json"),
            r#"{"score":{"examples":64,"bits_per_dim":4.0,"standard_error":0.1},"on":{}}"#,
        )
        .unwrap();
        let score = |sha256: &str, bits: f64| {
            json!({ "dataset": "mnist", "split": "test", "examples": 200, "weights_sha256": sha256,
                "total": { "bits_per_dim": bits, "bits_per_dim_standard_error": 0.02 } })
        };
        let sha256 = sfumato_files::file_sha256(&weights).unwrap();
        fs::write(run.path().join("eval.json"), score(&sha256, 3.5).to_string()).unwrap();
        fs::write(run.path().join("old.json"), score("other", 9.5).to_string()).unwrap();
        let out = tempfile::tempdir().unwrap();
        spec("mnist").write_card(out.path(), &source).unwrap();
        let card = fs::read_to_string(out.path().join(FILE)).unwrap();
        assert!(card.contains("| steps | 100 |") && card.contains("| examples of the training data | 64 |"), "{card}");
        assert!(card.contains("64 examples that it was not trained on | 4.000 (3.804 to 4.196)"), "{card}");
        assert!(card.contains("3.5000 (3.4608 to 3.5392)") && !card.contains("9.5"), "{card}");
    }
}
