//! Convolutions of bf16 against sums in f64 of the rounded inputs, and the same bits for every number of threads.

mod common;

use common::{cases, random};
use proptest::prelude::*;
use sfumato_cpu::{
    Affine, Conv2d, GroupNorm, JoinedConv1x1, NormConv, NormInput, Precision, SelfAttention, Statistics, fresh,
};

/// The nearest bf16: half of its last place is added, and what is below is cut off.
fn rounded(x: &[f32]) -> Vec<f64> {
    let round = |x: &f32| f64::from(f32::from_bits((x.to_bits() + 0x7fff + (x.to_bits() >> 16 & 1)) & 0xffff_0000));
    x.iter().map(round).collect()
}

/// Sums, and the sums of the absolute values of what was added.
type Sums = Vec<(f64, f64)>;

fn add(to: &mut (f64, f64), a: f64, b: f64) {
    to.0 += a * b;
    to.1 += (a * b).abs();
}

/// Forward, input and weight gradient.
fn reference(s: &Conv2d, [x, w, dy]: [&[f64]; 3]) -> [Sums; 3] {
    let mut y = vec![(0.0, 0.0); s.output_len()];
    let (mut dx, mut dw) = (vec![(0.0, 0.0); s.input_len()], vec![(0.0, 0.0); s.weight_len()]);
    let (oh, ow) = s.output_size();
    let [top, left, ..] = s.padding.map(|zeros| zeros as isize);
    for (n, k, c) in (0..s.n).flat_map(|n| (0..s.k).flat_map(move |k| (0..s.c).map(move |c| (n, k, c)))) {
        for (row, column) in (0..oh).flat_map(|row| (0..ow).map(move |column| (row, column))) {
            for (i, j) in (0..s.side).flat_map(|i| (0..s.side).map(move |j| (i, j))) {
                let [from_row, from_column] = [row * s.stride + i, column * s.stride + j].map(|at| at as isize);
                let (from_row, from_column) = (from_row - top, from_column - left);
                if from_row < 0 || from_column < 0 || from_row >= s.h as isize || from_column >= s.w as isize {
                    continue;
                }
                let from = ((n * s.c + c) * s.h + from_row as usize) * s.w + from_column as usize;
                let (tap, to) = (((k * s.c + c) * s.side + i) * s.side + j, ((n * s.k + k) * oh + row) * ow + column);
                add(&mut y[to], x[from], w[tap]);
                add(&mut dx[from], dy[to], w[tap]);
                add(&mut dw[tap], x[from], dy[to]);
            }
        }
    }
    [y, dx, dw]
}

/// Largest error as a share of the sum of absolute values, in units of 2⁻²⁴: rounding of f32 sums, and nothing else.
fn worst(got: &[f32], want: &Sums, extra: impl Fn(usize) -> f64) -> f64 {
    assert_eq!(got.len(), want.len());
    let units = got.iter().zip(want).enumerate().map(|(i, (got, (sum, scale)))| {
        let error = (f64::from(*got) - (sum + extra(i))).abs();
        error / (scale + extra(i).abs() + 1e-30) * f64::from(1 << 24)
    });
    units.fold(0.0, f64::max)
}

