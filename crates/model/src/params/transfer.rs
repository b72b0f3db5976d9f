//! Parameters of one network from the weights of another, as far as they fit.

use std::collections::{BTreeMap, BTreeSet};

use sfumato_nets::{
    SourceError,
    params::{Init, ParamSource, RandomParams},
};

use super::{
    file::{WeightsMismatch, same_shape},
    names::old_names,
};
use crate::tensor_file::{Dtype, TensorFileError, WeightFiles};

/// Name and shape of a parameter that a network asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name, as diffusers would call it.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// Writes down what a network asks for, and gives no values: the network that is built so is of no use.
///
/// # Examples
/// ```
/// use burn::backend::Flex;
/// use sfumato_model::params::WantedParams;
/// use sfumato_nets::mlp::MlpConfig;
///
/// let mut wanted = WantedParams::default();
/// MlpConfig::default().build::<Flex>(&mut wanted, &Default::default())?;
/// assert_eq!((wanted.list[0].name.as_str(), &wanted.list[0].shape[..]), ("linear_in.weight", &[128, 2][..]));
/// # Ok::<(), sfumato_nets::NetError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct WantedParams {
    /// What was asked for, in this order.
    pub list: Vec<Wanted>,
}

impl ParamSource for WantedParams {
    fn values(&mut self, name: &str, shape: &[usize], _: Init) -> Vec<f32> {
        self.list.push(Wanted { name: name.to_owned(), shape: shape.to_vec() });
        Vec::new()
    }
}

/// One entry of a parameter's first dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// That entry of the stored tensor.
    Stored(usize),
    /// The mean of all entries of the stored tensor.
    Mean,
    /// As in a network that is new.
    New,
}

/// What a parameter starts with, where that is not simply the stored tensor of its name and shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Where the values come from.
    pub how: How,
    /// The same in words, for people.
    pub about: String,
}

/// Where the values of a parameter come from.
#[derive(Clone, Debug, PartialEq)]
pub enum How {
    /// Each entry of its first dimension by itself, from the stored tensor of its name; new if that has other dimensions behind the first.
    Rows(Vec<Row>),
    /// The stored tensor and a row of another one, which is as long.
    PlusRow {
        /// Name of the other tensor.
        table: String,
        /// The row.
        row: Row,
    },
    /// Zeros.
    Zeros,
    /// As in a network that is new, whatever is stored.
    New,
}

/// Which parameters of a network are taken from stored weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transfer {
    starts: BTreeMap<String, Start>,
    /// Parameters that are taken as they are, in the network's order.
    pub whole: Vec<String>,
    /// Parameters that a [`Rule`] makes of what is stored, and how.
    pub in_part: Vec<(String, String)>,
    /// Parameters that are new, and why.
    pub new: Vec<(String, String)>,
    /// Stored tensors that no parameter has the name of.
    pub left_out: Vec<String>,
}

/// What a parameter is made of; names are those of stored tensors.
#[derive(Clone, Debug, PartialEq)]
enum Start {
    Whole(String),
    Rows(String, Vec<Row>),
    PlusRow(String, String, Row),
    Zeros,
}

impl Transfer {
    /// Compares what a network wants with what `files` hold. Names decide, also those of older files; a parameter whose stored tensor has
    /// another shape is new. `rules` say otherwise of single parameters, by name.
    pub fn new(files: &WeightFiles, wanted: &[Wanted], rules: &BTreeMap<String, Rule>) -> Self {
        let mut transfer = Self::default();
        let mut known = BTreeSet::new();
        for Wanted { name, shape } in wanted {
            let stored = stored_name(files, name);
            known.extend(stored.clone());
            let (start, about) = match (rules.get(name), stored) {
                (Some(Rule { how: How::New, about }), _) => Err(about.clone()),
                (Some(Rule { how: How::Zeros, about }), _) => Ok((Start::Zeros, about.clone())),
                (_, None) => Err("not there".to_owned()),
                (Some(Rule { how: How::Rows(rows), about }), Some(stored)) => {
                    by_rows(files, stored, shape, rows).map(|start| (start, about.clone()))
                }
                (Some(Rule { how: How::PlusRow { table, row }, about }), Some(stored)) => {
                    let table = stored_name(files, table);
                    known.extend(table.clone());
                    plus_row(files, stored, shape, table, *row).map(|start| (start, about.clone()))
                }
                (None, Some(stored)) => whole(files, stored, shape).map(|start| (start, String::new())),
            }
            .map_or_else(|why| (None, why), |(start, about)| (Some(start), about));
            match &start {
                None => transfer.new.push((name.clone(), about)),
                Some(Start::Whole(_)) => transfer.whole.push(name.clone()),
                Some(_) => transfer.in_part.push((name.clone(), about)),
            }
            transfer.starts.extend(start.map(|start| (name.clone(), start)));
        }
        transfer.left_out = files.names().filter(|&name| !known.contains(name)).map(str::to_owned).collect();
        transfer
    }

    /// Number of parameters of the network.
    pub fn wanted(&self) -> usize {
        self.whole.len() + self.in_part.len() + self.new.len()
    }

    /// Whether nothing that is stored is used.
    pub fn is_empty(&self) -> bool {
        self.starts.values().all(|start| *start == Start::Zeros)
    }
}

/// The name under which `files` hold a parameter.
fn stored_name(files: &WeightFiles, name: &str) -> Option<String> {
    let candidates = [vec![name.to_owned()], old_names(name)];
    candidates.into_iter().flatten().find(|name| files.info(name).is_some())
}

