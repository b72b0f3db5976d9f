//! Numbers out of the first directory of a TIFF, which Exif is too.

/// The types of numbers that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Short,
    Long,
}

/// The order of the bytes, by what a file starts with.
#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

/// The first number of the entry `tag`, and how many numbers the entry has. Nothing where there is none of this type, and
/// nothing where the file is damaged.
pub(super) fn first(bytes: &[u8], tag: u16, number: Number) -> Option<(u32, u32)> {
    let order = match bytes.get(..4)? {
        b"II*\0" => Order::Little,
        b"MM\0*" => Order::Big,
        _ => return None,
    };
    let short = |at: usize| read(bytes, at).map(|two| order.short(two));
    let long = |at: usize| read(bytes, at).map(|four| order.long(four));
    let directory = usize::try_from(long(4)?).ok()?;
    let entries = usize::from(short(directory)?);
    let (kind, size) = match number {
        Number::Short => (3, 2),
        Number::Long => (4, 4),
    };
    let entry = |i: usize| directory.checked_add(2 + 12 * i);
    let at = (0..entries).map_while(entry).find(|&at| short(at) == Some(tag) && short(at + 2) == Some(kind))?;
    let count = long(at + 4).filter(|&count| count > 0)?;
    // What does not fit into the four bytes of the entry lies where they point.
    let fits = count <= 4 / size;
    let place = if fits { at + 8 } else { usize::try_from(long(at + 8)?).ok()? };
    let value = match number {
        Number::Short => u32::from(short(place)?),
        Number::Long => long(place)?,
    };
    Some((value, count))
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

impl Order {
    fn short(self, bytes: [u8; 2]) -> u16 {
        match self {
            Order::Little => u16::from_le_bytes(bytes),
            Order::Big => u16::from_be_bytes(bytes),
        }
    }

    fn long(self, bytes: [u8; 4]) -> u32 {
        match self {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LITTLE: &[u8] = b"II*\0\x08\0\0\0\x02\0\x12\x01\x04\0\x01\0\0\0\x06\0\0\0\x52\x01\x03\0\x03\0\0\0\x26\0\0\0\
        \0\0\0\0\x01\0\x02\0\0\0";
    const BIG: &[u8] = b"MM\0*\0\0\0\x08\0\x02\x01\x12\0\x04\0\0\0\x01\0\0\0\x06\x01\x52\0\x03\0\0\0\x02\0\x01\0\x02";

    #[test]
    fn numbers_are_found_in_both_orders_in_the_entry_and_elsewhere() {
        for (bytes, count) in [(LITTLE, 3), (BIG, 2)] {
            assert_eq!(first(bytes, 0x112, Number::Long), Some((6, 1)));
            assert_eq!(first(bytes, 0x112, Number::Short), None);
            assert_eq!(first(bytes, 338, Number::Short), Some((1, count)));
            assert_eq!(first(bytes, 339, Number::Short), None);
        }
    }

    #[test]
    fn damage_is_no_number() {
        for bytes in [LITTLE, BIG] {
            for end in 0..bytes.len() {
                let _ = first(&bytes[..end], 338, Number::Short);
                for value in [0, 0x7f, 0xff] {
                    let mut damaged = bytes.to_vec();
                    damaged[end..].iter_mut().take(4).for_each(|byte| *byte = value);
                    let _ = first(&damaged, 338, Number::Short);
                    let _ = first(&damaged, 0x112, Number::Long);
                }
            }
            assert_eq!(first(&bytes[..20], 338, Number::Short), None);
        }
        assert_eq!(first(b"II+\0\x08\0\0\0", 338, Number::Short), None);
        assert_eq!(first(b"II*\0\xff\xff\xff\xff", 338, Number::Short), None);
    }
}
