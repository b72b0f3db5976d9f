//! What becomes of the parameters whose shape the data decides: the table of classes, and the last layer.

use std::collections::BTreeMap;

use sfumato_model::{
    params::{How, Row, Rule},
    pipeline::{AnyConfig, Pipeline},
};
use sfumato_process::ModelVariance;

use crate::spec::ToldClasses;

/// Names shown in a sentence.
const SHOWN: usize = 5;
/// The table of classes.
const TABLE: &str = "class_embedding.weight";
/// A bias that every example gets where it would get its class.
const EVERYWHERE: &str = "time_embedding.linear_2.bias";

/// The rules for a network `target` that is told `told` and has `variance`.
pub(super) fn rules(
    source: &Pipeline,
    target: &AnyConfig,
    told: &ToldClasses,
    variance: ModelVariance,
) -> BTreeMap<String, Rule> {
    let mut rules = BTreeMap::new();
    if let (AnyConfig::UNet(_), AnyConfig::UNet(to)) = (&source.spec.config, target) {
        rules.extend(class_rule(source, to.num_classes(), told));
    }
    let last = match target {
        AnyConfig::UNet(_) => "conv_out",
        AnyConfig::Mlp(_) => "linear_out",
        AnyConfig::Own(_) => return rules,
    };
    if let Some(rule) = last_rule(source, target, variance) {
        rules.extend(["weight", "bias"].map(|part| (format!("{last}.{part}"), rule.clone())));
    }
    rules
}

/// Numbers in an example's first dimension, and of those in an answer.
fn channels(config: &AnyConfig) -> Option<[usize; 2]> {
    match config {
        AnyConfig::UNet(config) => Some([config.in_channels, config.out_channels]),
        AnyConfig::Mlp(config) => Some([config.data_dim, config.outputs()]),
        AnyConfig::Own(_) => None,
    }
}

fn last_rule(source: &Pipeline, target: &AnyConfig, variance: ModelVariance) -> Option<Rule> {
    let [in_there, out_there] = channels(&source.spec.config)?;
    let [channels, out] = channels(target)?;
    if in_there != channels {
        return Some(Rule { how: How::New, about: format!("channels: {in_there} there, {channels} here") });
    }
    let taken = (0..channels).map(Row::Stored);
    let rows = |new: usize| How::Rows(taken.clone().chain(std::iter::repeat_n(Row::New, new)).collect());
    let with_new = || Rule { how: rows(channels), about: "the prediction; the variance is new".into() };
    match (out_there, out) {
        (from, to) if from == channels && to == 2 * channels => Some(with_new()),
        (from, to) if from == 2 * channels && to == channels => {
            Some(Rule { how: rows(0), about: "the prediction, without the variance".into() })
        }
        // A variance that is learned in another way, or of whose meaning nothing is said.
        (from, to) if from == 2 * channels && to == from => {
            (source.spec.scheduler.variance.learned() != variance.learned()).then(with_new)
        }
        _ => None,
    }
}

fn class_rule(source: &Pipeline, classes: Option<usize>, told: &ToldClasses) -> Option<(String, Rule)> {
    let AnyConfig::UNet(from) = &source.spec.config else { return None };
    let null = source.spec.facts.null_class;
    let neutral = null.map_or(Row::Mean, Row::Stored);
    let of_any = if null.is_some() { "the class that stands for any" } else { "the mean of its classes" };
    match (from.num_classes(), classes) {
        (None, None) => None,
        (None, Some(_)) => {
            let about = "zeros, so that every class starts as the network without classes".into();
            Some((TABLE.into(), Rule { how: How::Zeros, about }))
        }
        (Some(_), None) => {
            let about = format!("with {of_any} added, as this run learns no classes");
            Some((EVERYWHERE.into(), Rule { how: How::PlusRow { table: TABLE.into(), row: neutral }, about }))
        }
        (Some(_), Some(classes)) => Some((TABLE.into(), table(source, classes, told, neutral, of_any))),
    }
}

/// The rows of a table of `classes` from another table.
fn table(source: &Pipeline, classes: usize, told: &ToldClasses, neutral: Row, of_any: &str) -> Rule {
    let here = classes - usize::from(told.null_class.is_some());
    let by_name = !source.spec.facts.class_names.is_empty() && told.names.len() == here;
    let as_many = source.named_classes() == Some(here);
    let known: Vec<Option<usize>> = (0..here)
        .map(|class| if by_name { source.class_by_name(&told.names[class]) } else { as_many.then_some(class) })
        .collect();
    let found: Vec<&str> =
        told.names.iter().zip(&known).filter(|(_, row)| row.is_some()).map(|(name, _)| &**name).collect();
    let taken = known.iter().flatten().count();
    let how = match (by_name, taken) {
        (true, 0) => "none of its classes has one of these names".to_owned(),
        (false, 0) => "names are not known, and it has another number of classes".to_owned(),
        (true, _) => format!("{taken} of {here} classes by their names ({})", listed(&found)),
        (false, _) => format!("{taken} of {here} classes by their numbers, as names are not known"),
    };
    let rest = if taken < here { format!("; the others start as {of_any}") } else { String::new() };
    let rows = known.iter().map(|class| class.map_or(neutral, Row::Stored));
    let rows = rows.chain(told.null_class.map(|_| neutral)).collect();
    Rule { how: How::Rows(rows), about: format!("{how}{rest}") }
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown}, …") } else { shown }
}