fn shape_of<'a>(files: &'a WeightFiles, stored: &str) -> &'a [usize] {
    files.info(stored).map_or(&[], |info| &info.shape)
}

fn other_shape(found: &[usize], expected: &[usize]) -> String {
    format!("{found:?} there, {expected:?} here")
}

fn whole(files: &WeightFiles, stored: String, shape: &[usize]) -> Result<Start, String> {
    let found = shape_of(files, &stored);
    if same_shape(found, shape) { Ok(Start::Whole(stored)) } else { Err(other_shape(found, shape)) }
}

fn by_rows(files: &WeightFiles, stored: String, shape: &[usize], rows: &[Row]) -> Result<Start, String> {
    let found = shape_of(files, &stored);
    let there = found.first().copied().unwrap_or(0);
    let fits = found.get(1..) == shape.get(1..)
        && shape.first() == Some(&rows.len())
        && there > 0
        && rows.iter().all(|row| !matches!(row, Row::Stored(i) if *i >= there));
    if !fits {
        return Err(other_shape(found, shape));
    }
    let in_order = |rows: &[Row]| rows.iter().enumerate().all(|(i, row)| *row == Row::Stored(i));
    Ok(if found == shape && in_order(rows) { Start::Whole(stored) } else { Start::Rows(stored, rows.to_vec()) })
}

fn plus_row(
    files: &WeightFiles,
    stored: String,
    shape: &[usize],
    table: Option<String>,
    row: Row,
) -> Result<Start, String> {
    let start = whole(files, stored.clone(), shape)?;
    let Some(table) = table else { return Ok(start) };
    let fits = matches!(shape_of(files, &table), [rows, length] if *rows > 0 && shape == [*length]);
    Ok(if fits { Start::PlusRow(stored, table, row) } else { start })
}

/// The parameters that a [`Transfer`] makes of stored weights; those that it leaves are drawn.
#[derive(Debug)]
pub struct TransferParams {
    files: WeightFiles,
    transfer: Transfer,
    drawn: RandomParams,
    mismatch: WeightsMismatch,
    failure: Option<TensorFileError>,
}

impl TransferParams {
    /// Those of `files`, else of `drawn`.
    pub fn new(files: WeightFiles, transfer: Transfer, drawn: RandomParams) -> Self {
        let mismatch = WeightsMismatch { path: files.path().into(), ..WeightsMismatch::default() };
        Self { files, transfer, drawn, mismatch, failure: None }
    }

    /// The stored tensor; nothing where it cannot be read, which is remembered.
    fn read(&mut self, stored: &str) -> Vec<f32> {
        if self.files.info(stored).is_some_and(|info| matches!(info.dtype, Dtype::Other(_))) {
            self.mismatch.not_float.push(stored.to_owned());
            return Vec::new();
        }
        match self.files.read(stored) {
            Ok(values) => {
                if !values.iter().all(|value| value.is_finite()) {
                    self.mismatch.not_finite.push(stored.to_owned());
                }
                values
            }
            Err(error) => {
                self.failure.get_or_insert(error);
                Vec::new()
            }
        }
    }
}

impl ParamSource for TransferParams {
    fn values(&mut self, name: &str, shape: &[usize], init: Init) -> Vec<f32> {
        match self.transfer.starts.get(name).cloned() {
            None => self.drawn.values(name, shape, init),
            Some(Start::Whole(stored)) => self.read(&stored),
            Some(Start::Zeros) => vec![0.0; shape.iter().product()],
            Some(Start::Rows(stored, rows)) => {
                let there = shape_of(&self.files, &stored).first().copied().unwrap_or(1);
                let values = self.read(&stored);
                let drawn = if rows.contains(&Row::New) { self.drawn.values(name, shape, init) } else { Vec::new() };
                let length = values.len() / there.max(1);
                rows.iter().enumerate().flat_map(|(i, row)| pick(&values, &drawn, length, i, *row)).collect()
            }
            Some(Start::PlusRow(stored, table, row)) => {
                let (mut values, table) = (self.read(&stored), self.read(&table));
                let length = values.len();
                let added = pick(&table, &[], length, 0, row);
                values.iter_mut().zip(added).for_each(|(value, added)| *value += added);
                values
            }
        }
    }

    fn finish(&mut self) -> Result<(), SourceError> {
        match self.failure.take() {
            Some(failure) => Err(failure.into()),
            None if self.mismatch.is_empty() => Ok(()),
            None => Err(self.mismatch.clone().into()),
        }
    }
}

/// Entry `i` of a parameter: `length` values of the stored ones, their mean, or drawn ones. Nothing where they could not be read.
fn pick(stored: &[f32], drawn: &[f32], length: usize, i: usize, row: Row) -> Vec<f32> {
    let entry = |values: &[f32], i: usize| values.get(i * length..(i + 1) * length).unwrap_or_default().to_vec();
    match row {
        Row::Stored(i) => entry(stored, i),
        Row::New => entry(drawn, i),
        Row::Mean => {
            let rows = stored.chunks_exact(length.max(1));
            let count = rows.len().max(1) as f64;
            let sums = rows.fold(vec![0.0; length], |mut sums: Vec<f64>, row| {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
                sums
            });
            sums.into_iter().map(|sum| (sum / count) as f32).collect()
        }
    }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
