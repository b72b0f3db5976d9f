//! Every slice kernel that does not convolve (those are in `tests/convolutions.rs`) against a naive f64 reference: all instruction sets of this machine, sizes that are multiples of
//! nothing, outputs between guard values. The references themselves are checked by finite differences in
//! `tests/references.rs`.
//!
//! Inputs are vectors without spare room (made by `concat`, not `extend`), so that valgrind sees what is read past them
//! (`cargo xtask memcheck`).

mod common;

use common::*;
use proptest::prelude::*;
use sfumato_cpu::{self as cpu, *};

/// `skip` of the channels lie in the second tensor.
fn check_norm(s: &GroupNorm, own_affine: bool, bias: bool, skip: usize) {
    let len = s.n * s.c * s.hw;
    let x: Vec<f32> = random(1, len).iter().map(|v| v * 1.7 + 0.6).collect();
    let bias = if bias { random(6, s.n * s.c) } else { Vec::new() };
    let affine_len = if own_affine { s.n * s.c } else { s.c };
    let (scale, offset) = (random(2, affine_len), random(3, affine_len));
    let (dy, add) = (random(4, len), random(5, len));
    let affine = Affine { scale: &scale, offset: &offset };
    let biased = |(i, v): (usize, &f32)| f64::from(*v) + bias.get(i / s.hw).map_or(0.0, |b| f64::from(*b));
    let (xw, sw, ow): (Vec<_>, _, _) = (x.iter().enumerate().map(biased).collect(), wide(&scale), wide(&offset));
    let want_y = common::group_norm(s, &xw, &sw, &ow);
    let (want_dx, want_scale, want_offset) = common::group_norm_backward(s, &xw, &sw, &ow, &wide(&dy));
    let want_sum: Vec<f64> = want_dx.iter().zip(&add).map(|(a, b)| a + f64::from(*b)).collect();
    let want_bias: Vec<f64> = want_dx.chunks(s.hw).map(|pixels| pixels.iter().sum()).collect();
    let (first, second) = ((s.c - skip) * s.hw, skip * s.hw);
    let parted = |x: &[f32]| {
        let mut parts = [vec![0.0; s.n * first], vec![0.0; s.n * second]];
        part(s.n, x, 0, &mut parts[0]);
        part(s.n, x, first, &mut parts[1]);
        parts
    };
    let (parts, add) = (parted(&x), parted(&add));
    let input = NormInput { x: &parts[0], skip: &parts[1], bias: &bias };
    on_every_isa(|isa| {
        let what = |name: &str| format!("{name} {isa:?} {s:?} {skip} {}", bias.len());
        let (mut mean, mut rstd) = (Vec::new(), Vec::new());
        let y = guarded(len, |y| {
            mean = guarded(s.n * s.groups, |mean| {
                rstd = guarded(s.n * s.groups, |rstd| cpu::group_norm(s, input, affine, y, mean, rstd));
            });
        });
        assert_close(&what("y"), &y, &want_y);
        let statistics = Statistics { mean: &mean, rstd: &rstd };
        for (add, want) in [([Some(&add[0][..]), Some(&add[1][..])], &want_sum), ([None, None], &want_dx)] {
            let [mut d_skip, mut d_bias, mut d_scale, mut d_offset, mut again] = [const { Vec::new() }; 5];
            let dx = guarded(parts[0].len(), |x| {
                d_skip = guarded(parts[1].len(), |skip| {
                    d_bias = guarded(bias.len(), |bias| {
                        d_scale = guarded(s.n * s.c, |scale| {
                            d_offset = guarded(s.n * s.c, |offset| {
                                again = guarded(len, |y| {
                                    let d = NormGradients { x, skip, bias, scale, offset, y };
                                    cpu::group_norm_backward(s, input, statistics, affine, &dy, add, d);
                                });
                            });
                        });
                    });
                });
            });
            let mut joined = vec![0.0; len];
            concat(s.n, &dx, &d_skip, &mut joined);
            assert_close(&what("dx"), &joined, want);
            assert_close(&what("y again"), &again, &want_y);
            assert_sums_close(&what("d_scale"), &d_scale, &want_scale, &wide(&dy));
            assert_sums_close(&what("d_offset"), &d_offset, &want_offset, &wide(&dy));
            if !bias.is_empty() {
                assert_sums_close(&what("d_bias"), &d_bias, &want_bias, &want_dx);
            }
        }
    });
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn any_group_norm_is_right(
        (n, channels, groups) in (1usize..4, 1usize..5, 1usize..5),
        hw in 3usize..90,
        silu in any::<bool>(),
        (own_affine, bias) in any::<(bool, bool)>(),
        skip in 0usize..25,
    ) {
        let c = channels * groups;
        check_norm(&GroupNorm { n, c, hw, groups, eps: 1e-5, silu }, own_affine, bias, skip.min(c));
    }

    #[test]
    fn any_attention_is_right(
        (heads, n, m) in (1usize..4, 1usize..120, 2usize..70),
        (d, d_v) in (1usize..40, 1usize..40),
    ) {
        check_attention(heads, n, m, d, d_v);
    }

    #[test]
    fn any_linear_map_is_right((rows, d_in, d_out) in (1usize..150, 1usize..90, 1usize..90)) {
        check_linear(rows, d_in, d_out);
    }
}

