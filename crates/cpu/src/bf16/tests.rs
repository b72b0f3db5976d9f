//! The same bits by plain code and by what the processor has.

use super::tiles::Tiles;
use super::{Lattice, Sizes, emulation};

fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn halves(seed: u64, len: usize) -> Vec<u16> {
    values(seed, len).into_iter().map(super::number::round).collect()
}

/// Memory at an address of which 64 is a divisor.
#[repr(C, align(64))]
#[derive(Clone)]
struct Line([u16; 32]);

fn aligned(values: &[u16]) -> Vec<Line> {
    let lines = values.chunks(32).map(|chunk| Line(std::array::from_fn(|i| chunk.get(i).copied().unwrap_or(0))));
    lines.collect()
}

/// The inner kernel and its emulation.
#[test]
fn the_tile_unit_computes_what_its_emulation_does() {
    if !super::has_tiles() {
        eprintln!("this processor has no tile unit: nothing to compare its emulation with");
        return;
    }
    for (seed, count) in [(1, 1), (2, 9), (3, 5)] {
        // Numbers around the least normal one too, which are flushed.
        let scaled = |seed: u64, len| -> Vec<u16> {
            let all = values(seed, len).into_iter().enumerate();
            all.map(|(i, v)| super::number::round(if i % 7 == 0 { v * 1e-38 } else { v })).collect()
        };
        let (anywhere, packed) = (aligned(&scaled(seed, 2048 * count)), aligned(&scaled(seed + 10, 1024 * count)));
        let steps: Vec<usize> = (0..count).map(|s| s * 4096).collect();
        let [one, two] = [[0, 1024], [32, 1056]];
        for (swap, [first, second]) in [(false, one), (true, two)] {
            let (at, start) = (anywhere.as_ptr().cast::<u16>(), values(seed + 20, 1024));
            let at = [at.wrapping_add(first), at.wrapping_add(second)];
            let packed = packed.as_ptr().cast::<u16>();
            for load in [true, false] {
                let (mut by_unit, mut by_code) = (vec![[0f32; 16]; 80], vec![[0f32; 16]; 80]);
                let both = [&mut by_unit, &mut by_code].map(|c| {
                    let c = c.as_flattened_mut();
                    let aligned = c.as_ptr().align_offset(64);
                    c[aligned..][..1024].copy_from_slice(&start);
                    c[aligned..].as_mut_ptr()
                });
                // SAFETY: all steps are within the memory.
                unsafe {
                    let tiles = Tiles::new();
                    if swap {
                        tiles.block::<true>(&steps, at, 64, packed, both[0], load);
                    } else {
                        tiles.block::<false>(&steps, at, 64, packed, both[0], load);
                    }
                    emulation::block(&steps, at, 64, packed, both[1], load, swap);
                    let [a, b] = both.map(|c| std::slice::from_raw_parts(c, 1024));
                    assert!(a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()), "{count} steps, {swap}, {load}");
                }
            }
        }
    }
}

/// The emulation of one step against sums in f64.
#[test]
fn a_step_is_a_product_of_matrices() {
    let (a, b) = (halves(1, 1024), halves(2, 1024));
    let mut c = values(3, 1024);
    let before = c.clone();
    // A: rows of 32 k. B: two tiles of 16 pairs of k, 16 columns and 2.
    let at = a.as_ptr();
    // SAFETY: all is there.
    unsafe { emulation::block(&[0], [at, at.wrapping_add(512)], 64, b.as_ptr(), c.as_mut_ptr(), true, false) };
    for (i, (got, before)) in c.iter().zip(&before).enumerate() {
        let (row, column) = (i / 32, i % 32);
        let product = |k: usize| {
            let right = b[column / 16 * 512 + k / 2 * 32 + column % 16 * 2 + k % 2];
            f64::from(super::number::value(a[row * 32 + k])) * f64::from(super::number::value(right))
        };
        let sum: f64 = (0..32).map(product).sum::<f64>() + f64::from(*before);
        assert!((f64::from(*got) - sum).abs() < 1e-5, "{row}, {column}: {got} and {sum}");
    }
}

