//! Every slice kernel on slices that begin right after, or end right before, memory that may not be touched: a read or
//! write outside them, even of one value, ends the process. Inputs cannot be written either.
//!
//! Unlike valgrind this sees every instruction set of the machine, and takes a second. The kernels run in a process of
//! their own, one for each instruction set and edge, which names every call before it makes it.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/fence.rs"]
mod fence;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use common::{ADAM, random};
use fence::{Edge, Fenced};
use sfumato_cpu::winograd::{self, Conv3x3, Filters, TileSize, UpsampleConv3x3};
use sfumato_cpu::{self as cpu, *};

/// In the kernels' process: the edge, after [`OUTSIDE`] if it is to be overstepped.
const CHILD: &str = "SFUMATO_TEST_GUARD_PAGES";
const OUTSIDE: &str = "outside ";

#[test]
fn kernels_touch_nothing_outside_their_slices() {
    if let Ok(work) = std::env::var(CHILD) {
        let (edge, work): (_, fn(Edge)) = match work.strip_prefix(OUTSIDE) {
            Some(edge) => (edge, read_outside),
            None => (work.as_str(), every_kernel),
        };
        return work(Edge::ALL.into_iter().find(|e| format!("{e:?}") == edge).expect("the parent names an edge"));
    }
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        for edge in Edge::ALL {
            let output = child(isa, &format!("{edge:?}"));
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().take(5).collect::<Vec<_>>();
            let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
            assert!(output.status.success(), "{isa:?}, pages at the {edge:?}: {}, in\n{last}", output.status);
            assert!(said.lines().count() > 500, "{isa:?}, pages at the {edge:?}: few calls were made:\n{last}");
        }
    }
}

#[test]
fn what_is_outside_cannot_be_read() {
    for edge in Edge::ALL {
        let output = child(Isa::Portable, &format!("{OUTSIDE}{edge:?}"));
        assert!(output.status.signal().is_some(), "the {edge:?} of a slice was overstepped: {}", output.status);
        assert!(String::from_utf8_lossy(&output.stderr).ends_with("a read outside\n"));
    }
}