fn in_pool<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be had");
    pool.install(|| Precision::Bf16.with(f))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn convolutions_are_sums_of_rounded_products(
        // Few images, and so many that parts of them are tasks.
        n in prop_oneof![1_usize..4, 8_usize..20],
        c in 16_usize..70, k in 16_usize..70, h in 1_usize..8, w in 1_usize..19, kind in 0_usize..3, seed: u64,
    ) {
        let one = Conv2d { n, c, k, h, w, side: 1, stride: 1, padding: [0; 4] };
        let three = Conv2d { side: 3, padding: [1; 4], ..one };
        // Stride 2 with zeros at any of the sides, and up to three windows a row.
        let zeros = [0, 1, 2, 3].map(|bit| (seed >> bit) as usize % 2);
        let s = [one, three, Conv2d { h: h + 2, w: 4 * w + 2, stride: 2, padding: zeros, ..three }][kind];
        let lengths = [s.input_len(), s.weight_len(), s.output_len(), s.k, s.output_len(), s.input_len()];
        let [x, weight, dy, bias, residual, add] = [0, 1, 2, 3, 4, 5].map(|i| random(seed ^ i as u64, lengths[i]));
        let compute = || {
            let y = fresh::conv2d(&s, &x, &weight, Some(&bias), Some(&residual));
            let mut db = vec![0.0; s.k];
            let [dx, dw] = fresh::conv2d_backward(&s, &x, &dy, &weight, Some(&add), Some(&mut db));
            // One by one they are the same.
            assert_eq!(bits(&dx), bits(&fresh::conv2d_backward_input(&s, &dy, &weight, Some(&add))));
            let mut own = vec![0.0; s.k];
            assert_eq!(bits(&dw), bits(&fresh::conv2d_backward_weight(&s, &x, &dy, Some(&mut own))));
            assert_eq!(bits(&db), bits(&own));
            [y, dx, dw, db]
        };
        let [y, dx, dw, db] = in_pool(1, compute);
        let others = in_pool(3, compute);
        for (one, three) in [&y, &dx, &dw, &db].into_iter().zip(&others) {
            prop_assert_eq!(bits(one), bits(three));
        }
        let [want_y, want_dx, want_dw] = reference(&s, [&rounded(&x), &rounded(&weight), &rounded(&dy)]);
        let pixels = s.output_len() / (n * k);
        let of_y = worst(&y, &want_y, |i| f64::from(bias[i / pixels % s.k]) + f64::from(residual[i]));
        let units = [of_y, worst(&dx, &want_dx, |i| f64::from(add[i])), worst(&dw, &want_dw, |_| 0.0)];
        prop_assert!(units.iter().all(|units| *units < 24.0), "{units:?} units of 2^-24 at {s:?}");
        let exact = Precision::F32.with(|| fresh::conv2d(&s, &x, &weight, Some(&bias), Some(&residual)));
        prop_assert!(bits(&exact) != bits(&y), "bf16 was not used");
    }

    /// Two tensors give the bits of their concatenation where the first fills its blocks, and its sums everywhere.
    #[test]
    fn channels_of_two_tensors_are_those_of_one(n in prop_oneof![1_usize..4, 8_usize..20], a in 1_usize..70, b in 1_usize..70, k in 16_usize..70, pixels in 1_usize..60, seed: u64) {
        let s = JoinedConv1x1 { n, c: [a, b], k, pixels };
        if a + b < 16 { return Ok(()); }
        let one = Conv2d { n, c: a + b, k, h: 1, w: pixels, side: 1, stride: 1, padding: [0; 4] };
        let [x, skip] = [0, 1].map(|i| random(seed ^ i as u64, s.input_len(i)));
        let joined = fresh::concat(n, &x, &skip);
        let lengths = [s.weight_len(), k, s.output_len()];
        let [weight, bias, dy] = [0, 1, 2].map(|i| random(seed ^ (9 + i as u64), lengths[i]));
        let (got, want) = in_pool(2, || {
            let mut db = vec![0.0; k];
            let y = fresh::conv1x1_joined(&s, [&x, &skip], &weight, Some(&bias));
            let ([dx, d_skip], dw) =
                fresh::conv1x1_joined_backward(&s, [&x, &skip], &dy, &weight, [None; 2], Some(&mut db));
            assert_eq!(bits(&dw), bits(&fresh::conv1x1_joined_backward_weight(&s, [&x, &skip], &dy, None)));
            let own = fresh::conv1x1_joined_backward_input(&s, &dy, &weight, [None; 2]);
            assert_eq!([bits(&dx), bits(&d_skip)], own.map(|d| bits(&d)));
            let got = [y, fresh::concat(n, &dx, &d_skip), dw];
            let y = fresh::conv2d(&one, &joined, &weight, Some(&bias), None);
            let [dx, dw] = fresh::conv2d_backward(&one, &joined, &dy, &weight, None, None);
            (got, [y, dx, dw])
        });
        for (got, want) in got.iter().zip(&want) {
            if a % 32 == 0 {
                prop_assert_eq!(bits(got), bits(want));
            }
            let near = got.iter().zip(want).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + b.abs()));
            prop_assert!(near, "{s:?}");
        }
    }
}

