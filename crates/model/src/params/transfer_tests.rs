use proptest::prelude::*;

use super::*;
use crate::tensor_file::{NamedTensor, write_tensors};

/// A file of tensors of these shapes, whose values count up.
fn files(shapes: &[(&str, &[usize])]) -> (tempfile::TempDir, WeightFiles) {
    let dir = tempfile::tempdir().unwrap();
    let mut next = 0.0;
    let mut count = || {
        next += 1.0;
        next
    };
    let tensor = |(name, shape): &(&str, &[usize])| NamedTensor {
        name: (*name).to_owned(),
        shape: shape.to_vec(),
        values: (0..shape.iter().product()).map(|_| count()).collect(),
    };
    let tensors: Vec<NamedTensor> = shapes.iter().map(tensor).collect();
    let path = dir.path().join("w.safetensors");
    write_tensors(&path, &[], &tensors).unwrap();
    let files = WeightFiles::open(&path).unwrap();
    (dir, files)
}

fn wanted(shapes: &[(&str, &[usize])]) -> Vec<Wanted> {
    shapes.iter().map(|(name, shape)| Wanted { name: (*name).into(), shape: shape.to_vec() }).collect()
}

fn rule(how: How) -> Rule {
    Rule { how, about: "so".into() }
}

#[test]
fn names_and_shapes_decide_and_rules_go_before() {
    let (_dir, files) = files(&[("a", &[2, 3]), ("b", &[4]), ("c", &[2]), ("table", &[2, 4]), ("gone", &[1])]);
    let wanted = wanted(&[("a", &[2, 3]), ("b", &[4]), ("c", &[3]), ("d", &[1]), ("z", &[2])]);
    let rules = BTreeMap::from([
        ("b".to_owned(), rule(How::PlusRow { table: "table".into(), row: Row::Stored(1) })),
        ("z".to_owned(), rule(How::Zeros)),
    ]);
    let transfer = Transfer::new(&files, &wanted, &rules);
    assert_eq!(transfer.whole, ["a"]);
    assert_eq!(transfer.in_part, [("b".to_owned(), "so".to_owned()), ("z".to_owned(), "so".to_owned())]);
    let new = [("c".to_owned(), "[2] there, [3] here".to_owned()), ("d".to_owned(), "not there".to_owned())];
    assert_eq!(transfer.new, new);
    assert_eq!(transfer.left_out, ["gone"]);
    assert_eq!((transfer.wanted(), transfer.is_empty()), (5, false));
    let mut params = TransferParams::new(files, transfer, RandomParams::new(7));
    let mut values = |name: &str, shape: &[usize]| params.values(name, shape, Init::FanIn(4));
    assert_eq!(values("a", &[2, 3]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    // 7..=10, and the second row of the table, 17..=20.
    assert_eq!(values("b", &[4]), [24.0, 26.0, 28.0, 30.0]);
    assert_eq!(values("z", &[2]), [0.0; 2]);
    let drawn = |name: &str, shape: &[usize]| RandomParams::new(7).values(name, shape, Init::FanIn(4));
    assert_eq!(values("c", &[3]), drawn("c", &[3]));
    assert_eq!(values("d", &[1]), drawn("d", &[1]));
    params.finish().unwrap();
}

#[test]
fn values_that_are_no_numbers_are_an_error_with_their_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    let bad = NamedTensor { name: "a".into(), shape: vec![2], values: vec![0.0, f32::NAN] };
    write_tensors(&path, &[], &[bad]).unwrap();
    let files = WeightFiles::open(&path).unwrap();
    let transfer = Transfer::new(&files, &wanted(&[("a", &[2])]), &BTreeMap::new());
    let mut params = TransferParams::new(files, transfer, RandomParams::new(0));
    params.values("a", &[2], Init::Zeros);
    let error = params.finish().unwrap_err().to_string();
    assert!(error.contains("1 not finite: a"), "{error}");
}

proptest! {
    /// Every entry of a parameter is the stored one, the mean or the drawn one that its rule names.
    #[test]
    fn rows_come_from_where_their_rule_says(
        there in 1_usize..6,
        length in 1_usize..5,
        picks in prop::collection::vec((0_usize..3, 0_usize..6), 1..8),
    ) {
        let (_dir, files) = files(&[("t", &[there, length])]);
        let row = |&(kind, i): &(usize, usize)| [Row::Stored(i % there), Row::Mean, Row::New][kind];
        let rows: Vec<Row> = picks.iter().map(row).collect();
        let shape = [rows.len(), length];
        let rules = BTreeMap::from([("t".to_owned(), rule(How::Rows(rows.clone())))]);
        let transfer = Transfer::new(&files, &wanted(&[("t", &shape)]), &rules);
        prop_assert_eq!(transfer.new.len(), 0);
        let found = TransferParams::new(files, transfer, RandomParams::new(3)).values("t", &shape, Init::Normal(1.0));
        let drawn = RandomParams::new(3).values("t", &shape, Init::Normal(1.0));
        for (i, (row, entry)) in rows.iter().zip(found.chunks(length)).enumerate() {
            for (j, value) in entry.iter().enumerate() {
                let expected = match row {
                    Row::Stored(i) => (1 + i * length + j) as f32,
                    Row::Mean => (0..there).map(|i| (1 + i * length + j) as f32).sum::<f32>() / there as f32,
                    Row::New => drawn[i * length + j],
                };
                prop_assert!((value - expected).abs() <= 1e-5 * expected.abs(), "{value} {expected}");
            }
        }
    }

    /// Rows of another length, too many of them, or more than there are: the parameter is new, and nothing panics.
    #[test]
    fn rules_that_do_not_fit_leave_a_parameter_new(there in 1_usize..4, length in 1_usize..4, rows in 1_usize..5, i in 0_usize..6) {
        let (_dir, files) = files(&[("t", &[there, 2])]);
        let rules = BTreeMap::from([("t".to_owned(), rule(How::Rows(vec![Row::Stored(i); rows])))]);
        let shape = [rows, length];
        let transfer = Transfer::new(&files, &wanted(&[("t", &shape)]), &rules);
        prop_assert_eq!(transfer.new.is_empty(), length == 2 && i < there);
        let mut params = TransferParams::new(files, transfer, RandomParams::new(3));
        prop_assert_eq!(params.values("t", &shape, Init::Normal(1.0)).len(), rows * length);
    }
}