#[test]
fn every_public_kernel_is_among_the_calls() {
    let calls = include_str!("guard_pages.rs");
    let exported = include_str!("../src/lib.rs").split("pub use ").skip(1);
    let exported = exported.filter_map(|text| text.split(';').next()?.split_once("::"));
    let exported = exported.flat_map(|(_, names)| names.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let winograd = include_str!("../src/winograd/mod.rs").split("\npub fn ").skip(1);
    let winograd = winograd.filter_map(|text| text.split('(').next());
    let functions = exported.chain(winograd).filter(|name| name.starts_with(|c: char| c.is_lowercase()));
    let mut kernels = 0;
    for name in
        functions.filter(|name| !["scratch_bytes", "release_scratch", "is_winograd", "kept_tile"].contains(name))
    {
        kernels += 1;
        assert!(calls.contains(&format!("{name}(")), "{name} is not called");
    }
    assert!(kernels >= 32, "{kernels} kernels were found");
}

/// The kernels' process.
fn child(isa: Isa, work: &str) -> Output {
    let test = "kernels_touch_nothing_outside_their_slices";
    let mut command = Command::new(std::env::current_exe().expect("the program knows its path"));
    command.args(["--exact", test, "--nocapture"]).env(CHILD, work);
    command.env("SFUMATO_ISA", format!("{isa:?}").to_lowercase()).output().expect("the program runs again")
}

fn read_outside(edge: Edge) {
    let values = edge.input(1, 1025);
    let outside = match edge {
        Edge::Start => values.as_ptr().wrapping_sub(1),
        Edge::End => values.as_ptr().wrapping_add(values.len()),
    };
    eprintln!("a read outside");
    // SAFETY: none; the page beside the slice cannot be read, which is what is tested.
    eprintln!("that gave {}", unsafe { outside.read_volatile() });
}

/// Says what is about to be done, then does it.
fn call(what: &str, sizes: &dyn std::fmt::Debug, f: impl FnOnce()) {
    eprintln!("{what} {sizes:?}");
    f();
}

fn optional(given: bool, values: &Fenced) -> Option<&[f32]> {
    given.then_some(values)
}

/// Sizes that are multiples of nothing, the same in every run.
struct Sizes(u64);

impl Sizes {
    fn up_to(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        1 + (self.0 >> 33) as usize % most
    }
}

fn every_kernel(edge: Edge) {
    let named = std::env::var("SFUMATO_ISA").expect("the parent names it");
    assert_eq!(format!("{:?}", Isa::current()).to_lowercase(), named);
    let mut sizes = Sizes(1);
    convolutions(edge, &mut sizes);
    for most in [[3, 40, 40, 40, 90]; 20].into_iter().chain([[20, 60, 60, 60, 300]; 5]) {
        let [n, a, b, k, pixels] = most.map(|most| sizes.up_to(most));
        joined_convolutions(edge, JoinedConv1x1 { n, c: [a, b], k, pixels });
    }
    for _ in 0..25 {
        let [n, c, k] = [4, 50, 50].map(|most| sizes.up_to(most));
        winograd_convolutions(edge, Conv3x3 { n, c, k, h: sizes.up_to(18), w: sizes.up_to(34) });
    }
    // The two ways of the weight gradient.
    winograd_convolutions(edge, Conv3x3 { n: 3, c: 64, k: 64, h: 15, w: 17 });
    winograd_convolutions(edge, Conv3x3 { n: 4, c: 160, k: 130, h: 9, w: 6 });
    for _ in 0..25 {
        let [n, c, k, h, w] = [4, 50, 50, 9, 17].map(|most| sizes.up_to(most));
        upsampled_convolutions(edge, UpsampleConv3x3 { n, c, k, h, w });
    }
    upsampled_convolutions(edge, UpsampleConv3x3 { n: 4, c: 160, k: 130, h: 5, w: 3 });
    for i in 0..30 {
        let groups = sizes.up_to(4);
        let (n, c, hw) = (sizes.up_to(3), groups * sizes.up_to(4), 1 + sizes.up_to(90));
        if hw > 0 {
            let norm = GroupNorm { n, c, hw, groups, eps: 1e-5, silu: i % 2 == 0 };
            norm_convs(edge, NormConv { norm, k: 1 + 7 * i % 19, h: 1, w: hw }, i % c);
        }
        group_norms(edge, GroupNorm { n, c, hw, groups, eps: 1e-5, silu: i % 2 == 0 }, i % 3 == 0, i % c);
    }
    for _ in 0..25 {
        let [heads, n, m] = [3, 120, 70].map(|most| sizes.up_to(most));
        attentions(edge, Attention { heads, n, m, d: sizes.up_to(40), d_v: sizes.up_to(40) });
        self_attentions(edge, SelfAttention { images: sizes.up_to(2), heads, tokens: m, d: sizes.up_to(40) });
    }
    for i in 0..25 {
        let groups = sizes.up_to(4);
        let [n, c, pixels] = [sizes.up_to(3), groups * sizes.up_to(9), sizes.up_to(110)];
        let (heads, d) = (sizes.up_to(3), sizes.up_to(40));
        attention_blocks(edge, AttentionBlock { n, c, pixels, heads, d, groups, eps: 1e-5 }, i % 3 > 0);
    }
    for sizes in [[7, 1300, 45], [1100, 20, 33], [1, 1, 1]] {
        linear_maps(edge, sizes);
    }
    for _ in 0..25 {
        linear_maps(edge, [150, 90, 90].map(|most| sizes.up_to(most)));
        products(edge, [70, 70, 70].map(|most| sizes.up_to(most)));
    }
    for n in (1..70).chain([16 * 1024 + 37]) {
        elementwise(edge, n);
    }
    for _ in 0..25 {
        moves(edge, [3, 5, 17, 37].map(|most| sizes.up_to(most)));
    }
}

fn convolutions(edge: Edge, sizes: &mut Sizes) {
    let same = |n, c, k, h, w| Conv2d { n, c, k, h, w, side: 3, stride: 1, padding: [1; 4] };
    let pointwise = |n, c, k, h, w| Conv2d { side: 1, padding: [0; 4], ..same(n, c, k, h, w) };
    let mut all = vec![
        same(2, 1, 32, 28, 28),
        same(2, 32, 1, 28, 28),
        same(1, 130, 70, 9, 5),
        pointwise(3, 70, 33, 7, 9),
        // As many pixels as the weight gradient of 1×1 kernels has its own algorithm for
        pointwise(13, 37, 70, 15, 17),
        pointwise(13, 45, 21, 15, 17),
        pointwise(18, 250, 270, 7, 9),
        Conv2d { stride: 2, ..same(2, 33, 34, 14, 14) },
        Conv2d { stride: 2, padding: [0, 0, 1, 1], ..same(2, 33, 34, 15, 12) },
        Conv2d { stride: 2, ..same(1, 3, 4, 5, 33) },
        Conv2d { stride: 2, padding: [0, 0, 1, 1], ..same(1, 3, 4, 2, 17) },
        Conv2d { stride: 2, padding: [0; 4], ..same(1, 2, 3, 32, 32) },
        Conv2d { stride: 3, ..same(1, 3, 4, 7, 16) },
    ];
    for _ in 0..20 {
        let [n, c, k, h, w] = [3, 40, 40, 13, 34].map(|most| sizes.up_to(most));
        all.extend([same(n, c, k, h, w), pointwise(n, c, k, h, w)]);
        let (side, stride, padding) = (sizes.up_to(4), sizes.up_to(3), [3; 4].map(|most| sizes.up_to(most) - 1));
        let [top, left, bottom, right] = padding;
        if h + top + bottom >= side && w + left + right >= side {
            all.push(Conv2d { side, stride, padding, ..same(n, c, k, h, w) });
        }
    }
    for s in all {
        let (x, w) = (edge.input(1, s.input_len()), edge.input(2, s.weight_len()));
        let (dy, bias) = (edge.input(3, s.output_len()), edge.input(4, s.k));
        let (residual, add) = (edge.input(5, s.output_len()), edge.input(6, s.input_len()));
        let (mut y, mut dx) = (edge.output(s.output_len()), edge.output(s.input_len()));
        let (mut dw, mut db) = (edge.output(s.weight_len()), edge.output(s.k));
        for given in [true, false] {
            let (bias, residual) = (optional(given, &bias), optional(given, &residual));
            call("conv2d", &s, || cpu::conv2d(&s, &x, &w, bias, residual, &mut y));
            let add = optional(given, &add);
            call("conv2d_backward_input", &s, || conv2d_backward_input(&s, &dy, &w, add, &mut dx));
            call("conv2d_backward", &s, || {
                conv2d_backward(&s, &x, &dy, &w, add, &mut dx, &mut dw, given.then_some(&mut db));
            });
        }
        call("conv2d_backward_weight", &s, || conv2d_backward_weight(&s, &x, &dy, Some(&mut dw), Some(&mut db)));
        call("weight gradient alone", &s, || conv2d_backward_weight(&s, &x, &dy, Some(&mut dw), None));
        call("bias gradient alone", &s, || conv2d_backward_weight(&s, &x, &dy, None, Some(&mut db)));
    }
}

fn joined_convolutions(edge: Edge, s: JoinedConv1x1) {
    let [x, skip] = [0, 1].map(|i| edge.input(1 + i as u64, s.input_len(i)));
    let [add, add_skip] = [0, 1].map(|i| edge.input(3 + i as u64, s.input_len(i)));
    let (w, bias, dy) = (edge.input(5, s.weight_len()), edge.input(6, s.k), edge.input(7, s.output_len()));
    let [mut dx, mut d_skip] = [0, 1].map(|i| edge.output(s.input_len(i)));
    let (mut y, mut dw, mut db) = (edge.output(s.output_len()), edge.output(s.weight_len()), edge.output(s.k));
    for given in [true, false] {
        call("conv1x1_joined", &s, || conv1x1_joined(&s, [&x, &skip], &w, optional(given, &bias), &mut y));
        let add = [optional(given, &add), optional(given, &add_skip)];
        call("conv1x1_joined_backward_input", &s, || {
            conv1x1_joined_backward_input(&s, &dy, &w, add, [&mut dx, &mut d_skip]);
        });
        call("conv1x1_joined_backward", &s, || {
            let db = given.then_some(&mut *db);
            conv1x1_joined_backward(&s, [&x, &skip], &dy, &w, add, [&mut dx, &mut d_skip], &mut dw, db);
        });
        call("conv1x1_joined_backward_weight", &s, || {
            conv1x1_joined_backward_weight(&s, [&x, &skip], &dy, given.then_some(&mut dw), Some(&mut db));
        });
    }
}

fn winograd_convolutions(edge: Edge, s: Conv3x3) {
    let (x, w) = (edge.input(1, s.input_len()), edge.input(2, s.weight_len()));
    let (dy, bias) = (edge.input(3, s.output_len()), edge.input(4, s.k));
    let (residual, add) = (edge.input(5, s.output_len()), edge.input(6, s.input_len()));
    let (mut y, mut dx) = (edge.output(s.output_len()), edge.output(s.input_len()));
    let (mut dw, mut db) = (edge.output(s.weight_len()), edge.output(s.k));
    for tile in [TileSize::Two, TileSize::Four] {
        let sizes = (tile, s);
        for given in [true, false] {
            let (bias, residual) = (optional(given, &bias), optional(given, &residual));
            call("conv3x3", &sizes, || winograd::conv3x3(&s, tile, &x, &w, bias, residual, &mut y));
            call("conv3x3_filtered", &sizes, || {
                let filters = Filters::new(tile, s.k, s.c, &w);
                winograd::conv3x3_filtered(&s, &x, &filters, bias, residual, &mut y);
            });
            let add = optional(given, &add);
            call("conv3x3_backward_input", &sizes, || {
                winograd::conv3x3_backward_input(&s, tile, &dy, &w, add, &mut dx);
            });
        }
        call("conv3x3_backward_weight", &sizes, || {
            winograd::conv3x3_backward_weight(&s, tile, &x, &dy, &mut dw, &mut db);
        });
    }
}

fn upsampled_convolutions(edge: Edge, s: UpsampleConv3x3) {
    let (x, w, dy) = (edge.input(1, s.input_len()), edge.input(2, s.weight_len()), edge.input(3, s.output_len()));
    let (bias, add) = (edge.input(4, s.k), edge.input(5, s.input_len()));
    let (mut y, mut dx) = (edge.output(s.output_len()), edge.output(s.input_len()));
    let (mut dw, mut db) = (edge.output(s.weight_len()), edge.output(s.k));
    for given in [true, false] {
        call("upsample_conv3x3", &s, || {
            winograd::upsample_conv3x3(&s, &x, &w, optional(given, &bias), &mut y);
        });
        call("upsample_conv3x3_backward", &s, || {
            let add = optional(given, &add);
            winograd::upsample_conv3x3_backward(&s, &x, &dy, &w, add, &mut dx, &mut dw, &mut db);
        });
    }
}

fn group_norms(edge: Edge, s: GroupNorm, own_affine: bool, skip: usize) {
    let (pixels, statistics) = (s.n * s.hw, s.n * s.groups);
    let (len, affine_len) = (s.c * pixels, if own_affine { s.n * s.c } else { s.c });
    let parts = [(s.c - skip) * pixels, skip * pixels];
    let [x, of_skip] = [0, 1].map(|i| edge.input(1 + i as u64, parts[i]));
    let [add, add_skip] = [0, 1].map(|i| edge.input(3 + i as u64, parts[i]));
    let (dy, bias) = (edge.input(5, len), edge.input(6, s.n * s.c));
    let (scale, offset) = (edge.input(7, affine_len), edge.input(8, affine_len));
    let affine = Affine { scale: &scale, offset: &offset };
    let (mut y, mut mean, mut rstd) = (edge.output(len), edge.output(statistics), edge.output(statistics));
    let [mut dx, mut d_skip] = parts.map(|len| edge.output(len));
    let [mut d_bias, mut d_scale, mut d_offset] = [(); 3].map(|()| edge.output(s.n * s.c));
    for given in [true, false] {
        let bias: &[f32] = if given { &bias } else { &[] };
        let sizes = (s, skip, given);
        let input = NormInput { x: &x, skip: &of_skip, bias };
        call("group_norm", &sizes, || cpu::group_norm(&s, input, affine, &mut y, &mut mean, &mut rstd));
        let statistics = Statistics { mean: &mean, rstd: &rstd };
        let add = [optional(given, &add), optional(given, &add_skip)];
        call("group_norm_backward", &sizes, || {
            let bias: &mut [f32] = if given { &mut d_bias } else { &mut [] };
            let d = NormGradients {
                x: &mut dx,
                skip: &mut d_skip,
                bias,
                scale: &mut d_scale,
                offset: &mut d_offset,
                y: &mut [],
            };
            group_norm_backward(&s, input, statistics, affine, &dy, add, d);
        });
    }
}

fn norm_convs(edge: Edge, s: NormConv, skip: usize) {
    let GroupNorm { n, c, hw, groups, .. } = s.norm;
    let parts = [(c - skip) * n * hw, skip * n * hw];
    let [x, of_skip] = [0, 1].map(|i| edge.input(1 + i as u64, parts[i]));
    let [add, add_skip] = [0, 1].map(|i| edge.input(3 + i as u64, parts[i]));
    let (bias, scale, offset) = (edge.input(5, n * c), edge.input(6, c), edge.input(7, c));
    let affine = Affine { scale: &scale, offset: &offset };
    let (w, own_bias) = (edge.input(8, 9 * c * s.k), edge.input(9, s.k));
    let (dy, residual) = (edge.input(10, s.output_len()), edge.input(11, s.output_len()));
    let (mut y, mut mean, mut rstd) = (edge.output(s.output_len()), edge.output(n * groups), edge.output(n * groups));
    let [mut dx, mut d_skip] = parts.map(|len| edge.output(len));
    let [mut d_bias, mut d_scale, mut d_offset] = [(); 3].map(|()| edge.output(n * c));
    let (mut dw, mut db) = (edge.output(w.len()), edge.output(s.k));
    let input = NormInput { x: &x, skip: &of_skip, bias: &bias };
    call("norm_conv", &s, || {
        let filters = Filters::new(TileSize::for_size(s.h, s.w), s.k, c, &w);
        let (own_bias, residual) = (Some(&own_bias[..]), Some(&residual[..]));
        cpu::norm_conv(&s, input, affine, &filters, own_bias, residual, &mut y, [&mut mean, &mut rstd]);
    });
    call("norm_conv_backward", &s, || {
        let (scale, offset) = (&mut d_scale[..], &mut d_offset[..]);
        let norm = NormGradients { x: &mut dx, skip: &mut d_skip, bias: &mut d_bias, scale, offset, y: &mut [] };
        let d = NormConvGradients { norm, weight: &mut dw, bias: &mut db };
        let statistics = Statistics { mean: &mean, rstd: &rstd };
        norm_conv_backward(&s, input, statistics, affine, &w, &dy, [Some(&add), Some(&add_skip)], d);
    });
}

fn attentions(edge: Edge, s: Attention) {
    let lens = [s.heads * s.n * s.d, s.heads * s.m * s.d, s.heads * s.m * s.d_v];
    let [q, k, v] = lens.map(|len| edge.input(len as u64, len));
    let (dy, mut y) = (edge.input(4, s.heads * s.n * s.d_v), edge.output(s.heads * s.n * s.d_v));
    let [mut dq, mut dk, mut dv] = lens.map(|len| edge.output(len));
    call("attention", &s, || cpu::attention(&s, [&q, &k, &v], &mut y));
    call("attention_backward", &s, || attention_backward(&s, [&q, &k, &v], &dy, [&mut dq, &mut dk, &mut dv]));
}

fn self_attentions(edge: Edge, s: SelfAttention) {
    let len = s.images * s.heads * s.tokens * s.d;
    let (x, dy) = (edge.input(1, 3 * len), edge.input(2, len));
    let (mut y, mut dx) = (edge.output(len), edge.output(3 * len));
    call("self_attention", &s, || self_attention(&s, &x, &mut y));
    call("self_attention_backward", &s, || self_attention_backward(&s, &x, &dy, &mut dx));
}

fn attention_blocks(edge: Edge, s: AttentionBlock, normed: bool) {
    let inner = s.heads * s.d;
    let lens = [inner, inner, inner, s.c];
    let (x, dy, affine) = (edge.input(1, s.len()), edge.input(2, s.len()), [3, 4].map(|seed| edge.input(seed, s.c)));
    let weight = [5, 6, 7, 8].map(|seed| edge.input(seed, inner * s.c));
    let bias = [0, 1, 2, 3].map(|i| edge.input(9 + i as u64, lens[i]));
    let w = AttentionWeights {
        norm: normed.then_some(Affine { scale: &affine[0], offset: &affine[1] }),
        weight: weight.each_ref().map(|w| &w[..]),
        bias: bias.each_ref().map(|b| &b[..]),
    };
    let (mut y, mut dx) = (edge.output(s.len()), edge.output(s.len()));
    let mut qkv = edge.output(s.qkv_len());
    let (mut attended, mut softmax) = (edge.output(s.attended_len()), edge.output(s.softmax_len()));
    call("attention_block", &s, || attention_block(&s, &x, &w, None, &mut y));
    call("attention_block, saving", &s, || {
        let saved = AttentionSaved { qkv: &mut qkv, attended: &mut attended, softmax: &mut softmax };
        attention_block(&s, &x, &w, Some(saved), &mut y);
    });
    let mut norm = [(); 2].map(|()| edge.output(if normed { s.c } else { 0 }));
    let mut d_weight = [(); 4].map(|()| edge.output(inner * s.c));
    let mut d_bias = lens.map(|len| edge.output(len));
    call("attention_block_backward", &s, || {
        let d = AttentionBlockGradients {
            x: &mut dx,
            norm: norm.each_mut().map(|d| &mut d[..]),
            weight: d_weight.each_mut().map(|d| &mut d[..]),
            bias: d_bias.each_mut().map(|d| &mut d[..]),
        };
        attention_block_backward(&s, &x, &w, [&qkv, &attended, &softmax], &dy, d);
    });
}

fn linear_maps(edge: Edge, s @ [rows, d_in, d_out]: [usize; 3]) {
    let (x, w) = (edge.input(1, rows * d_in), edge.input(2, d_out * d_in));
    let (bias, dy) = (edge.input(3, d_out), edge.input(4, rows * d_out));
    let (mut y, mut dx) = (edge.output(rows * d_out), edge.output(rows * d_in));
    let (mut dw, mut db) = (edge.output(d_out * d_in), edge.output(d_out));
    for given in [true, false] {
        call("linear", &s, || linear(s, &x, &w, optional(given, &bias), &mut y));
    }
    call("linear_backward_input", &s, || linear_backward_input(s, &dy, &w, &mut dx));
    call("linear_backward_weight", &s, || linear_backward_weight(s, &x, &dy, &mut dw));
    call("sum_rows", &s, || sum_rows(&dy, d_out, &mut db));
}

fn products(edge: Edge, s @ [m, n, k]: [usize; 3]) {
    let (a, b) = (edge.input(1, m * k), edge.input(2, k * n));
    let (bias, mut c) = (edge.input(3, n), edge.output(m * n));
    let layouts = |values, rows, columns| [Matrix::rows(values, columns), Matrix::rows(values, rows).transposed()];
    for (a, b) in layouts(&a, m, k).into_iter().flat_map(|a| layouts(&b, k, n).map(|b| (a, b))) {
        call("gemm", &s, || gemm(s, a, b, Some(&bias), &mut c));
    }
}

fn elementwise(edge: Edge, n: usize) {
    let (x, dy, mut y) = (edge.input(1, n), edge.input(2, n), edge.output(n));
    call("silu", &n, || silu(&x, &mut y));
    call("silu_backward", &n, || silu_backward(&x, &dy, &mut y));
    call("add", &n, || {
        y.copy_from_slice(&x);
        add(&mut y, &dy);
    });
    call("sum_of_squares", &n, || assert!(sum_of_squares(&[&x, &[], &dy]) >= 0.0));
    let outputs = || [1, 2, 3, 4].map(|_| edge.output(n));
    let ([mut p1, mut m1, mut v1, mut ema], [mut p2, mut m2, mut v2, _]) = (outputs(), outputs());
    let averaged = AdamSlices { grad: &x, param: &mut p1, m: &mut m1, v: &mut v1, ema: Some(&mut ema) };
    let plain = AdamSlices { grad: &dy, param: &mut p2, m: &mut m2, v: &mut v2, ema: None };
    call("adam", &n, || adam(&ADAM, vec![averaged, plain]));
}

fn moves(edge: Edge, s @ [n, c, h, w]: [usize; 4]) {
    let (planes, pixels) = (n * c, h * w);
    let len = planes * pixels;
    let (x, dy) = (edge.input(1, len), edge.input(2, 4 * len));
    let (mut y, mut dx) = (edge.output(4 * len), edge.output(len));
    call("upsample_nearest_2x", &s, || upsample_nearest_2x(h, w, &x, &mut y));
    call("upsample_nearest_2x_backward", &s, || upsample_nearest_2x_backward(h, w, &dy, &mut dx));
    let (other, mut both) = (edge.input(3, n * 3 * pixels), edge.output(len + n * 3 * pixels));
    call("concat", &s, || concat(n, &x, &other, &mut both));
    let mut second = edge.output(n * 3 * pixels);
    call("part", &s, || part(n, &both, c * pixels, &mut second));
    let bias = edge.input(4, planes);
    call("add_channel_bias", &s, || add_channel_bias(&x, &bias, &mut dx));
    let (mut sums, mut channels) = (edge.output(planes), edge.output(c));
    call("sum_pixels", &s, || sum_pixels(&x, &mut sums));
    call("sum_images", &s, || sum_images(&x, n, c, &mut channels));
}
