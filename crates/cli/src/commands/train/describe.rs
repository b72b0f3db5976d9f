//! What is said of a run: at its start, what will happen; at its end, what can be done with it.

use std::time::Duration;

use anyhow::Result;
use sfumato_data::Dataset;
use sfumato_files::memory::shown;
use sfumato_kernels::Precision;
use sfumato_model::pipeline::AnyConfig;
use sfumato_nets::unet::DownBlockType;
use sfumato_train::{
    Ending, Outcome, RunDir, TrainConfig,
    config::{ExpectedMemory, TrainingConfig},
    ranks::{CommunicationTime, Ranks},
};

use super::{held_out::Parts, resume::to_sample_from};
use crate::args::MachineArgs;

/// The lines at the start.
pub(super) fn run(
    config: &TrainConfig,
    origin: &str,
    parts: &Parts<'_>,
    machine: &MachineArgs,
    dir: &RunDir,
    ranks: &dyn Ranks,
) -> Result<Vec<String>> {
    let (training, data) = (&config.training, parts.training());
    let steps = config.last_step();
    let examples = steps.saturating_mul(training.batch_size as u64);
    let epochs = examples as f64 / data.len() as f64;
    let epochs = if epochs < 10.0 { format!("{epochs:.1}") } else { format!("{epochs:.0}") };
    let shards = match training.shards {
        1 => String::new(),
        shards => format!(" in {shards} shards"),
    };
    let limit = match training.max_minutes {
        0.0 => "no time limit".to_owned(),
        minutes if training.is_planned() => format!("as planned for {minutes} minutes"),
        minutes => format!("{minutes} minutes at most (--minutes)"),
    };
    let threads = rayon::current_num_threads();
    let group = match ranks.size() {
        1 => String::new(),
        size => format!(" on each of {size} ranks"),
    };
    let precision = match (training.precision, config.network(data)?) {
        (Precision::F32, _) => String::new(),
        (other, AnyConfig::Mlp(_)) => format!(", in f32 (no convolutions for {})", other.name()),
        (other, _) => format!(", in {}", other.name()),
    };
    let mut lines = vec![
        format!("data       {}: {} examples of {:?}", data.name(), data.len(), data.shape()),
        format!("held out   {}", parts.describe(config)),
        format!("config     {origin}"),
        format!("network    {}", network(&config.network(data)?)),
        format!("classes    {}", classes(config, data)),
        format!("objective  {}", config.objective.describe(&config.diffusion)),
        format!("length     {steps} steps of {} examples{shards}, {epochs} epochs; {limit}", training.batch_size),
        format!(
            "machine    {}, {threads} {}{precision}{group}",
            machine.backend.name(),
            if threads == 1 { "thread" } else { "threads" },
        ),
        format!("run        {}", dir.root().display()),
    ];
    lines.extend(
        config
            .expected_memory(data)?
            .filter(|_| machine.backend.is_cpu())
            .map(|need| memory(need, training, sfumato_files::memory::limit() as f64)),
    );
    lines.extend(idle_ranks(training, ranks));
    Ok(lines)
}

/// What to say where some ranks have nothing to compute, or less than others.
fn idle_ranks(training: &TrainingConfig, ranks: &dyn Ranks) -> Option<String> {
    let (shards, size) = (training.shards, ranks.size());
    if shards < size {
        return Some(format!(
            "warning: a batch has {}, so that {} of {size} ranks have nothing to compute; --shards {} cuts it for all of them",
            if shards == 1 { "one shard".to_owned() } else { format!("{shards} shards") },
            size - shards,
            size.next_power_of_two(),
        ));
    }
    (!shards.is_multiple_of(size)).then(|| {
        format!(
            "note: {shards} shards are not a multiple of {size} ranks: some ranks wait for those that have one more"
        )
    })
}

/// How much memory is needed, of what there is; and what needs less where that is too little.
fn memory(need: ExpectedMemory, training: &TrainingConfig, there: f64) -> String {
    let (bytes, all) = (shown(need.bytes()), shown(there));
    if need.bytes() <= there {
        return format!("memory     up to about {bytes} of {all}");
    }
    let way_out = match need.most_at_a_time(there) {
        Some(most) => format!(
            "--batch-size {} would fit, and so would --shards {} with the same batch",
            most.saturating_mul(training.shards),
            training.batch_size.div_ceil(most).next_power_of_two()
        ),
        None => {
            "smaller images (--image-size), or fewer channels (--set model.channels=[…]) would take less".to_owned()
        }
    };
    format!("warning: the training may take about {bytes} of memory, and there are {all}: {way_out}")
}

