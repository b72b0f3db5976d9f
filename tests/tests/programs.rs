//! The programs that others write: the examples of the crates do what they say.

use burn::tensor::ElementConversion;

#[path = "../../crates/model/examples/draw.rs"]
mod draw;
#[path = "../../crates/train/examples/own_data.rs"]
mod own_data;
#[path = "../../crates/nets/examples/own_loop.rs"]
mod own_loop;
#[path = "../../crates/model/examples/own_sampler.rs"]
mod own_sampler;
#[path = "../../crates/schedule/examples/snr.rs"]
mod snr;

#[test]
fn the_signal_to_noise_ratio_is_plotted() {
    let picture = snr::plot(50).unwrap();
    assert_eq!(picture.matches(',').count(), 50, "{picture}");
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>"));
    assert!(snr::plot(0).is_err());
}

#[test]
fn a_network_of_ones_own_learns_in_a_loop_of_ones_own() {
    let radius = own_loop::train(1500, 300).unwrap().square().sum_dim(1).sqrt();
    let (mean, deviation): (f64, f64) =
        (radius.clone().mean().into_scalar().elem(), radius.var(0).into_scalar().elem());
    // Points of a circle; a network that says nothing leaves the plane full of noise, of radius 1.25 and variance 0.43.
    assert!((mean - 1.0).abs() < 0.15 && deviation < 0.1, "radius {mean}, variance {deviation}");
}

#[test]
fn any_model_directory_is_sampled_by_programs_of_three_lines_and_by_samplers_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = own_data::train(&dir.path().join("bars"), 3).unwrap();
    assert_eq!(outcome.state.step, 3);

    // The run is a model; without classes too.
    let pictures = draw::draw(dir.path().join("bars").to_str().unwrap()).unwrap();
    assert_eq!((pictures.len(), pictures[0].len()), (16, 8 * 8 * 3));
    let again = draw::draw(outcome.checkpoint.to_str().unwrap()).unwrap();
    assert_eq!(pictures, again, "the same seed");
    assert!(pictures[0].chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]), "grey");

    let error = own_sampler::draw(dir.path().join("none").to_str().unwrap(), 2, 5).unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
    let classes = own_sampler::draw(outcome.checkpoint.to_str().unwrap(), 2, 5).unwrap_err().to_string();
    assert!(classes.contains("needs a class label"), "{classes}");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/model/tests/golden/cifar");
    let drawn = own_sampler::draw(golden, 2, 5).unwrap();
    assert!(drawn.dims()[0] == 2 && drawn.into_data().iter::<f64>().all(f64::is_finite));
}
