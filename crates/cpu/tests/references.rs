//! The f64 references of the kernel tests against finite differences.

mod common;

use common::*;
use sfumato_cpu::{Conv2d, GroupNorm};

/// Step of the central differences; their error is about `STEP²`.
const STEP: f64 = 1e-5;

/// Compares `gradient` with central differences of `f` at every 7th coordinate of `x`.
#[track_caller]
fn check(x: &[f64], gradient: &[f64], f: impl Fn(&[f64]) -> f64) {
    for i in (0..x.len()).step_by(7) {
        let moved = |by: f64| {
            let mut x = x.to_vec();
            x[i] += by;
            f(&x)
        };
        let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        assert!((slope - gradient[i]).abs() < 1e-6 * (1.0 + slope.abs()), "{i}: {slope} and {}", gradient[i]);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn reference_gradients_of_convolutions_are_slopes() {
    for (stride, padding) in [(1, [1; 4]), (2, [0, 1, 2, 0])] {
        let s = Conv2d { n: 2, c: 2, k: 3, h: 5, w: 6, side: 3, stride, padding };
        let (x, w) = (wide(&random(1, s.input_len())), wide(&random(2, s.weight_len())));
        let (b, dy) = (wide(&random(3, s.k)), wide(&random(4, s.output_len())));
        let (dw, db) = conv_backward_weight(&s, &x, &dy);
        check(&x, &conv_backward_input(&s, &dy, &w), |x| dot(&conv(&s, x, &w, Some(&b)), &dy));
        check(&w, &dw, |w| dot(&conv(&s, &x, w, Some(&b)), &dy));
        check(&b, &db, |b| dot(&conv(&s, &x, &w, Some(b)), &dy));
    }
}

#[test]
fn reference_gradients_of_group_norm_are_slopes() {
    for silu in [false, true] {
        let s = GroupNorm { n: 2, c: 4, hw: 9, groups: 2, eps: 1e-5, silu };
        let (x, dy) = (wide(&random(1, 72)), wide(&random(2, 72)));
        let (scale, offset) = (wide(&random(3, 8)), wide(&random(4, 8)));
        let (dx, d_scale, d_offset) = group_norm_backward(&s, &x, &scale, &offset, &dy);
        check(&x, &dx, |x| dot(&group_norm(&s, x, &scale, &offset), &dy));
        check(&scale, &d_scale, |scale| dot(&group_norm(&s, &x, scale, &offset), &dy));
        check(&offset, &d_offset, |offset| dot(&group_norm(&s, &x, &scale, offset), &dy));
    }
}

#[test]
fn reference_gradients_of_attention_are_slopes() {
    let sizes @ [n, m, d, d_v] = [4, 6, 3, 5];
    let (q, k) = (wide(&random(1, n * d)), wide(&random(2, m * d)));
    let (v, dy) = (wide(&random(3, m * d_v)), wide(&random(4, n * d_v)));
    let [_, dq, dk, dv] = attention_head(sizes, [&q, &k, &v], &dy);
    let value = |q: &[f64], k: &[f64], v: &[f64]| dot(&attention_head(sizes, [q, k, v], &dy)[0], &dy);
    check(&q, &dq, |q| value(q, &k, &v));
    check(&k, &dk, |k| value(&q, k, &v));
    check(&v, &dv, |v| value(&q, &k, v));
}