#[test]
fn group_norm_of_far_off_values_is_right() {
    // Mean 1000, deviation 1: the variance must not be a difference of large numbers.
    let s = GroupNorm { n: 2, c: 4, hw: 100, groups: 2, eps: 1e-5, silu: false };
    let x: Vec<f32> = random(1, 800).iter().map(|v| v + 1000.0).collect();
    let (scale, offset) = (vec![1.0; 4], vec![0.0; 4]);
    let want = common::group_norm(&s, &wide(&x), &wide(&scale), &wide(&offset));
    on_every_isa(|isa| {
        let affine = Affine { scale: &scale, offset: &offset };
        let y = guarded(800, |y| cpu::group_norm(&s, x[..].into(), affine, y, &mut [0.0; 4], &mut [0.0; 4]));
        // The mean itself is rounded to 6e-5 of a deviation.
        assert!(error(&y, &want) < 2e-4, "{isa:?}: {:e}", error(&y, &want));
    });
}

fn check_attention(heads: usize, n: usize, m: usize, d: usize, d_v: usize) {
    let (q, k) = (random(1, heads * n * d), random(2, heads * m * d));
    let (v, dy) = (random(3, heads * m * d_v), random(4, heads * n * d_v));
    let mut want = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for h in 0..heads {
        let part = |x: &[f32], len: usize| wide(&x[h * len..(h + 1) * len]);
        let (q, k, v, dy) = (part(&q, n * d), part(&k, m * d), part(&v, m * d_v), part(&dy, n * d_v));
        let head = attention_head([n, m, d, d_v], [&q, &k, &v], &dy);
        for (all, one) in want.iter_mut().zip(head) {
            all.extend(one);
        }
    }
    on_every_isa(|isa| {
        let s = Attention { heads, n, m, d, d_v };
        let what = |name: &str| format!("{name} {isa:?} {s:?}");
        let y = guarded(heads * n * d_v, |y| cpu::attention(&s, [&q, &k, &v], y));
        assert_close(&what("y"), &y, &want[0]);
        let (mut dk, mut dv) = (Vec::new(), Vec::new());
        let dq = guarded(q.len(), |dq| {
            dk = guarded(k.len(), |dk| {
                dv = guarded(v.len(), |dv| attention_backward(&s, [&q, &k, &v], &dy, [dq, dk, dv]));
            });
        });
        assert_close(&what("dq"), &dq, &want[1]);
        assert_close(&what("dk"), &dk, &want[2]);
        assert_close(&what("dv"), &dv, &want[3]);
    });
    if (n, d) == (m, d_v) {
        check_self_attention(heads, n, d, [&q, &k, &v], &dy, &want);
    }
}

#[test]
fn attention_of_many_tokens_is_right() {
    // The queries of few heads are shared out, and the depth of many keys is summed in parts.
    for [heads, n, m, d, d_v] in [
        [1, 300, 300, 8, 8],
        [1, 1300, 40, 3, 5],
        [3, 517, 517, 4, 4],
        [2, 33, 1100, 5, 33],
        [1, 1025, 1025, 2, 2],
        [1, 256, 2048, 6, 6],
    ] {
        check_attention(heads, n, m, d, d_v);
    }
}

