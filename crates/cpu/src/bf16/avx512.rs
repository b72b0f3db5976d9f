//! What is around the products, with AVX-512 and its bf16 conversions; `portable` has the same functions in plain code.

use super::grid::{Grid, Lattice, Piece};
use super::panel::{BLOCK, OutputBlock, Planes};
use super::weight::Target;
use super::weights::Source;
use std::arch::x86_64::*;
use std::ops::Range;

/// The first `left` of 16.
fn first(left: usize) -> u16 {
    if left >= 16 { !0 } else { (1 << left) - 1 }
}

/// 16×16 values of 32 bits, rows to columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(r: [__m512i; 16]) -> [__m512i; 16] {
    let mut t = r;
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    let mut u = t;
    for i in (0..16).step_by(4) {
        u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    let mut o = u;
    for j in 0..4 {
        let (a, b, c, d) = (u[j], u[4 + j], u[8 + j], u[12 + j]);
        let x0 = _mm512_shuffle_i32x4::<0x88>(a, b);
        let x1 = _mm512_shuffle_i32x4::<0xdd>(a, b);
        let y0 = _mm512_shuffle_i32x4::<0x88>(c, d);
        let y1 = _mm512_shuffle_i32x4::<0xdd>(c, d);
        o[j] = _mm512_shuffle_i32x4::<0x88>(x0, y0);
        o[4 + j] = _mm512_shuffle_i32x4::<0x88>(x1, y1);
        o[8 + j] = _mm512_shuffle_i32x4::<0xdd>(x0, y0);
        o[12 + j] = _mm512_shuffle_i32x4::<0xdd>(x1, y1);
    }
    o
}

/// Sixteen pairs of two vectors, rounded to bf16, `a` in the low halves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pairs(a: __m512, b: __m512) -> __m512i {
    let index: [u16; 32] = std::array::from_fn(|i| (i / 2 + 16 * (i % 2)) as u16);
    // SAFETY: both are 64 bytes of any bits.
    let both: __m512i = unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(b, a)) };
    // SAFETY: the array is 64 bytes long.
    _mm512_permutexvar_epi16(unsafe { _mm512_loadu_si512(index.as_ptr().cast()) }, both)
}

/// `portable::pack`.
///
/// # Safety
/// The same, and the processor must have AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn pack(x: &[f32], to: *mut u16, grid: &Grid, lattice: &Lattice, planes: Planes, n: usize) {
    let plane = lattice.plane();
    let x = &x[planes.first * plane..][..planes.channels * plane];
    let ([_, width], [y, x0]) = (lattice.size, lattice.first);
    let [step, row_step] = [1, grid.pitch()].map(|pixels| pixels * lattice.stride * BLOCK);
    let mut row = to.wrapping_add(grid.at(n, y, x0) * BLOCK);
    let (mut at, mut column) = (row, 0);
    // Pixels of a plane follow each other whatever the width.
    for pixel in (0..plane).step_by(16) {
        let left = (plane - pixel).min(16);
        let mask = first(left);
        let mut r = [_mm512_setzero_si512(); 16];
        for (j, v) in r.iter_mut().enumerate() {
            let load = |c: usize| {
                if c < planes.channels {
                    // SAFETY: masked to pixels that the plane has.
                    unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr().add(c * plane + pixel)) }
                } else {
                    _mm512_setzero_ps()
                }
            };
            *v = pairs(load(2 * j), load(2 * j + 1));
        }
        for v in transpose(r).iter().take(left) {
            // SAFETY: the caller's contract; panels are aligned.
            unsafe { _mm512_store_si512(at.cast(), *v) };
            (at, column) = (at.wrapping_add(step), column + 1);
            if column == width {
                row = row.wrapping_add(row_step);
                (at, column) = (row, 0);
            }
        }
    }
}

