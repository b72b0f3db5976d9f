//! Files as torch writes them, small ones: a state dict of `f32` tensors in either container.
#![allow(dead_code)] // each test binary uses its part

/// Name, shape, values.
pub(crate) type Tensor = (String, Vec<usize>, Vec<f32>);

/// The pickle of an `OrderedDict` of contiguous tensors, each with a storage of its own, keyed by its number.
pub(crate) fn state_dict(tensors: &[Tensor], legacy: bool) -> Vec<u8> {
    let mut out = b"\x80\x02".to_vec();
    ordered(&mut out, tensors, 0, legacy);
    out.push(b'.');
    out
}

/// The same within a dictionary of a trainer: a state dict under each name, and an epoch, as a zip archive.
pub(crate) fn nested(parts: &[(&str, &[Tensor])]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    text(&mut pickle, "epoch");
    pickle.extend(b"K\x03");
    // Settings, as an object that nothing here makes.
    text(&mut pickle, "args");
    pickle.extend(b"cargparse\nNamespace\n)\x81}X\x02\0\0\0lrG?\0\0\0\0\0\0\0sb");
    let mut first = 0;
    for (name, tensors) in parts {
        text(&mut pickle, name);
        ordered(&mut pickle, tensors, first, false);
        first += tensors.len();
    }
    pickle.extend(b"u.");
    let mut entries = vec![("archive/data.pkl".to_owned(), pickle)];
    let values = parts.iter().flat_map(|(_, tensors)| tensors.iter());
    entries.extend(values.enumerate().map(|(key, (_, _, values))| storage(key, values)));
    archive(&entries, false)
}

fn ordered(out: &mut Vec<u8>, tensors: &[Tensor], first: usize, legacy: bool) {
    out.extend(b"ccollections\nOrderedDict\n)R(");
    for (key, (name, shape, values)) in tensors.iter().enumerate() {
        text(out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(out, &(first + key).to_string());
        text(out, "cpu");
        integer(out, values.len());
        if legacy {
            out.push(b'N');
        }
        out.extend(b"tQ");
        integer(out, 0);
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        for list in [shape, &strides] {
            out.push(b'(');
            list.iter().for_each(|&n| integer(out, n));
            out.push(b't');
        }
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u}");
    text(out, "_metadata");
    out.extend(b"}sb");
}

fn storage(key: usize, values: &[f32]) -> (String, Vec<u8>) {
    (format!("archive/data/{key}"), values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// A checkpoint in the stream format from before torch 1.6, or in a zip archive.
pub(crate) fn checkpoint(tensors: &[Tensor], old: bool) -> Vec<u8> {
    if old { legacy(tensors) } else { zip(tensors) }
}

/// The file of `torch.save(…, _use_new_zipfile_serialization=False)`.
fn legacy(tensors: &[Tensor]) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec();
    out.extend(b"\x80\x02}q\x00X\r\x00\x00\x00little_endianq\x01\x88s.");
    out.extend(state_dict(tensors, true));
    out.extend(b"\x80\x02](");
    (0..tensors.len()).for_each(|key| text(&mut out, &key.to_string()));
    out.extend(b"e.");
    for (_, _, values) in tensors {
        out.extend((values.len() as u64).to_le_bytes());
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    out
}

/// The file of `torch.save`.
fn zip(tensors: &[Tensor]) -> Vec<u8> {
    let mut entries = vec![("archive/data.pkl".to_owned(), state_dict(tensors, false))];
    entries.push(("archive/byteorder".into(), b"little".to_vec()));
    entries.extend(tensors.iter().enumerate().map(|(key, (_, _, values))| storage(key, values)));
    archive(&entries, false)
}

/// A zip archive of stored entries; with `wide`, as archives of more than 4 GiB are written.
pub(crate) fn archive(entries: &[(String, Vec<u8>)], wide: bool) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let offset = out.len();
        let size = data.len();
        out.extend(b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        out.extend([(size as u32).to_le_bytes(), (size as u32).to_le_bytes()].concat());
        out.extend((name.len() as u16).to_le_bytes());
        out.extend(b"\x04\0");
        out.extend(name.as_bytes());
        out.extend(b"FB\0\0"); // torch pads with a field of its own
        out.extend(data);

        let extra: Vec<u8> = if wide {
            let fields = [size, size, offset].map(|field| (field as u64).to_le_bytes()).concat();
            [&b"\x01\0\x18\0"[..], &fields].concat()
        } else {
            Vec::new()
        };
        let narrow = |field: usize| if wide { u32::MAX } else { field as u32 }.to_le_bytes();
        directory.extend(b"PK\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        directory.extend([narrow(size), narrow(size)].concat());
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend((extra.len() as u16).to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(narrow(offset));
        directory.extend(name.as_bytes());
        directory.extend(extra);
    }
    let (start, size) = (out.len(), directory.len());
    out.extend(directory);
    if wide {
        let end = out.len() as u64;
        out.extend(b"PK\x06\x06");
        out.extend(44u64.to_le_bytes());
        out.extend([0; 12]);
        for field in [entries.len(), entries.len(), size, start] {
            out.extend((field as u64).to_le_bytes());
        }
        out.extend(b"PK\x06\x07\0\0\0\0");
        out.extend(end.to_le_bytes());
        out.extend(1u32.to_le_bytes());
    }
    let narrow = |field: usize| if wide { u32::MAX } else { field as u32 }.to_le_bytes();
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([(entries.len() as u16).to_le_bytes(), (entries.len() as u16).to_le_bytes()].concat());
    out.extend([narrow(size), narrow(start)].concat());
    out.extend(b"\0\0");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn integer(out: &mut Vec<u8>, value: usize) {
    out.push(b'J');
    out.extend((value as i32).to_le_bytes());
}
