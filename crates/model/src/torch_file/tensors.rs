//! From the values of a pickle to tensors and the storages that they look into.

use std::collections::BTreeMap;

use super::{
    PickleFault, nest,
    pickle::Pickle,
    value::{Id, TensorArguments, Value, Values},
};
use crate::tensor_file::Dtype;

/// Type, shape and place of a tensor in a file of `torch.save`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTensor {
    /// Element type.
    pub dtype: Dtype,
    /// Shape, as in torch.
    pub shape: Vec<usize>,
    /// Distance in elements between neighbours along each axis.
    pub(super) strides: Vec<u64>,
    /// First element in the storage.
    pub(super) offset: u64,
    /// The storage's key.
    pub(super) storage: String,
}

/// A run of numbers in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) dtype: Dtype,
    pub(super) elements: u64,
}

/// What a checkpoint's pickle describes.
#[derive(Debug, Default)]
pub(super) struct StateDict {
    pub(super) tensors: BTreeMap<String, StoredTensor>,
    /// All storages of the file, those of no tensor above among them.
    pub(super) storages: BTreeMap<String, Storage>,
    /// Choices that were made, a sentence each.
    pub(super) notes: Vec<String>,
}

/// Why a pickle describes no state dict.
#[derive(Debug)]
pub(super) enum StateFault {
    Pickle(PickleFault),
    NotAStateDict(String),
    Tensor { tensor: String, reason: String },
    Truncated { len: u64, expected: u64 },
}

impl From<PickleFault> for StateFault {
    fn from(fault: PickleFault) -> Self {
        Self::Pickle(fault)
    }
}

/// Names shown of a dictionary that is none of tensors.
const SHOWN: usize = 60;

impl StateDict {
    /// Reads the dictionary of tensors in `pickle`: the root, or the one that a training program keeps in it beside other things.
    /// `anchors` are tensors that the wanted network has.
    pub(super) fn new(pickle: &Pickle, anchors: &[&str]) -> Result<Self, StateFault> {
        let values = &pickle.values;
        let mut state = Self::default();
        let place = nest::find(values, pickle.root, anchors);
        state.notes.extend(place.note);
        let Value::Dict(entries) = values.get(place.dict) else {
            return Err(StateFault::NotAStateDict(format!("its root is {}", values.describe(place.dict))));
        };
        let holds_tensors = entries.iter().any(|&(_, value)| matches!(values.get(value), Value::Tensor(_)));
        for &(key, value) in entries {
            let Some(name) = values.text(key) else {
                return Err(StateFault::NotAStateDict(format!("one of its keys is {}", values.describe(key))));
            };
            let Value::Tensor(arguments) = values.get(value) else {
                if holds_tensors {
                    // Counters and settings that a module keeps beside its weights.
                    continue;
                }
                let found = format!("`{}` is {}", shorten(name), values.describe(value));
                return Err(StateFault::NotAStateDict(found));
            };
            let storage = state.storage(values, arguments.storage)?;
            let tensor = tensor(arguments, &storage, &state.storages[&storage])
                .map_err(|reason| StateFault::Tensor { tensor: shorten(name), reason })?;
            if state.tensors.insert(name.to_owned(), tensor).is_some() {
                return Err(StateFault::NotAStateDict(format!("`{}` occurs twice", shorten(name))));
            }
        }
        Ok(state)
    }

    /// Notes the storages of everything else in the file as well: where storages follow one another, all have to be known.
    pub(super) fn add_all_storages(&mut self, values: &Values) {
        for value in values.iter() {
            if let Value::Tensor(arguments) = value
                && let Some((key, storage)) = storage(values, arguments.storage)
            {
                self.storages.entry(key).or_insert(storage);
            }
        }
    }