fn network(config: &AnyConfig) -> String {
    let parameters = config.num_params();
    match config {
        AnyConfig::UNet(unet) => {
            let attention = unet.down_block_types.iter().enumerate();
            let attention = attention.filter(|(_, kind)| matches!(kind, DownBlockType::AttnDownBlock2D)).map(
                |(level, _)| match unet.sample_size {
                    Some(size) => {
                        let [height, width] = size.height_width();
                        format!("{}x{}", height >> level, width >> level)
                    }
                    None => format!("level {level}"),
                },
            );
            let attention = attention.collect::<Vec<_>>().join(", ");
            let attention = if attention.is_empty() { String::new() } else { format!(" at {attention} and") };
            format!(
                "U-Net, channels {:?}, attention{attention} in the middle, {parameters} parameters",
                unet.block_out_channels
            )
        }
        AnyConfig::Own(own) => format!("{}, {parameters} parameters", own.class_name),
        AnyConfig::Mlp(mlp) => {
            format!("MLP, {} layers of {}, {parameters} parameters", mlp.num_blocks, mlp.hidden_dim)
        }
    }
}

fn classes(config: &TrainConfig, data: &dyn Dataset) -> String {
    match (config.model.class_conditional(), data.classes()) {
        (true, Some(count)) => match config.data.label_dropout {
            None => format!("{count} are learned"),
            Some(0.0) => format!("{count} are learned, without guidance (data.label_dropout = 0)"),
            Some(chance) => format!("{count} are learned; of {chance} of the examples the class is not told"),
        },
        (false, Some(count)) if data.shape().len() == 3 => {
            format!("not learned; the data has {count}, which --class-conditional learns")
        }
        _ => "none".to_owned(),
    }
}

/// Says how the run ended and what can be done with it now.
pub(super) fn ending(outcome: &Outcome, dir: &RunDir) -> Result<()> {
    let root = dir.root().display();
    let (step, steps) = (outcome.state.step, outcome.last_step);
    match outcome.ending {
        Ending::Complete => say!("done: {step} steps in {:.0} s of training", outcome.state.seconds),
        Ending::TimeLimit => {
            say!("time is up at step {step} of {steps}; resume with: sfumato train --resume {root}");
        }
        Ending::Stopped => say!("stopped at step {step} of {steps}; resume with: sfumato train --resume {root}"),
    }
    if let Some(best) = outcome.best.as_ref().filter(|best| best.step < step) {
        say!(
            "the best score on held-out examples is that of step {}, not of the last: its model is {}",
            best.step,
            best.path.display()
        );
    }
    let model = to_sample_from(dir, &outcome.checkpoint);
    say!("sample with: sfumato sample --model {} --num 64 --out samples", model.display());
    out!("{root}")
}

/// Says what part of the time the ranks spent on each other.
pub(super) fn communication(ranks: &dyn Ranks, whole: Duration) {
    if ranks.is_alone() {
        return;
    }
    let CommunicationTime { waiting, exchange } = ranks.time();
    let share = |part: Duration| 100.0 * part.as_secs_f64() / whole.as_secs_f64().max(1e-9);
    say!(
        "ranks      {}: of {:.1} s rank 0 spent {:.1} % waiting for others and {:.1} % in the exchange of gradients",
        ranks.size(),
        whole.as_secs_f64(),
        share(waiting),
        share(exchange)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_names_a_batch_that_does() {
        let need = ExpectedMemory { fixed: 1e9, each: 1e8, at_a_time: 64 };
        let mut training = TrainingConfig { batch_size: 64, ..TrainingConfig::default() };
        assert_eq!(memory(need, &training, 8e9), "memory     up to about 7.4 GB of 8.0 GB");
        let said = memory(need, &training, 4e9);
        assert!(
            said.starts_with("warning: ") && said.contains("7.4 GB") && said.contains("there are 4.0 GB"),
            "{said}"
        );
        assert!(said.contains("--batch-size 30 would fit") && said.contains("--shards 4"), "{said}");
        assert!(memory(need, &training, 1e9).contains("--image-size"));
        (training.batch_size, training.shards) = (128, 2);
        let said = memory(need, &training, 4e9);
        assert!(said.contains("--batch-size 60 would fit") && said.contains("--shards 8"), "{said}");
    }
}
