//! Safetensors output in the byte order of the reference implementation.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::Path,
};

use sfumato_files::write_durably;
use sfumato_nets::params::NamedTensor;

use super::{Precision, TensorFile, TensorFileError};

/// Name and shape of a tensor about to be written.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
}

/// Writes tensors as `F32` to a safetensors file, sorted by name, atomically.
///
/// The bytes depend on the tensors and `metadata` alone, and equal those of the reference implementation for the same
/// input (with at most one metadata entry: it does not sort them, this does).
///
/// # Errors
/// [`TensorFileError::BadTensor`] if a name occurs twice or values do not fill their shape, [`TensorFileError::Io`].
pub fn write_tensors(path: &Path, metadata: &[(&str, &str)], tensors: &[NamedTensor]) -> Result<(), TensorFileError> {
    let mut order: Vec<&NamedTensor> = tensors.iter().collect();
    order.sort_by(|a, b| a.name.cmp(&b.name));
    let layout: Vec<Layout> =
        order.iter().map(|tensor| Layout { name: tensor.name.clone(), shape: tensor.shape.clone() }).collect();
    let bad = order.iter().find(|tensor| tensor.values.len() != tensor.shape.iter().product::<usize>());
    if let Some(tensor) = bad {
        return Err(bad_tensor(path, &tensor.name, &tensor.shape, tensor.values.len()));
    }
    write_stream(path, metadata, Precision::F32, &layout, |index, sink| sink(&order[index].values))
}

/// All tensors of a safetensors file, sorted by name, as `f32`.
///
/// # Errors
/// [`TensorFileError`] as for [`TensorFile::open`] and [`TensorFile::read`].
pub fn read_tensors(path: &Path) -> Result<Vec<NamedTensor>, TensorFileError> {
    let mut file = TensorFile::open(path)?;
    let entries: Vec<_> = file.tensors().iter().map(|(name, info)| (name.clone(), info.shape.clone())).collect();
    entries.into_iter().map(|(name, shape)| Ok(NamedTensor { values: file.read(&name)?, name, shape })).collect()
}

/// Writes tensors that are produced one at a time, in the order of `layout`, which is sorted by name.
///
/// `produce(index, sink)` hands the values of tensor `index` to `sink`, once, with the length that its shape says.
pub(crate) fn write_stream(
    path: &Path,
    metadata: &[(&str, &str)],
    precision: Precision,
    layout: &[Layout],
    mut produce: impl FnMut(usize, &mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()>,
) -> Result<(), TensorFileError> {
    let mut names = BTreeSet::new();
    if let Some(twice) = layout.iter().find(|tensor| tensor.name == "__metadata__" || !names.insert(&tensor.name)) {
        return Err(bad_tensor(path, &twice.name, &twice.shape, twice.shape.iter().product()));
    }
    let header = header(metadata, precision, layout);
    write_durably(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        (0..layout.len()).try_for_each(|index| {
            produce(index, &mut |values| write_values(out, precision, &layout[index].name, values))
        })
    })
    .map_err(|source| TensorFileError::Io { path: path.into(), action: "write", source })
}

fn write_values(out: &mut dyn Write, precision: Precision, name: &str, values: &[f32]) -> io::Result<()> {
    /// Values encoded at once, so that the buffer stays in cache.
    const CHUNK: usize = 1024;
    let mut bytes = Vec::with_capacity(CHUNK * precision.size());
    for values in values.chunks(CHUNK) {
        bytes.clear();
        precision.encode(values, &mut bytes).map_err(|value| {
            let kind = precision.name();
            io::Error::other(format!("tensor `{name}` holds {value}, beyond the range of {kind}: choose BF16 or F32"))
        })?;
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// The JSON header, padded with spaces to a multiple of eight as the reference implementation does.
fn header(metadata: &[(&str, &str)], precision: Precision, layout: &[Layout]) -> String {
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut entries = Vec::with_capacity(layout.len() + 1);
    if !metadata.is_empty() {
        let mut pairs: Vec<String> =
            metadata.iter().map(|(key, value)| format!("{}:{}", quote(key), quote(value))).collect();
        pairs.sort();
        entries.push(format!("\"__metadata__\":{{{}}}", pairs.join(",")));
    }
    let mut begin = 0;
    for Layout { name, shape } in layout {
        let end = begin + precision.size() * shape.iter().product::<usize>();
        let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
        entries.push(format!(
            "{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{begin},{end}]}}",
            quote(name),
            precision.name(),
            sizes.join(",")
        ));
        begin = end;
    }
    let mut json = format!("{{{}}}", entries.join(","));
    json.extend(std::iter::repeat_n(' ', json.len().next_multiple_of(8) - json.len()));
    json
}

fn bad_tensor(path: &Path, name: &str, shape: &[usize], values: usize) -> TensorFileError {
    TensorFileError::BadTensor { path: path.into(), tensor: name.into(), shape: shape.into(), values }
}