    /// Notes the storage that the container is asked for at `id`; its key.
    fn storage(&mut self, values: &Values, id: Id) -> Result<String, PickleFault> {
        let (key, storage) = storage(values, id).ok_or(PickleFault::Malformed { what: "a storage" })?;
        match self.storages.get(&key) {
            Some(known) if *known != storage => {
                Err(PickleFault::Malformed { what: "a storage that is described twice" })
            }
            Some(_) => Ok(key),
            None => {
                self.storages.insert(key.clone(), storage);
                Ok(key)
            }
        }
    }
}

/// `("storage", class, key, location, elements)`, and in older files `None` for a view of another storage.
fn storage(values: &Values, id: Id) -> Option<(String, Storage)> {
    let Value::Persistent(id) = values.get(id) else { return None };
    let (&[kind, class, key, _location, elements], view) = values.tuple(*id)?.split_first_chunk()?;
    let Value::Global(class) = values.get(class) else { return None };
    let whole = view.iter().all(|&id| *values.get(id) == Value::None);
    if values.text(kind)? != "storage" || !whole {
        return None;
    }
    let dtype = match class.strip_prefix("torch.")? {
        "DoubleStorage" => Dtype::F64,
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "LongStorage" => Dtype::Other(8),
        "IntStorage" => Dtype::Other(4),
        "ShortStorage" => Dtype::Other(2),
        "CharStorage" | "ByteStorage" | "BoolStorage" => Dtype::Other(1),
        _ => return None,
    };
    let elements = values.count(elements)?;
    // So that sizes in bytes cannot overflow.
    elements.checked_mul(dtype.size() as u64)?;
    Some((values.text(key)?.to_owned(), Storage { dtype, elements }))
}

/// Checks a view against its storage.
fn tensor(arguments: &TensorArguments, key: &str, storage: &Storage) -> Result<StoredTensor, String> {
    let TensorArguments { offset, shape, strides, .. } = arguments;
    if shape.len() != strides.len() {
        return Err(format!("it has {} axes and {} strides", shape.len(), strides.len()));
    }
    let elements = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(*offset, |last, (&size, &stride)| last.checked_add(size.saturating_sub(1).checked_mul(stride)?));
    // A view may repeat numbers (stride 0); one that has more of them than its storage is no parameter.
    let fits = match (elements, last) {
        (Some(0), Some(_)) => *offset <= storage.elements,
        (Some(elements), Some(last)) => last < storage.elements && elements <= storage.elements,
        _ => false,
    };
    let sizes: Option<Vec<usize>> = shape.iter().map(|&size| usize::try_from(size).ok()).collect();
    match sizes.filter(|_| fits) {
        Some(sizes) => Ok(StoredTensor {
            dtype: storage.dtype,
            shape: sizes,
            strides: strides.clone(),
            offset: *offset,
            storage: key.to_owned(),
        }),
        None => Err(format!(
            "shape {shape:?} from element {offset} does not fit its storage of {} elements",
            storage.elements
        )),
    }
}

impl StoredTensor {
    /// Elements.
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the elements lie one after the other in row-major order.
    pub(super) fn is_contiguous(&self) -> bool {
        if self.len() == 0 {
            return true;
        }
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected *= size as u64;
            fits
        })
    }

    /// The place of every element, counted from the first, in row-major order.
    pub(super) fn places(&self) -> Vec<usize> {
        let mut places = vec![0];
        if self.len() == 0 {
            places.clear();
        }
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            let steps: Vec<usize> = (0..size).map(|i| i * stride as usize).collect();
            places = places.iter().flat_map(|&start| steps.iter().map(move |&step| start + step)).collect();
        }
        places
    }

    /// Elements from the first to the last that the tensor touches.
    pub(super) fn span(&self) -> usize {
        let reach = |(&size, &stride): (&usize, &u64)| size.saturating_sub(1) * stride as usize;
        if self.len() == 0 { 0 } else { 1 + self.shape.iter().zip(&self.strides).map(reach).sum::<usize>() }
    }
}

/// A name, cut where it would flood a message.
fn shorten(name: &str) -> String {
    name.chars().take(SHOWN).collect()
}