/// `portable::pair`.
///
/// # Safety
/// The same, and the processor must have AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn pair(from: &[u16], to: *mut u16, line: usize, pixels: Range<usize>) {
    let low: [u16; 32] = std::array::from_fn(|i| (i / 2 + 32 * (i % 2)) as u16);
    let high: [u16; 32] = std::array::from_fn(|i| (16 + i / 2 + 32 * (i % 2)) as u16);
    // SAFETY: the arrays are 64 bytes long.
    let (low, high) = unsafe { (_mm512_loadu_si512(low.as_ptr().cast()), _mm512_loadu_si512(high.as_ptr().cast())) };
    // SAFETY: the slice is 64 bytes long.
    let pixel = |p: usize| unsafe { _mm512_loadu_si512(from[p * BLOCK..][..BLOCK].as_ptr().cast()) };
    let mut a = pixel(pixels.start);
    for p in pixels {
        // The line's last pixel is border, and so is what would follow it.
        let b = pixel((p + 1).min(line - 1));
        // SAFETY: the caller's contract; the memory is aligned.
        unsafe {
            _mm512_store_si512(to.add(p * 32).cast(), _mm512_permutex2var_epi16(a, low, b));
            _mm512_store_si512(to.add((line + p) * 32).cast(), _mm512_permutex2var_epi16(a, high, b));
        }
        a = b;
    }
}

/// `portable::turn`.
///
/// # Safety
/// The processor must have AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn turn(from: &[u16], to: &mut [u16]) {
    for p in [0, 16] {
        let mut r = [_mm512_setzero_si512(); 16];
        for (i, v) in r.iter_mut().enumerate() {
            // SAFETY: the slice is 64 bytes long.
            *v = unsafe { _mm512_loadu_si512(from[(p + i) * 32..][..32].as_ptr().cast()) };
        }
        for (j, v) in transpose(r).iter().enumerate() {
            let [even, odd] = [_mm512_cvtepi32_epi16(*v), _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(*v))];
            for (row, v) in [(2 * j, even), (2 * j + 1, odd)] {
                // SAFETY: the slice is 32 bytes long.
                unsafe { _mm256_storeu_si256(to[row * 32 + p..][..16].as_mut_ptr().cast(), v) };
            }
        }
    }
}

/// `portable::fill`.
///
/// # Safety
/// The processor must have AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn fill(w: &[f32], to: &mut [u16], by: &Source) {
    // What lies together is read together: the taps of all inputs of an output, or of all outputs of an input.
    if by.strides[0] == by.taps { by_output(w, to, by) } else { by_input(w, to, by) }
}

/// Sixteen vectors of up to 16 floats, whose rows are `stride` apart; what is not there is zero.
#[inline]
#[target_feature(enable = "avx512f")]
fn rows(from: &[f32], rows: usize, width: usize, stride: usize) -> [__m512i; 16] {
    let mut r = [_mm512_setzero_si512(); 16];
    for (i, v) in r.iter_mut().enumerate().take(rows) {
        let row = &from[i * stride..][..width.min(16)];
        // SAFETY: masked to the row.
        *v = unsafe { _mm512_castps_si512(_mm512_maskz_loadu_ps(first(width), row.as_ptr())) };
    }
    r
}

/// For weights whose inputs lie next to each other.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn by_output(w: &[f32], to: &mut [u16], by: &Source) {
    let all = (by.inputs.end - by.inputs.start) * by.taps;
    // A vector of 16 outputs for each input and tap.
    let mut vectors = [_mm512_setzero_ps(); BLOCK * 9];
    for half in 0..2 {
        let n = by.outputs.start + half * 16;
        let here = by.outputs.end.saturating_sub(n).min(16);
        vectors.fill(_mm512_setzero_ps());
        if here > 0 {
            let from = &w[n * by.strides[1] + by.inputs.start * by.taps..];
            for at in (0..all).step_by(16) {
                let turned = transpose(rows(&from[at..], here, all - at, by.strides[1]));
                for (to, v) in vectors[at..].iter_mut().zip(turned).take(all - at) {
                    *to = _mm512_castsi512_ps(v);
                }
            }
        }
        for i in 0..16 * by.taps {
            let (j, tap) = (i / by.taps, i % by.taps);
            let at = 2 * j * by.taps + by.tap(tap);
            store(to, tap * 1024 + half * 512 + j * 32, pairs(vectors[at], vectors[at + by.taps]));
        }
    }
}

