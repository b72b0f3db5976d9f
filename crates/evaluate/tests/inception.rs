//! Inception-v3 agrees with `pytorch-fid` on weights and pictures that are formulas.

use burn::{
    backend::Flex,
    tensor::{Tensor, TensorData},
};
use serde_json::Value;
use sfumato_evaluate::{
    distances::{Rows, frechet_value},
    features::Features,
    inception::{INCEPTION_FEATURES, INCEPTION_SIDE, Inception, InceptionError, InceptionFeatures, to_inception},
};
use sfumato_nets::{
    SourceError,
    params::{Init, ParamSource},
};

#[path = "../../model/tests/common/formula.rs"]
#[allow(dead_code)]
mod formula;

use formula::uniform;

/// As `weight` of golden/make_inception.py.
#[derive(Default)]
struct Weights {
    names: Vec<String>,
}

impl ParamSource for Weights {
    fn values(&mut self, name: &str, shape: &[usize], _: Init) -> Vec<f32> {
        self.names.push(name.to_owned());
        let u = uniform(name, shape.iter().product());
        if shape.len() == 4 {
            let bound = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
            u.map(|u| (u * bound) as f32).collect()
        } else if name.ends_with("bn.weight") || name.ends_with("running_var") {
            u.map(|u| (1.0 + 0.3 * u) as f32).collect()
        } else {
            u.map(|u| (0.1 * u) as f32).collect()
        }
    }

    fn finish(&mut self) -> Result<(), SourceError> {
        Ok(())
    }
}

/// As `pictures` of golden/make_inception.py, in [-1, 1].
fn pictures(name: &str, shape: [usize; 3]) -> Vec<Vec<f32>> {
    let size: usize = shape.iter().product();
    let values: Vec<f64> = uniform(name, 3 * size).collect();
    let picture = |(p, u): (usize, &[f64])| {
        let p = p as f64;
        let byte = |u: &f64| (((u + 1.0) / 2.0 * (60.0 + 35.0 * p)).floor() + 10.0 * p).min(255.0);
        u.iter().map(|u| (byte(u) / 127.5 - 1.0) as f32).collect()
    };
    values.chunks_exact(size).enumerate().map(picture).collect()
}

#[test]
fn features_and_fid_agree_with_pytorch_fid() {
    let device = Default::default();
    let mut weights = Weights::default();
    let net = Inception::<Flex>::build(&mut weights, &device).unwrap();
    assert_eq!(weights.names.len(), 94 * 5, "94 convolutions with their norms");
    let sets = [pictures("grey", [1, 28, 28]), pictures("rgb", [3, 32, 45])];
    let mut seen = Vec::new();
    for (set, shape) in sets.iter().zip([[1, 28, 28], [3, 32, 45]]) {
        let resized = set.iter().flat_map(|picture| to_inception(picture, shape)).collect();
        let data = TensorData::new(resized, [set.len(), 3, INCEPTION_SIDE, INCEPTION_SIDE]);
        let features = net.features(Tensor::from_data(data, &device));
        assert_eq!(features.dims(), [3, INCEPTION_FEATURES]);
        seen.push(features.into_data().into_vec::<f32>().unwrap());
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/inception.npy");
    let (shape, wanted) = sfumato_files::read_npy_f32(golden.as_ref()).unwrap();
    assert_eq!(shape, [6, INCEPTION_FEATURES]);
    let found = seen.concat();
    let largest = wanted.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let worst = found.iter().zip(&wanted).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
    println!("largest feature {largest}, largest difference {worst:e}");
    assert!(worst <= 1e-4 * largest.max(1.0), "largest feature {largest}, largest difference {worst:e}");

    let rows = |values: &[f32]| Rows::new(INCEPTION_FEATURES, values.iter().map(|&x| f64::from(x)).collect()).unwrap();
    let fid = frechet_value(&rows(&seen[0]), &rows(&seen[1])).unwrap();
    let golden: Value = serde_json::from_str(include_str!("golden/inception.json")).unwrap();
    let wanted = golden["fid"].as_f64().unwrap();
    println!("FID {fid} against {wanted}");
    assert!((fid - wanted).abs() <= 1e-3 * wanted.max(1.0), "{fid} against {wanted}");
}

#[test]
fn a_file_of_another_network_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    sfumato_model::tensor_file::write_tensors(&path, &[], &[]).unwrap();
    let error = InceptionFeatures::<Flex>::open(&path, &Default::default()).unwrap_err();
    assert!(matches!(error, InceptionError::Weights { .. }));
    assert!(error.to_string().contains("other.safetensors") && error.to_string().contains("pt_inception-2015-12-05"));
    let error = InceptionFeatures::<Flex>::open(&folder.path().join("none.pth"), &Default::default()).unwrap_err();
    assert!(error.to_string().contains("none.pth"), "{error}");
    fn _is_features<F: Features>() {}
    _is_features::<InceptionFeatures<Flex>>();
}
