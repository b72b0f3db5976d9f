//! Samples against real pictures in the features of the classifier: what is the same is found the same, and what is not is told apart.

use std::ops::ControlFlow;

use burn::backend::Flex;
use sfumato_data::{Dataset, DatasetSpec, LoadOptions, LoadedDataset, load};
use sfumato_evaluate::{
    CompareOptions, Distances, Measured, SampleSet, Sets, compare,
    features::{FeatureError, Features, GREY_FEATURES, GREY_SHA256, GreyFeatures, extract},
};
use sfumato_model::Samples;

/// Some of the pictures of a data set.
struct Slice<'a> {
    of: &'a LoadedDataset,
    first: usize,
    len: usize,
}

impl Dataset for Slice<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn shape(&self) -> &[usize] {
        self.of.shape()
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        self.of.write(self.first + i, out);
    }
}

fn pictures() -> LoadedDataset {
    load(&DatasetSpec::FashionMnistMini, &LoadOptions::default()).unwrap()
}

fn features() -> GreyFeatures<Flex> {
    GreyFeatures::new(&Default::default()).unwrap()
}

fn measured(all: &LoadedDataset, samples: &dyn Dataset) -> Distances {
    let [train, test] = [(0, 2500), (4000, 1000)].map(|(first, len)| Slice { of: all, first, len });
    let sets = Sets { samples, test: &test, train: &train };
    let options = CompareOptions { seed: 1, reference: 1000 };
    compare(&features(), &sets, &options, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn figures(found: &Distances) -> Vec<(&'static str, Measured)> {
    vec![
        ("Fréchet distance", found.frechet),
        ("KID", found.kid),
        ("precision", found.precision),
        ("recall", found.recall),
        ("density", found.density),
        ("coverage", found.coverage),
        ("classes", found.class_distance.unwrap()),
        ("copies", found.copies),
        ("C_T", found.data_copying.unwrap()),
    ]
}

#[test]
fn two_sets_of_one_source_cannot_be_told_apart() {
    let all = pictures();
    let found = [5500, 7000].map(|first| measured(&all, &Slice { of: &all, first, len: 1000 }));
    for ((name, a), (_, b)) in figures(&found[0]).into_iter().zip(figures(&found[1])) {
        println!("{name}: {a:?} {b:?}");
        assert!(a.estimate.meets(&b.estimate), "{name}: {a:?} {b:?}");
        assert!(a.estimate.meets(&a.floor) && b.estimate.meets(&b.floor), "{name}: {a:?} {b:?}");
        assert_eq!((a.n, a.floor, b.floor_n), (1000, b.floor, if name == "C_T" { 500 } else { 1000 }));
    }
    assert_eq!((found[0].reference, found[0].train, found[0].features_dims), (1000, 2500, GREY_FEATURES));
}

#[test]
fn training_pictures_given_as_samples_are_called_memorised() {
    let all = pictures();
    let found = measured(&all, &Slice { of: &all, first: 500, len: 2000 });
    let (copies, copying) = (found.copies, found.data_copying.unwrap());
    println!("{copies:?} {copying:?}");
    assert!(copies.estimate.value > 0.99 && copies.floor.high < 0.05, "{copies:?}");
    assert!(copying.estimate.high < -10.0 && copying.floor.low < 0.0 && copying.floor.high > 0.0, "{copying:?}");
}

#[test]
fn noise_is_far_outside() {
    let all = pictures();
    // A fixed pattern without any structure.
    let noise = |i: usize| ((i * i % 65_521 * 40_503 + i * 7) % 65_536) as f32 / 32_768.0 - 1.0;
    let samples = Samples::new(&[1, 28, 28], (0..500 * 784).map(noise).collect());
    let found = measured(&all, &SampleSet(samples));
    for (name, figure) in figures(&found) {
        println!("{name}: {figure:?}");
    }
    assert!(found.frechet.estimate.low > 20.0 * found.frechet.floor.high);
    assert!(found.kid.estimate.low > 20.0 * found.kid.floor.high.abs());
    // Not the precision: one outlier among the real pictures can have a neighbourhood that is wide enough for all of the noise.
    assert!(found.coverage.estimate.high < 0.1 && found.density.estimate.high < found.density.floor.low);
    assert!(found.data_copying.is_none_or(|copying| copying.estimate.low > 5.0));
}

#[test]
fn the_classifier_is_the_one_that_is_named_and_knows_its_classes() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/grey-28.safetensors");
    assert_eq!(sfumato_files::file_sha256(file.as_ref()).unwrap(), GREY_SHA256);
    assert!(std::fs::metadata(file).unwrap().len() < 400_000);
    let all = pictures();
    let places: Vec<usize> = (0..1000).collect();
    let seen = extract(&features(), &all, &places, &mut |_| ControlFlow::Continue(())).unwrap();
    let right = places.iter().filter(|&&i| all.label(i) == Some(seen.classes[i])).count();
    // It was trained on these; the guide says how it does on others.
    assert!(right > 900, "{right} of 1000");
}

#[test]
fn features_do_not_depend_on_the_batch_and_a_stop_is_heard() {
    let all = pictures();
    let go_on = |_: usize| ControlFlow::Continue(());
    let together = extract(&features(), &all, &[3, 1, 4, 15, 9], &mut { go_on }).unwrap();
    let alone = extract(&features(), &all, &[4], &mut { go_on }).unwrap();
    for (a, b) in together.rows.row(2).iter().zip(alone.rows.row(0)) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    let stopped = extract(&features(), &all, &[1, 2], &mut |_| ControlFlow::Break(()));
    assert_eq!(stopped, Err(FeatureError::Stopped));
}

#[test]
fn what_the_features_are_not_for_is_said() {
    let error = features().check(&[3, 32, 32]).unwrap_err().to_string();
    assert!(
        error.contains("28×28 grey") && error.contains("[3, 32, 32]") && error.contains("inception:FILE.pth"),
        "{error}"
    );
    let mut values = vec![0.0; 20 * 784];
    values[3 * 784 + 5] = f32::NAN;
    let samples = SampleSet(Samples::new(&[1, 28, 28], values));
    let places: Vec<usize> = (0..20).collect();
    let error = extract(&features(), &samples, &places, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("row 3"), "{error}");
}