/// For weights whose outputs lie next to each other.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn by_input(w: &[f32], to: &mut [u16], by: &Source) {
    let [k_stride, taps] = [by.strides[0], by.taps];
    assert!(by.strides[1] == taps && taps <= 9);
    let steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let index = _mm512_mullo_epi32(steps, _mm512_set1_epi32(taps as i32));
    let all = (by.outputs.end - by.outputs.start) * taps;
    for j in 0..16 {
        // Pairs of two inputs for each output and tap.
        let mut both = [0u32; BLOCK * 9];
        let k = by.inputs.start + 2 * j;
        let there = by.inputs.end.saturating_sub(k).min(2);
        for at in (0..if there > 0 { all } else { 0 }).step_by(16) {
            let from = &w[k * k_stride + by.outputs.start * taps + at..];
            let r = rows(from, there, all - at, k_stride);
            let v = pairs(_mm512_castsi512_ps(r[0]), _mm512_castsi512_ps(r[1]));
            let to = &mut both[at..][..16];
            // SAFETY: the slice is 64 bytes long.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), v) };
        }
        for i in 0..2 * taps {
            let (half, tap) = (i / taps, i % taps);
            let from = &both[half * 16 * taps + by.tap(tap)..][..15 * taps + 1];
            // SAFETY: the slice is as long as the indices reach.
            let v = unsafe { _mm512_i32gather_epi32::<4>(index, from.as_ptr().cast()) };
            store(to, tap * 1024 + half * 512 + j * 32, v);
        }
    }
}

/// Writes 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(to: &mut [u16], at: usize, v: __m512i) {
    // SAFETY: the slice is 64 bytes long.
    unsafe { _mm512_storeu_si512(to[at..][..32].as_mut_ptr().cast(), v) };
}

/// `portable::finish`.
///
/// # Safety
/// The same, and the processor must have AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn finish(piece: &Piece, sums: &[f32], bias: &[f32], out: &OutputBlock) {
    let (sums, bias) = (&sums[..16 * BLOCK], &bias[..BLOCK]);
    let (mask, pixels) = (piece.mask as u16, piece.mask.count_ones() as usize);
    let there = first(pixels);
    for half in (0..out.channels).step_by(16) {
        let mut r = [_mm512_setzero_si512(); 16];
        for (pixel, v) in r.iter_mut().enumerate() {
            // SAFETY: the slice is long enough.
            *v = unsafe { _mm512_loadu_si512(sums[pixel * BLOCK + half..].as_ptr().cast()) };
        }
        let at = out.at(piece, half);
        for (c, v) in transpose(r).iter().enumerate().take(out.channels - half) {
            let (at, v) = (at + c * out.plane, _mm512_castsi512_ps(*v));
            // The border is in the window, but not in the plane.
            let v = if mask == there { v } else { _mm512_maskz_compress_ps(mask, v) };
            let mut v = _mm512_add_ps(v, _mm512_set1_ps(bias[half + c]));
            if let Some(add) = out.add {
                // SAFETY: within the slice that was cut out.
                v = _mm512_add_ps(v, unsafe { _mm512_maskz_loadu_ps(there, add[at..][..pixels].as_ptr()) });
            }
            // SAFETY: the caller's contract.
            unsafe { _mm512_mask_storeu_ps(out.to.at(at), there, v) };
        }
    }
}

