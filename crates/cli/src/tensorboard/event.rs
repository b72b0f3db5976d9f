//! The messages of TensorBoard's `event.proto` and `summary.proto`, as far as they are written here.
//!
//! ```text
//! Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
//! Summary { repeated Value value = 1; }
//! Value   { string tag = 1; float simple_value = 2; Image image = 4; }
//! Image   { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded_image_string = 4; }
//! ```

/// The first event of a file.
pub(super) fn version(time: f64) -> Vec<u8> {
    let mut event = Message::default();
    event.double(1, time);
    event.bytes(3, b"brain.Event:2");
    event.0
}

/// Numbers of one step, with their tags.
pub(super) fn scalars(time: f64, step: i64, scalars: &[(String, f32)]) -> Vec<u8> {
    let value = |(tag, number): &(String, f32)| {
        let mut value = Message::default();
        value.bytes(1, tag.as_bytes());
        value.float(2, *number);
        value.0
    };
    summary(time, step, scalars.iter().map(value))
}

/// A picture of one step, as a PNG file.
pub(super) fn picture(time: f64, step: i64, tag: &str, [width, height]: [u32; 2], png: &[u8]) -> Vec<u8> {
    const RGB: u64 = 3;
    let mut image = Message::default();
    image.integer(1, height.into());
    image.integer(2, width.into());
    image.integer(3, RGB);
    image.bytes(4, png);
    let mut value = Message::default();
    value.bytes(1, tag.as_bytes());
    value.bytes(4, &image.0);
    summary(time, step, std::iter::once(value.0))
}

fn summary(time: f64, step: i64, values: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut summary = Message::default();
    values.for_each(|value| summary.bytes(1, &value));
    let mut event = Message::default();
    event.double(1, time);
    event.integer(2, step as u64);
    event.bytes(5, &summary.0);
    event.0
}

/// A message of protocol buffers.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// A field's number and how its value is written.
    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn integer(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_protocol_buffers() {
        let mut message = Message::default();
        message.integer(1, 300);
        message.bytes(2, b"testing");
        message.float(3, 1.0);
        assert_eq!(message.0, b"\x08\xac\x02\x12\x07testing\x1d\x00\x00\x80\x3f");
        assert_eq!(version(0.0), b"\x09\0\0\0\0\0\0\0\0\x1a\x0dbrain.Event:2");
    }
}
