//! Files as torch writes them, small ones: a state dict of `f32` tensors in either container.

/// Name, shape, values.
pub(crate) type Tensor = (String, Vec<usize>, Vec<f32>);

/// The pickle of an `OrderedDict` of contiguous tensors, each with a storage of its own, keyed by its number.
pub(crate) fn state_dict(tensors: &[Tensor], legacy: bool) -> Vec<u8> {
    let mut out = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(".to_vec();
    for (key, (name, shape, values)) in tensors.iter().enumerate() {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &key.to_string());
        text(&mut out, "cpu");
        integer(&mut out, values.len());
        if legacy {
            out.push(b'N');
        }
        out.extend(b"tQ");
        integer(&mut out, 0);
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        for list in [shape, &strides] {
            out.push(b'(');
            list.iter().for_each(|&n| integer(&mut out, n));
            out.push(b't');
        }
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u}");
    text(&mut out, "_metadata");
    out.extend(b"}sb.");
    out
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
    for (key, (_, _, values)) in tensors.iter().enumerate() {
        entries.push((format!("archive/data/{key}"), values.iter().flat_map(|value| value.to_le_bytes()).collect()));
    }
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
