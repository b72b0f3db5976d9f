//! The values that a pickle builds.

use std::borrow::Cow;

/// A value's place in [`Values`].
pub(super) type Id = usize;

/// One value. Containers hold places, not values: a pickle may share and even nest them in themselves, and here that costs
/// nothing and ends nowhere in recursion.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than eight bytes, little-endian.
    Long(Vec<u8>),
    Float(f64),
    Text(String),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, `module.name`; nothing of it is loaded.
    Global(String),
    /// What the pickle leaves to the container: a storage.
    Persistent(Id),
    /// An object of a class that is of no interest: a random state, a path, a table of settings. Nothing of it is kept.
    Opaque(String),
    /// A tensor, by the arguments of `_rebuild_tensor`.
    Tensor(TensorArguments),
}

/// A view of a storage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TensorArguments {
    /// The storage's place.
    pub(super) storage: Id,
    /// First element.
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    /// Distance in elements between neighbours along each axis.
    pub(super) strides: Vec<u64>,
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<Value>);

impl Values {
    pub(super) fn add(&mut self, value: Value) -> Id {
        self.0.push(value);
        self.0.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        &self.0[id]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Value {
        &mut self.0[id]
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer that is not negative.
    pub(super) fn count(&self, id: Id) -> Option<u64> {
        match self.get(id) {
            Value::Int(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// A tuple of integers that are not negative.
    pub(super) fn counts(&self, id: Id) -> Option<Vec<u64>> {
        self.tuple(id)?.iter().map(|&id| self.count(id)).collect()
    }

    /// What a value is, in words.
    pub(super) fn describe(&self, id: Id) -> Cow<'static, str> {
        let text = match self.get(id) {
            Value::Opaque(class) => return format!("an object of class {class}").into(),
            Value::None => "None",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Long(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Tuple(_) => "a tuple",
            Value::Dict(_) => "a dictionary",
            Value::Global(_) => "a class or function",
            Value::Persistent(_) => "a storage",
            Value::Tensor(_) => "a tensor",
        };
        text.into()
    }
}