/// The same as pixels of images, with operands next to each other; all heads are of one image, then of one each.
fn check_self_attention(heads: usize, n: usize, d: usize, qkv: [&[f32]; 3], dy: &[f32], want: &[Vec<f64>; 4]) {
    let [q, k, v] = qkv.map(|x| transposed(x, n, d));
    let dy = transposed(dy, n, d);
    for s in [SelfAttention { images: 1, heads, tokens: n, d }, SelfAttention { images: heads, heads: 1, tokens: n, d }]
    {
        let image = s.heads * n * d;
        let parts = |i: usize| [&q, &k, &v].map(|x| x[i * image..(i + 1) * image].to_vec()).concat();
        let qkv = (0..s.images).map(parts).collect::<Vec<_>>().concat();
        on_every_isa(|isa| {
            let what = |name: &str| format!("{name} {isa:?} {s:?}");
            let y = guarded(dy.len(), |y| cpu::self_attention(&s, &qkv, y));
            assert_close(&what("y"), &transposed(&y, d, n), &want[0]);
            let dqkv = guarded(qkv.len(), |dqkv| self_attention_backward(&s, &qkv, &dy, dqkv));
            for (part, want) in want[1..].iter().enumerate() {
                let of = |i: usize| &dqkv[(3 * i + part) * image..(3 * i + part + 1) * image];
                let got: Vec<f32> = (0..s.images).flat_map(of).copied().collect();
                assert_close(&what("dq, dk or dv"), &transposed(&got, d, n), want);
            }
        });
    }
}

/// Every `rows` × `columns` matrix transposed.
fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let one = |x: &[f32]| -> Vec<f32> { (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect() };
    x.chunks(rows * columns).map(one).collect::<Vec<_>>().concat()
}

fn check_linear(rows: usize, d_in: usize, d_out: usize) {
    let sizes = [rows, d_in, d_out];
    let (x, w) = (random(1, rows * d_in), random(2, d_out * d_in));
    let (bias, dy) = (random(3, d_out), random(4, rows * d_out));
    let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    let mut db = vec![0.0; d_out];
    for (r, o) in (0..rows).flat_map(|r| (0..d_out).map(move |o| (r, o))) {
        let d = f64::from(dy[r * d_out + o]);
        y[r * d_out + o] += f64::from(bias[o]);
        db[o] += d;
        for i in 0..d_in {
            let (a, b) = (f64::from(x[r * d_in + i]), f64::from(w[o * d_in + i]));
            y[r * d_out + o] += a * b;
            dx[r * d_in + i] += d * b;
            dw[o * d_in + i] += d * a;
        }
    }
    on_every_isa(|isa| {
        let what = |name: &str| format!("{name} {isa:?} {sizes:?}");
        assert_close(&what("y"), &guarded(y.len(), |y| linear(sizes, &x, &w, Some(&bias), y)), &y);
        assert_close(&what("dx"), &guarded(dx.len(), |dx| linear_backward_input(sizes, &dy, &w, dx)), &dx);
        assert_close(&what("dw"), &guarded(dw.len(), |dw| linear_backward_weight(sizes, &x, &dy, dw)), &dw);
        let sums = guarded(db.len(), |db| sum_rows(&dy, d_out, db));
        assert_sums_close(&what("db"), &sums, &db, &wide(&dy));
    });
}

#[test]
fn long_linear_maps_are_right() {
    check_linear(7, 1300, 45);
    check_linear(1100, 20, 33);
}

#[test]
fn silu_is_right_from_zero_to_overflow() {
    let x = [&random(1, 1000)[..], &[0.0, -0.0, 30.0, -30.0, 88.0, -88.0, 1e4, -1e4, 3e38, 1e-30]].concat();
    let dy = random(2, x.len());
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let y: Vec<f64> = wide(&x).iter().map(|x| x * sigmoid(*x)).collect();
    let slope = |x: f64| sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)));
    let dx: Vec<f64> = wide(&x).iter().zip(&dy).map(|(x, d)| f64::from(*d) * slope(*x)).collect();
    on_every_isa(|isa| {
        let got = guarded(x.len(), |y| silu(&x, y));
        for ((x, got), want) in x.iter().zip(&got).zip(&y) {
            let (error, got) = ((f64::from(*got) - want).abs(), f64::from(*got));
            assert!(error <= 1e-6 * want.abs() + 1e-30, "{isa:?}: silu({x}) = {got}, expected {want}");
        }
        assert_close("dx", &guarded(x.len(), |dx| silu_backward(&x, &dy, dx)), &dx);
    });
}