/// `portable::scatter`.
///
/// # Safety
/// The same, and the processor must have AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn scatter(from: &[f32], by: &Target, to: *mut f32) {
    debug_assert!(by.taps <= 16);
    for (i, o) in by.outputs.clone().enumerate() {
        for (j, k) in by.inputs.clone().enumerate().step_by(16) {
            let here = (by.inputs.end - k).min(16);
            let to = to.wrapping_add((o * by.columns + k) * by.taps);
            // A vector of 16 inputs for each tap.
            let mut r = [_mm512_setzero_si512(); 16];
            for (tap, v) in r.iter_mut().enumerate().take(by.taps) {
                let at = tap * 1024 + i * BLOCK + j;
                let mut sum = floats(from, at);
                for part in 1..by.parts {
                    sum = _mm512_add_ps(sum, floats(from, at + part * by.apart));
                }
                *v = _mm512_castps_si512(sum);
            }
            if by.taps == 1 {
                // SAFETY: the caller's contract.
                unsafe { _mm512_mask_storeu_epi32(to.cast(), first(here), r[0]) };
                continue;
            }
            for (input, v) in transpose(r).iter().enumerate().take(here) {
                // SAFETY: the caller's contract.
                unsafe { _mm512_mask_storeu_epi32(to.wrapping_add(input * by.taps).cast(), first(by.taps), *v) };
            }
        }
    }
}

/// Sixteen floats from `at` on.
#[inline]
#[target_feature(enable = "avx512f")]
fn floats(from: &[f32], at: usize) -> __m512 {
    // SAFETY: the slice is long enough.
    unsafe { _mm512_loadu_ps(from[at..][..16].as_ptr()) }
}

/// `portable::round_row`.
///
/// # Safety
/// The processor must have AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn round_row(from: &[f32], to: &mut [u16]) {
    for (i, to) in to.chunks_exact_mut(32).enumerate() {
        let load = |at: usize| {
            let left = from.len().saturating_sub(at);
            let rest = &from[at.min(from.len())..];
            // SAFETY: masked to what is left.
            unsafe { _mm512_maskz_loadu_ps(first(left), rest.as_ptr()) }
        };
        let both = _mm512_cvtne2ps_pbh(load(i * 32 + 16), load(i * 32));
        // SAFETY: 64 bytes of any bits, and a slice that is 64 bytes long.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), std::mem::transmute::<__m512bh, __m512i>(both)) };
    }
}

/// `portable::columns`.
///
/// # Safety
/// The processor must have AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn columns(from: &[f32], [rows, width]: [usize; 2], stride: usize, to: &mut [u16]) {
    for half in 0..2 {
        let mask = first(width.saturating_sub(half * 16));
        for pair in 0..16 {
            let load = |row: usize| {
                if row >= rows || mask == 0 {
                    return _mm512_setzero_ps();
                }
                let from = &from[row * stride + half * 16..][..(width - half * 16).min(16)];
                // SAFETY: masked to the slice.
                unsafe { _mm512_maskz_loadu_ps(mask, from.as_ptr()) }
            };
            let v = pairs(load(2 * pair), load(2 * pair + 1));
            // SAFETY: the slice is 64 bytes long.
            unsafe { _mm512_storeu_si512(to[half * 512 + pair * 32..][..32].as_mut_ptr().cast(), v) };
        }
    }
}

/// `portable::turn_columns`.
///
/// # Safety
/// The processor must have AVX-512 with bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn turn_columns(from: &[f32], to: &mut [u16]) {
    for half in 0..2 {
        let mut r = [_mm512_setzero_si512(); 16];
        for (i, v) in r.iter_mut().enumerate() {
            let row = &from[(half * 16 + i) * 32..][..32];
            // SAFETY: the slice is 128 bytes long; 64 bytes of any bits.
            *v = unsafe {
                let (low, high) = (_mm512_loadu_ps(row.as_ptr()), _mm512_loadu_ps(row[16..].as_ptr()));
                std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low))
            };
        }
        for (i, v) in transpose(r).iter().enumerate() {
            // SAFETY: the slice is 64 bytes long.
            unsafe { _mm512_storeu_si512(to[half * 512 + i * 32..][..32].as_mut_ptr().cast(), *v) };
        }
    }
}