/// Groups of images that come one after the other give the gradients that sums in f64 have, but for the rounding. By the functions of this
/// module alone: the crate's own would be compiled once more for the tests, all of them.
#[test]
fn groups_of_images_are_as_right_as_one() {
    for (n, stride) in [(5, 1_usize), (7, 1), (6, 2)] {
        let (c, k, h, w) = (160, 130, 5_usize, 6_usize);
        let (rows, columns) = (h.div_ceil(stride), w.div_ceil(stride));
        let strided = (stride == 2).then(|| Lattice::of_stride_2([1, 1], (rows, columns)));
        let s = Sizes { n, h, w, c: [c, 0], k, taps: 9, strided };
        let (x, dy) = (values(1, n * c * h * w), values(2, n * k * rows * columns));
        let weight = values(3, k * c * 9);
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
        super::backward(&s, [&x, &[]], &dy, &weight, [None; 2], Some([&mut dx, &mut []]), Some(&mut dw));

        let (mut dx_sums, mut dw_sums) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
        for (image, row, column) in
            (0..n * rows * columns).map(|i| (i / columns / rows, i / columns % rows, i % columns))
        {
            for (tap, y, x_at) in (0..9).map(|tap| (tap, row * stride + tap / 3, column * stride + tap % 3)) {
                // The padding.
                if y == 0 || y > h || x_at == 0 || x_at > w {
                    continue;
                }
                for (to, from) in (0..k).flat_map(|to| (0..c).map(move |from| (to, from))) {
                    let d = f64::from(dy[((image * k + to) * rows + row) * columns + column]);
                    let (pixel, at) = (((image * c + from) * h + y - 1) * w + x_at - 1, (to * c + from) * 9 + tap);
                    dx_sums[pixel] += d * f64::from(weight[at]);
                    dw_sums[at] += d * f64::from(x[pixel]);
                }
            }
        }
        for (got, want) in [(dx, dx_sums), (dw, dw_sums)] {
            let squares = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x.powi(2)).sum::<f64>().sqrt();
            let errors = &mut got.iter().zip(&want).map(|(a, b)| f64::from(*a) - b);
            let error = squares(errors) / squares(&mut want.iter().copied());
            assert!(error > 1e-5 && error < 1e-2, "{n} images, stride {stride}: {error:e}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod around {
    use super::super::grid::{Grid, Lattice};
    use super::super::panel::{BLOCK, Outputs, Planes, columns};
    use super::super::weight::Target;
    use super::super::weights::Source;
    use super::super::{avx512, portable, wide};
    use super::{aligned, halves, values};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn packing_is_the_same(h in 1_usize..6, w in 1_usize..40, c in 1_usize..80, nine: bool, seed: u64) {
            if !wide() { return Ok(()); }
            let (n, taps) = (2, if nine { 9 } else { 1 });
            let grid = Grid::new(n, h, w, taps);
            let x = values(seed, n * c * h * w);
            for (n, b) in [(0, 0), (1, c.div_ceil(BLOCK) - 1)] {
                let planes = Planes { first: n * c + b * BLOCK, channels: (c - b * BLOCK).min(BLOCK) };
                let [mut one, mut two] = [0, 0].map(|_| aligned(&vec![7; grid.line() * BLOCK]));
                // SAFETY: the memory is there, and aligned.
                unsafe {
                    avx512::pack(&x, one.as_mut_ptr().cast(), &grid, &grid.all(), planes, n);
                    portable::pack(&x, two.as_mut_ptr().cast(), &grid, &grid.all(), planes, n);
                }
                prop_assert!(one.iter().zip(&two).all(|(a, b)| a.0 == b.0));
                // Every second pixel of twice the height and width.
                let grid = Grid::new(2, 2 * h, 2 * w, 9);
                let lattice = Lattice { stride: 2, first: [seed as usize % 2, seed as usize / 2 % 2], size: [h, w] };
                let [mut one, mut two] = [0, 0].map(|_| aligned(&vec![7; grid.line() * BLOCK]));
                // SAFETY: as above.
                unsafe {
                    avx512::pack(&x, one.as_mut_ptr().cast(), &grid, &lattice, planes, n);
                    portable::pack(&x, two.as_mut_ptr().cast(), &grid, &lattice, planes, n);
                }
                prop_assert!(one.iter().zip(&two).all(|(a, b)| a.0 == b.0));
            }
        }

        #[test]
        fn the_weight_gradients_operands_are_the_same(line in 32_usize..90, seed: u64) {
            if !wide() { return Ok(()); }
            let from = halves(seed, line * BLOCK);
            let [mut one, mut two] = [0, 0].map(|_| aligned(&vec![7; line * 64]));
            let pixels = seed as usize % line..line;
            // SAFETY: the memory is there, and aligned.
            unsafe {
                avx512::pair(&from, one.as_mut_ptr().cast(), line, pixels.clone());
                portable::pair(&from, two.as_mut_ptr().cast(), line, pixels);
            }
            prop_assert!(one.iter().zip(&two).all(|(a, b)| a.0 == b.0));
            let [mut one, mut two] = [vec![0; 1024], vec![0; 1024]];
            // SAFETY: the processor has what it needs.
            unsafe { avx512::turn(&from[..1024], &mut one) };
            portable::turn(&from[..1024], &mut two);
            prop_assert_eq!(one, two);
        }

        #[test]
        fn the_operands_of_attention_are_the_same(rows in 1_usize..33, width in 1_usize..33, more in 0_usize..40, seed: u64) {
            if !wide() { return Ok(()); }
            let stride = width + more;
            let from = values(seed, rows * stride);
            let [mut one, mut two] = [0, 1].map(|_| vec![7; 1024]);
            // SAFETY: the processor has what it needs.
            unsafe { avx512::columns(&from, [rows, width], stride, &mut one) };
            portable::columns(&from, [rows, width], stride, &mut two);
            prop_assert_eq!(&one, &two);
            let from = values(seed, 1024);
            // SAFETY: as above.
            unsafe { avx512::turn_columns(&from, &mut one) };
            portable::turn_columns(&from, &mut two);
            prop_assert_eq!(&one, &two);
            let [mut one, mut two] = [0, 1].map(|_| vec![7; (width + rows).next_multiple_of(32)]);
            // SAFETY: as above.
            unsafe { avx512::round_row(&from[..width], &mut one) };
            portable::round_row(&from[..width], &mut two);
            prop_assert_eq!(one, two);
        }

        #[test]
        fn weights_and_sums_are_the_same(a in 1_usize..70, b in 1_usize..70, k in 1_usize..70, nine: bool, seed: u64) {
            if !wide() { return Ok(()); }
            let (taps, channels) = (if nine { 9 } else { 1 }, [a, b]);
            let all = a + b;
            let w = values(seed, k * all * taps);
            for block in 0..super::super::panel::blocks(channels) {
                let (inputs, outputs) = (columns(channels, block), columns([k, 0], 0));
                for turned in [false, true] {
                    let by = Source::for_tests(inputs.clone(), outputs.clone(), [taps, all * taps], taps, turned);
                    let [mut one, mut two] = [vec![7; taps * 1024], vec![7; taps * 1024]];
                    // SAFETY: the processor has what it needs.
                    unsafe { avx512::fill(&w, &mut one, &by) };
                    portable::fill(&w, &mut two, &by);
                    prop_assert_eq!(one, two);
                }
                let by = Target { outputs, inputs, columns: all, taps, parts: 3, apart: taps * 1024 };
                let sums = values(seed ^ 9, 3 * taps * 1024);
                let [mut one, mut two] = [vec![9.0; w.len()], vec![9.0; w.len()]];
                // SAFETY: the memory is there.
                unsafe {
                    avx512::scatter(&sums, &by, one.as_mut_ptr());
                    portable::scatter(&sums, &by, two.as_mut_ptr());
                }
                prop_assert_eq!(one, two);
            }
        }

        #[test]
        fn results_are_the_same(h in 1_usize..6, w in 1_usize..40, a in 1_usize..70, b in 0_usize..70, nine: bool, seed: u64) {
            if !wide() { return Ok(()); }
            let (n, channels) = (3, [a, b]);
            let grid = Grid::new(n, h, w, if nine { 9 } else { 1 });
            let (pieces, _) = grid.pieces(&grid.windows(16));
            let add = channels.map(|c| values(seed, n * c * h * w));
            let add = add.each_ref().map(|add| (seed % 2 == 0).then_some(&add[..]));
            let [mut one, mut two] = [0, 1].map(|_| channels.map(|c| vec![9.0; n * c * h * w]));
            for (to, wide) in [(&mut one, true), (&mut two, false)] {
                let [first, second] = to.each_mut();
                let outputs = Outputs::new([n, h * w], channels, add, [first, second]);
                for (i, piece) in pieces.iter().enumerate() {
                    for block in 0..super::super::panel::blocks(channels) {
                        let (sums, bias) = (values(seed ^ i as u64, 512), values(seed ^ 3, 32));
                        let out = outputs.block(block);
                        // SAFETY: the memory is there.
                        unsafe {
                            if wide {
                                avx512::finish(piece, &sums, &bias, &out);
                            } else {
                                portable::finish(piece, &sums, &bias, &out);
                            }
                        }
                    }
                }
            }
            prop_assert!(one.iter().flatten().all(|v| *v != 9.0), "a value was not written");
            prop_assert_eq!(one, two);
        }
    }
}