#[test]
fn slices_are_added() {
    for n in [0, 1, 33, 40_000] {
        let (x, y) = (random(1, n), random(2, n));
        let want: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
        let mut sum = x;
        cpu::add(&mut sum, &y);
        assert!(sum == want, "{n}");
    }
}

#[test]
fn not_a_number_is_not_hidden() {
    on_every_isa(|isa| {
        let mut x = vec![1.0f32; 40];
        (x[3], x[38]) = (f32::NAN, f32::NAN);
        let mut y = vec![0.0; 40];
        silu(&x, &mut y);
        assert!(y[3].is_nan() && y[38].is_nan(), "{isa:?}");
        let s = Attention { heads: 1, n: 20, m: 20, d: 2, d_v: 2 };
        let ones = vec![1.0; 40];
        cpu::attention(&s, [&x, &ones, &ones], &mut y);
        assert!(y[2].is_nan() && y[38].is_nan(), "{isa:?}: {y:?}");
    });
}

#[test]
fn sums_over_pixels_are_right() {
    let x = random(1, 3 * 5 * 1237);
    on_every_isa(|_| {
        let planes: Vec<f64> = x.chunks(1237).map(|x| wide(x).iter().sum()).collect();
        assert_close("planes", &guarded(15, |out| sum_pixels(&x, out)), &planes);
        let channels: Vec<f64> = (0..5).map(|c| (0..3).map(|n| planes[n * 5 + c]).sum()).collect();
        assert_close("channels", &guarded(5, |out| sum_images(&x, 3, 5, out)), &channels);
    });
}

#[test]
fn data_is_moved_right() {
    let (h, w) = (3, 19);
    let x = random(1, 4 * h * w);
    let y = guarded(4 * x.len(), |y| upsample_nearest_2x(h, w, &x, y));
    for (i, v) in y.iter().enumerate() {
        let (plane, row, column) = (i / (4 * h * w), i / (2 * w) % (2 * h), i % (2 * w));
        assert_eq!(*v, x[(plane * h + row / 2) * w + column / 2]);
    }
    let dx = guarded(x.len(), |dx| upsample_nearest_2x_backward(h, w, &y, dx));
    assert_eq!(dx, x.iter().map(|v| 4.0 * v).collect::<Vec<_>>());
    let (a, b) = (random(2, 2 * 3 * 7), random(3, 2 * 2 * 7));
    let both = guarded(70, |y| concat(2, &a, &b, y));
    assert_eq!(both[..21], a[..21]);
    assert_eq!(both[21..35], b[..14]);
    assert_eq!(guarded(42, |out| part(2, &both, 0, out)), a);
    assert_eq!(guarded(28, |out| part(2, &both, 21, out)), b);
    let shifted = guarded(42, |y| add_channel_bias(&a, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], y));
    assert_eq!(shifted[35], a[35] + 6.0);
    assert_eq!(shifted[34], a[34] + 5.0);
}

/// Keys that nobody asks for still have a gradient: zero, whatever the memory held before.
#[test]
fn attention_without_queries_has_gradients_of_zero() {
    let s = Attention { heads: 2, n: 0, m: 5, d: 3, d_v: 4 };
    let (k, v) = (random(1, s.heads * s.m * s.d), random(2, s.heads * s.m * s.d_v));
    on_every_isa(|_| {
        let mut dv = Vec::new();
        let dk = guarded(k.len(), |dk| {
            dv = guarded(v.len(), |dv| attention_backward(&s, [&[], &k, &v], &[], [&mut [], dk, dv]));
        });
        assert!(dk.iter().chain(&dv).all(|d| *d == 0.0));
    });
}
