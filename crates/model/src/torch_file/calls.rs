//! What a pickle calls: understood by name, never made.

use super::{
    PickleFault,
    pickle::{MAX_VALUES, Machine},
    value::{Id, TensorArguments, Value},
};

/// Classes and functions whose objects stand beside the tensors of a checkpoint: settings, random states, counters. None of them is
/// called; with a star, all names that begin so.
const BESIDE_TENSORS: [&str; 28] = [
    "_codecs.encode",
    "argparse.Namespace",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.object",
    "builtins.set",
    "__builtin__.object",
    "__builtin__.set",
    "collections.Counter",
    "collections.deque",
    "copy_reg._reconstructor",
    "copyreg._reconstructor",
    "datetime.*",
    "easydict.EasyDict",
    "lightning.*",
    "lightning_fabric.*",
    "ml_collections.*",
    "numpy.*",
    "omegaconf.*",
    "pathlib.*",
    "pytorch_lightning.*",
    "torch.Size",
    "torch.device",
    "torch.nn.*",
    "torch.optim.*",
    "torch.cuda.amp.*",
    "torch.amp.*",
    "types.SimpleNamespace",
];

impl Machine<'_> {
    /// Understands the call of `function` with a tuple of `arguments`: the whole list of what is understood.
    pub(super) fn call(&mut self, function: Id, arguments: Id) -> Result<(), PickleFault> {
        let Value::Global(name) = self.values.get(function) else {
            return Err(PickleFault::Malformed { what: "a call" });
        };
        let items = self.values.tuple(arguments).ok_or(PickleFault::Malformed { what: "the arguments of a call" })?;
        match (name.as_str(), items) {
            ("collections.OrderedDict" | "collections.defaultdict" | "builtins.dict" | "__builtin__.dict", _) => {
                let pairs = self.pairs(items);
                // Calls on one long list must not make more of it than the file has.
                self.copied += pairs.len();
                if self.copied > MAX_VALUES {
                    return Err(PickleFault::TooLarge { what: "values", limit: MAX_VALUES });
                }
                self.push(Value::Dict(pairs))
            }
            // (storage, offset, shape, strides), then whether it is trained and what hooks it has.
            (
                "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2",
                &[storage, offset, shape, strides, ..],
            ) => {
                let malformed = || PickleFault::Malformed { what: "a tensor" };
                let offset = self.values.count(offset).ok_or_else(malformed)?;
                let shape = self.values.counts(shape).ok_or_else(malformed)?;
                let strides = self.values.counts(strides).ok_or_else(malformed)?;
                self.push(Value::Tensor(TensorArguments { storage, offset, shape, strides }))
            }
            // (tensor, whether it is trained, hooks)
            ("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", &[tensor, ..]) => {
                self.stack.push(tensor);
                Ok(())
            }
            _ => self.object(function),
        }
    }

    /// An object that is left unmade, if its class is one of those that stand beside tensors in checkpoints.
    pub(super) fn object(&mut self, class: Id) -> Result<(), PickleFault> {
        let Value::Global(name) = self.values.get(class) else {
            return Err(PickleFault::Malformed { what: "the class of an object" });
        };
        let name = name.clone();
        let known = BESIDE_TENSORS.iter().any(|known| match known.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *known,
        });
        if known { self.push(Value::Opaque(name)) } else { Err(PickleFault::Call { name }) }
    }

    /// Keys and values of a dictionary that is made of a list of pairs.
    fn pairs(&self, arguments: &[Id]) -> Vec<(Id, Id)> {
        let items = |id: Id| match self.values.get(id) {
            Value::List(items) | Value::Tuple(items) => items.clone(),
            _ => Vec::new(),
        };
        let pairs = arguments.iter().flat_map(|&list| items(list)).map(items);
        pairs.filter_map(|pair| pair.as_array().map(|&[key, value]| (key, value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::pickle::{Pickle, read},
        *,
    };

    fn fault(bytes: &[u8]) -> String {
        read(bytes, 0).unwrap_err().to_string()
    }

    #[test]
    fn calls_of_anything_but_tensors_are_refused_by_name() {
        // What pickle.dumps makes of an object whose __reduce__ is (os.system, ("echo",)).
        let bytes = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00echoq\x01\x85q\x02Rq\x03.";
        assert!(fault(bytes).contains("calls posix.system, which is refused"), "{}", fault(bytes));
        // The same in protocol 4, by STACK_GLOBAL.
        let bytes = b"\x80\x04\x8c\x08builtins\x94\x8c\x04eval\x94\x93\x94\x8c\x011\x94\x85\x94R\x94.";
        assert!(fault(bytes).contains("calls builtins.eval"), "{}", fault(bytes));
        // INST and OBJ and NEWOBJ, which call too.
        assert!(fault(b"(ios\nsystem\n.").contains("instruction 0x69"));
        assert!(fault(b"(cos\nsystem\no.").contains("instruction 0x6f"));
        assert!(fault(b"cos\nsystem\n)\x81.").contains("calls os.system"));
        assert!(fault(b"cos\nsystem\n)}\x92.").contains("calls os.system"));
    }

    #[test]
    fn objects_beside_tensors_are_passed_over() {
        // A namespace with an attribute, the bytes of a random state, a set, and an OrderedDict made of pairs.
        let namespace = b"cargparse\nNamespace\n)\x81}X\x01\0\0\0aK\x01sb.";
        let Pickle { values, root, .. } = read(namespace, 0).unwrap();
        assert_eq!(values.describe(root), "an object of class argparse.Namespace");
        assert!(read(b"C\x02ab.", 0).is_ok() && read(b"\x8f(K\x01\x90.", 0).is_ok());
        let pairs = b"ccollections\nOrderedDict\n]]X\x01\0\0\0aaK\x01aa\x85R.";
        let Pickle { values, root, .. } = read(pairs, 0).unwrap();
        assert!(matches!(values.get(root), Value::Dict(entries) if entries.len() == 1));
        assert!(fault(b"B\xff\xff\xff\xffab.").contains("ends at byte"));
        assert!(fault(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffab.").contains("ends at byte"));
    }
}
