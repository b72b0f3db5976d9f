use super::*;
use crate::mirror;

fn bytes(shape: &[usize], values: Vec<u8>) -> LoadedDataset {
    LoadedDataset::new("test".into(), Split::Train, shape.to_vec(), Values::U8(values.into()), None, Vec::new())
}

#[test]
fn every_byte_becomes_the_nearest_number_to_k_over_127_5_minus_1() {
    let data = bytes(&[1, 16, 16], (0..=255).collect());
    let mut out = [0.0f32; 256];
    data.write(0, &mut out);
    for (k, x) in out.iter().enumerate() {
        // The real number is (2k - 255)/255, which needs a single division.
        assert_eq!(*x, ((2.0 * k as f64 - 255.0) / 255.0) as f32, "byte {k}");
        assert_eq!(((x + 1.0) * 127.5).round() as usize, k);
    }
    assert_eq!((out[0], out[255]), (-1.0, 1.0));
}

#[test]
fn the_mean_square_is_that_of_the_values() {
    assert!((bytes(&[1, 1, 2], vec![0, 255, 0, 51]).mean_square() - (3.0 + 0.36) / 4.0).abs() < 1e-7);
    // Uniform levels: 1/3 and a little, since the outermost lie on the ends.
    let uniform = bytes(&[1, 16, 16], (0..=255).collect()).mean_square();
    assert!((uniform - (1.0 / 3.0) * 257.0 / 255.0).abs() < 1e-6, "{uniform}");
    let points = Values::F32(vec![1.0, -2.0].into());
    assert_eq!(LoadedDataset::new("p".into(), Split::Train, vec![2], points, None, Vec::new()).mean_square(), 2.5);
}

#[test]
fn flipping_mirrors_every_row_of_every_channel_and_leaves_points_alone() {
    let data = bytes(&[2, 2, 3], (0..12).map(|k| k * 20).collect());
    let (mut plain, mut flipped) = ([0.0; 12], [0.0; 12]);
    data.write(0, &mut plain);
    data.write(0, &mut flipped);
    mirror(data.shape(), &mut flipped);
    for row in 0..4 {
        for x in 0..3 {
            assert_eq!(flipped[row * 3 + x], plain[row * 3 + 2 - x]);
        }
    }
    let points = Values::F32(vec![1.0, 2.0, 3.0, 4.0].into());
    let points = LoadedDataset::new("p".into(), Split::Train, vec![2], points, None, Vec::new());
    let mut out = [0.0; 2];
    points.write(1, &mut out);
    mirror(points.shape(), &mut out);
    assert_eq!(out, [3.0, 4.0]);
    assert_eq!((points.len(), points.is_discrete()), (2, false));
}

#[test]
fn classes_are_renumbered_by_name_and_unknown_ones_refused() {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let data = |classes: &[&str]| {
        let values = Values::U8(vec![1, 2, 3].into());
        LoadedDataset::new("x".into(), Split::Test, vec![1, 1, 1], values, Some(vec![0, 1, 0]), names(classes))
    };
    let model = names(&["ant", "bee", "cat"]);
    let renumbered = data(&["bee", "cat"]).with_class_names(&model).unwrap();
    assert_eq!(renumbered.labels(), Some(&[1, 2, 1][..]));
    assert_eq!((renumbered.classes(), renumbered.sha256()), (Some(3), data(&["bee", "cat"]).sha256()));
    let message = data(&["bee", "dog"]).with_class_names(&model).unwrap_err().to_string();
    assert!(message.contains("dog") && message.contains("ant, bee, cat"), "{message}");
    assert!(data(&["bee", "ant"]).with_class_names(&[]).is_err());
}

#[test]
fn the_checksum_tells_values_shape_type_and_labels_apart() {
    let values = || Values::U8(vec![1, 2, 3, 4].into());
    let make = |shape: &[usize], values, labels| {
        LoadedDataset::new("x".into(), Split::Train, shape.to_vec(), values, labels, vec!["a".into()]).sha256
    };
    let sums = [
        make(&[1, 2, 2], values(), None),
        make(&[1, 1, 2], values(), None),
        make(&[1, 2, 2], values(), Some(vec![0])),
        make(&[1, 2, 2], Values::U8(vec![1, 2, 3, 5].into()), None),
        make(&[1, 2, 2], Values::F32(vec![1.0, 2.0, 3.0, 4.0].into()), None),
    ];
    for (i, a) in sums.iter().enumerate() {
        assert_eq!(a.len(), 64);
        assert!(sums[..i].iter().all(|b| b != a));
    }
    // Made with: printf 'sfumato data set, uint8, [1, 1, 2, 2], labels: no\n\x01\x02\x03\x04' | sha256sum
    assert_eq!(sums[0], "91aef0e4c38f7d08f109bcd2f8b8cb985cd818926ac1ccfac417324d91d6d3f5");
}

#[test]
fn a_part_keeps_the_numbers_and_the_order_of_its_examples() {
    let labels = Some((0..6).collect());
    let values = Values::U8((0..12).collect::<Vec<u8>>().into());
    let names = (0..6).map(|i| format!("{i}")).collect();
    let whole = LoadedDataset::new("test".into(), Split::Train, vec![1, 1, 2], values, labels, names);
    let part = whole.clone().with_part(vec![4, 1, 5]);
    assert_eq!((part.len(), part.part()), (6, Some(&[4, 1, 5][..])));
    assert_eq!((part.sha256(), part.classes()), (whole.sha256(), Some(6)));
    let read = |data: &LoadedDataset, i| {
        let mut out = [0.0; 2];
        data.write(i, &mut out);
        (out, data.label(i))
    };
    for i in [1, 4, 5] {
        assert_eq!(read(&part, i), read(&whole, i));
    }
    // A part of a part, of numbers too.
    let fewer = part.with_part(vec![5, 4]);
    assert_eq!((read(&fewer, 5), fewer.values().len()), (read(&whole, 5), 4));
    let points = Values::F32(vec![1.0, -2.0, 3.0].into());
    let points = LoadedDataset::new("p".into(), Split::Train, vec![1], points, None, Vec::new()).with_part(vec![2]);
    let mut out = [0.0];
    points.write(2, &mut out);
    assert_eq!(out, [3.0]);
}