proptest! {
    #![proptest_config(cases(20))]

    /// A convolution behind a norm has the bits of the two one after the other.
    #[test]
    fn a_norm_in_front_changes_no_bit(
        (n, groups, per_group, k) in (prop_oneof![1_usize..4, 8_usize..20], 1_usize..7, 3_usize..12, 16_usize..70),
        (h, w) in (1_usize..8, 1_usize..19),
        (skip, silu, given, seed) in (0_usize..3, any::<bool>(), any::<bool>(), any::<u64>()),
    ) {
        let c = (groups * per_group).max(16).next_multiple_of(groups);
        let norm = GroupNorm { n, c, hw: h * w, groups, eps: 1e-5, silu };
        let (s, skip) = (NormConv { norm, k, h, w }, skip * c / 3);
        let lengths = [n * (c - skip) * h * w, n * skip * h * w, n * c, c, c, 9 * k * c, k, s.output_len(), s.output_len()];
        let all: Vec<Vec<f32>> = lengths.iter().enumerate().map(|(i, len)| random(seed ^ i as u64, *len)).collect();
        let [x, of_skip, bias, scale, offset, weight, own_bias, residual, dy] = &all[..] else { unreachable!() };
        let (input, affine) = (NormInput { x, skip: of_skip, bias: if given { bias } else { &[] } }, Affine { scale, offset });
        let add = given.then(|| [random(seed ^ 20, x.len()), random(seed ^ 21, of_skip.len())]);
        let add = [0, 1].map(|i| add.as_ref().map(|add| &add[i][..]));
        let residual = given.then_some(&residual[..]);
        let conv = Conv2d { n, c, k, h, w, side: 3, stride: 1, padding: [1; 4] };
        let joined = || {
            let [y, mean, rstd] = fresh::norm_conv_bf16(&s, input, affine, weight, Some(own_bias), residual);
            let statistics = Statistics { mean: &mean, rstd: &rstd };
            let (d, dw, db) = fresh::norm_conv_bf16_backward(&s, input, statistics, affine, weight, dy, add);
            [y, d.x, d.skip, d.bias, d.scale, d.offset, dw, db, mean, rstd]
        };
        let apart = || {
            let [normed, mean, rstd] = fresh::group_norm(&norm, input, affine);
            let y = fresh::conv2d(&conv, &normed, weight, Some(own_bias), residual);
            let mut db = vec![0.0; k];
            let [d_normed, dw] = fresh::conv2d_backward(&conv, &normed, dy, weight, None, Some(&mut db));
            let statistics = Statistics { mean: &mean, rstd: &rstd };
            let d = fresh::group_norm_backward(&norm, input, statistics, affine, &d_normed, add);
            [y, d.x, d.skip, d.bias, d.scale, d.offset, dw, db, mean, rstd]
        };
        let [one, two, apart] = [in_pool(1, joined), in_pool(3, joined), in_pool(2, apart)];
        for ((one, two), apart) in one.iter().zip(&two).zip(&apart) {
            prop_assert_eq!(bits(one), bits(two));
            prop_assert_eq!(bits(one), bits(apart));
        }
    }
}

