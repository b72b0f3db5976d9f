//! Upsampling and convolution together: against a naive f64 reference of the two one after the other.

mod common;

use common::*;
use proptest::prelude::*;
use sfumato_cpu::winograd::{UpsampleConv3x3, upsample_conv3x3, upsample_conv3x3_backward};
use sfumato_cpu::*;

/// The sums of the 2×2 blocks of images of 2h × 2w pixels.
fn sums_of_blocks(x: &[f64], w: usize) -> Vec<f64> {
    let pairs = |row: &[f64]| row.chunks_exact(2).map(|pair| pair[0] + pair[1]).collect::<Vec<_>>();
    let rows = x.chunks_exact(4 * w).map(|rows| [pairs(&rows[..2 * w]), pairs(&rows[2 * w..])]);
    rows.flat_map(|[upper, lower]| upper.into_iter().zip(lower).map(|(u, l)| u + l).collect::<Vec<_>>()).collect()
}

fn check(s: &UpsampleConv3x3) {
    let deviation = 1.0 / (9.0 * s.c as f32).sqrt();
    let w: Vec<f32> = random(2, s.weight_len()).iter().map(|v| v * deviation).collect();
    let (x, bias) = (random(1, s.input_len()), random(3, s.k));
    let (dy, add) = (random(4, s.output_len()), random(5, s.input_len()));
    let general = Conv2d { n: s.n, c: s.c, k: s.k, h: 2 * s.h, w: 2 * s.w, side: 3, stride: 1, padding: [1; 4] };
    let mut upsampled = vec![0.0; 4 * x.len()];
    upsample_nearest_2x(s.h, s.w, &x, &mut upsampled);
    let (ww, dyw) = (wide(&w), wide(&dy));
    let want_y = conv(&general, &wide(&upsampled), &ww, Some(&wide(&bias)));
    let own_dx = sums_of_blocks(&conv_backward_input(&general, &dyw, &ww), s.w);
    let want_dx: Vec<f64> = own_dx.iter().zip(&add).map(|(dx, add)| dx + f64::from(*add)).collect();
    let (want_dw, want_db) = conv_backward_weight(&general, &wide(&upsampled), &dyw);
    on_every_isa(|isa| {
        let what = |name: &str| format!("{name} {isa:?} {s:?}");
        let y = guarded(s.output_len(), |y| upsample_conv3x3(s, &x, &w, Some(&bias), y));
        assert_close(&what("y"), &y, &want_y);
        let [mut dw, mut db] = [const { Vec::new() }; 2];
        let dx = guarded(s.input_len(), |dx| {
            dw = guarded(w.len(), |dw| {
                db = guarded(s.k, |db| {
                    upsample_conv3x3_backward(s, &x, &dy, &w, Some(&add), dx, dw, db);
                });
            });
        });
        assert_close(&what("dx"), &dx, &want_dx);
        assert_close(&what("dw"), &dw, &want_dw);
        assert_sums_close(&what("db"), &db, &want_db, &dyw);
        // Without what is optional
        let plain = guarded(s.output_len(), |y| upsample_conv3x3(s, &x, &w, None, y));
        assert_close(&what("plain y"), &plain, &conv(&general, &wide(&upsampled), &ww, None));
        let dx = guarded(s.input_len(), |dx| {
            upsample_conv3x3_backward(s, &x, &dy, &w, None, dx, &mut dw, &mut db);
        });
        assert_close(&what("plain dx"), &dx, &own_dx);
    });
}

#[test]
fn upsampled_convolutions_of_networks_are_right() {
    check(&UpsampleConv3x3 { n: 2, c: 64, k: 64, h: 7, w: 7 });
    check(&UpsampleConv3x3 { n: 3, c: 33, k: 40, h: 14, w: 14 });
    // Sums of the weight gradient that no core's cache holds, and several blocks of them
    check(&UpsampleConv3x3 { n: 2, c: 130, k: 150, h: 8, w: 8 });
}

#[test]
fn upsampled_images_of_any_size_are_right() {
    for (h, w) in [(1, 1), (1, 2), (3, 1), (2, 9), (5, 4), (4, 17)] {
        check(&UpsampleConv3x3 { n: 2, c: 5, k: 18, h, w });
        check(&UpsampleConv3x3 { n: 1, c: 17, k: 1, h, w });
    }
}

#[test]
fn empty_batches_have_no_gradient() {
    let s = UpsampleConv3x3 { n: 0, c: 3, k: 4, h: 5, w: 6 };
    let w = random(1, s.weight_len());
    upsample_conv3x3(&s, &[], &w, None, &mut []);
    let (mut dw, mut db) = (vec![1.0; w.len()], vec![1.0; 4]);
    upsample_conv3x3_backward(&s, &[], &[], &w, None, &mut [], &mut dw, &mut db);
    assert!(dw.iter().chain(&db).all(|d| *d == 0.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn upsampled_convolutions_of_any_size_are_right(
        n in 1usize..4, c in 1usize..40, k in 1usize..40, h in 1usize..10, w in 1usize..19,
    ) {
        check(&UpsampleConv3x3 { n, c, k, h, w });
    }
}
