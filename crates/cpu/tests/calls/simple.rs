//! Calls of products, and of what touches every value once.

use super::{Memory, optional};
use crate::common::ADAM;
use sfumato_cpu::*;

pub(crate) fn linear_maps(m: &impl Memory, [rows, d_in, d_out]: [usize; 3], s: [usize; 3]) {
    let (x, w) = (m.input(1, rows * d_in), m.input(2, d_out * d_in));
    let (bias, dy) = (m.input(3, d_out), m.input(4, rows * d_out));
    let (mut y, mut dx) = (m.output(rows * d_out), m.output(rows * d_in));
    let (mut dw, mut db) = (m.output(d_out * d_in), m.output(d_out));
    for given in [true, false] {
        m.call("linear", &s, || linear(s, &x, &w, optional(given, &bias), &mut y));
        m.call("fresh::linear", &s, || fresh::linear(s, &x, &w, optional(given, &bias)));
    }
    m.call("linear_backward_input", &s, || linear_backward_input(s, &dy, &w, &mut dx));
    m.call("linear_backward_weight", &s, || linear_backward_weight(s, &x, &dy, &mut dw));
    m.call("fresh::linear_backward_input", &s, || fresh::linear_backward_input(s, &dy, &w));
    m.call("fresh::linear_backward_weight", &s, || fresh::linear_backward_weight(s, &x, &dy));
    m.call("fresh::sum_rows", &s, || fresh::sum_rows(&dy, s[2]));
    m.call("sum_rows", &s, || sum_rows(&dy, s[2], &mut db));
}

pub(crate) fn products(memory: &impl Memory, [m, n, k]: [usize; 3], s: [usize; 3]) {
    let (a, b) = (memory.input(1, m * k), memory.input(2, k * n));
    let (bias, mut c) = (memory.input(3, n), memory.output(m * n));
    let layouts = |values, rows, columns| [Matrix::rows(values, columns), Matrix::rows(values, rows).transposed()];
    for (a, b) in layouts(&a, m, k).into_iter().flat_map(|a| layouts(&b, k, n).map(|b| (a, b))) {
        memory.call("gemm", &s, || gemm(s, a, b, Some(&bias), &mut c));
    }
}

pub(crate) fn elementwise(m: &impl Memory, n: usize) {
    let (x, dy, mut y) = (m.input(1, n), m.input(2, n), m.output(n));
    m.call("silu", &n, || silu(&x, &mut y));
    m.call("silu_backward", &n, || silu_backward(&x, &dy, &mut y));
    m.call("fresh::silu", &n, || fresh::silu(&x));
    m.call("fresh::silu_backward", &n, || fresh::silu_backward(&x, &dy));
    m.call("add", &n, || add(&mut y, &dy));
    m.call("sum_of_squares", &n, || sum_of_squares(&[&x, &[], &dy]));
    let outputs = || [1, 2, 3, 4].map(|_| m.output(n));
    let ([mut p1, mut m1, mut v1, mut ema], [mut p2, mut m2, mut v2, _]) = (outputs(), outputs());
    let averaged = AdamSlices { grad: &x, param: &mut p1, m: &mut m1, v: &mut v1, ema: Some(&mut ema) };
    let plain = AdamSlices { grad: &dy, param: &mut p2, m: &mut m2, v: &mut v2, ema: None };
    m.call("adam", &n, || adam(&ADAM, vec![averaged, plain]));
}

pub(crate) fn moves(m: &impl Memory, [n, c, h, w]: [usize; 4], s: [usize; 4]) {
    let (planes, pixels) = (n * c, h * w);
    let len = planes * pixels;
    let (x, dy) = (m.input(1, len), m.input(2, 4 * len));
    let (mut y, mut dx) = (m.output(4 * len), m.output(len));
    m.call("upsample_nearest_2x", &s, || upsample_nearest_2x(s[2], s[3], &x, &mut y));
    m.call("upsample_nearest_2x_backward", &s, || upsample_nearest_2x_backward(s[2], s[3], &dy, &mut dx));
    m.call("fresh::upsample_nearest_2x", &s, || fresh::upsample_nearest_2x(s[2], s[3], &x));
    m.call("fresh::upsample_nearest_2x_backward", &s, || fresh::upsample_nearest_2x_backward(s[2], s[3], &dy));
    let (other, mut both) = (m.input(3, n * 3 * pixels), m.output(len + n * 3 * pixels));
    m.call("concat", &s, || concat(s[0], &x, &other, &mut both));
    m.call("fresh::concat", &s, || fresh::concat(s[0], &x, &other));
    let mut second = m.output(n * 3 * pixels);
    let from = s[1].wrapping_mul(s[2]).wrapping_mul(s[3]);
    m.call("part", &s, || part(s[0], &both, from, &mut second));
    m.call("fresh::part", &s, || fresh::part(s[0], &both, from, 3 * pixels));
    let bias = m.input(4, planes);
    m.call("add_channel_bias", &s, || add_channel_bias(&x, &bias, &mut dx));
    m.call("fresh::add_channel_bias", &s, || fresh::add_channel_bias(&x, &bias));
    let (mut sums, mut channels) = (m.output(planes), m.output(c));
    m.call("sum_pixels", &s, || sum_pixels(&x, &mut sums));
    m.call("fresh::sum_pixels", &s, || fresh::sum_pixels(&x, s[0].wrapping_mul(s[1])));
    m.call("sum_images", &s, || sum_images(&x, s[0], s[1], &mut channels));
}