/// Result and gradient of one head in f64, where what the unit multiplies is rounded first. `[d, tokens]` all.
fn head([d, tokens]: [usize; 2], [q, k, v]: [&[f64]; 3], dy: &[f64]) -> [Vec<f64>; 4] {
    let near = |x: f64| rounded(&[x as f32])[0];
    let factor = 1.0 / (d as f64).sqrt();
    let dots = |a: &[f64], b: &[f64], i: usize, j: usize| -> f64 {
        (0..d).map(|c| a[c * tokens + i] * b[c * tokens + j]).sum()
    };
    let [mut y, mut dq, mut dk, mut dv] = [0; 4].map(|_| vec![0.0; d * tokens]);
    for i in 0..tokens {
        let scores: Vec<f64> = (0..tokens).map(|j| dots(q, k, i, j) * factor).collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|s| (s - top).exp()).sum();
        let p: Vec<f64> = scores.iter().map(|s| (s - top).exp() / total).collect();
        let dp: Vec<f64> = (0..tokens).map(|j| dots(dy, v, i, j)).collect();
        let mean: f64 = p.iter().zip(&dp).map(|(p, d)| p * d).sum();
        for j in 0..tokens {
            let (ds, p) = (near(p[j] * (dp[j] - mean) * factor), near(p[j]));
            for c in (0..d).map(|c| c * tokens) {
                y[c + i] += p * v[c + j];
                dv[c + j] += p * dy[c + i];
                dq[c + i] += ds * k[c + j];
                dk[c + j] += ds * q[c + i];
            }
        }
    }
    [y, dq, dk, dv]
}

proptest! {
    #![proptest_config(cases(20))]

    /// Attention against that in f64 of what is rounded, and the same bits for every number of threads.
    #[test]
    fn attentions_are_sums_of_rounded_products(
        (images, heads) in (0_usize..3, 1_usize..3),
        d in 16_usize..70,
        tokens in prop_oneof![1_usize..80, 250_usize..300],
        seed: u64,
    ) {
        let s = SelfAttention { images, heads, tokens, d };
        let size = d * tokens;
        let (qkv, dy) = (random(seed, 3 * images * heads * size), random(seed ^ 1, images * heads * size));
        let compute = || [fresh::self_attention(&s, &qkv), fresh::self_attention_backward(&s, &qkv, &dy)];
        let [one, three] = [in_pool(1, compute), in_pool(3, compute)];
        prop_assert_eq!(one.each_ref().map(|x| bits(x)), three.each_ref().map(|x| bits(x)));
        let [y, d_qkv] = one;
        let (near, near_dy) = (rounded(&qkv), rounded(&dy));
        for (image, i) in (0..images).flat_map(|image| (0..heads).map(move |i| (image, i))) {
            let at = [0, 1, 2].map(|part| ((image * 3 + part) * heads + i) * size);
            let of_y = (image * heads + i) * size;
            let want = head([d, tokens], at.map(|at| &near[at..][..size]), &near_dy[of_y..][..size]);
            let got = [&y[of_y..][..size], &d_qkv[at[0]..][..size], &d_qkv[at[1]..][..size], &d_qkv[at[2]..][..size]];
            // Gradients of scores are differences, and a number next to the middle between two bf16 may be rounded to either.
            let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
            let least = [0.0, norm(&want[3]), norm(&want[3]), 0.0];
            for ((got, want), least) in got.iter().zip(&want).zip(least) {
                let difference: Vec<f64> = got.iter().zip(want).map(|(got, want)| f64::from(*got) - want).collect();
                prop_assert!(norm(&difference) <= 1e-3 * norm(want).max(0.1 * least), "{} of {}", norm(&difference), norm(want));
            }
        }
        let exact = Precision::F32.with(|| fresh::self_attention(&s, &qkv));
        prop_assert!(images == 0 || tokens == 1 || bits(&exact) != bits(&y), "bf16 was not used");
    }
}

#[test]
fn what_does_not_pay_stays_f32() {
    for (c, k, side, stride) in [(3, 32, 3, 1), (32, 3, 3, 1), (32, 32, 3, 3), (32, 32, 1, 2), (32, 32, 5, 1)] {
        let s = Conv2d { n: 2, c, k, h: 8, w: 8, side, stride, padding: [side / 2; 4] };
        let (x, weight) = (random(1, s.input_len()), random(2, s.weight_len()));
        let both = [Precision::F32, Precision::Bf16].map(|p| p.with(|| fresh::conv2d(&s, &x, &weight, None, None)));
        assert_eq!(both[0], both[1], "{s:?}");
    }
}
