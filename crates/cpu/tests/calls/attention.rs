//! Calls of attention, of tokens, of pixels, and as a block.

use super::Memory;
use sfumato_cpu::{self as cpu, *};

pub(crate) fn attentions(m: &impl Memory, fit: Attention, s: Attention) {
    let lens = [fit.heads * fit.n * fit.d, fit.heads * fit.m * fit.d, fit.heads * fit.m * fit.d_v];
    let [q, k, v] = lens.map(|len| m.input(len as u64, len));
    let (dy, mut y) = (m.input(4, fit.heads * fit.n * fit.d_v), m.output(fit.heads * fit.n * fit.d_v));
    let [mut dq, mut dk, mut dv] = lens.map(|len| m.output(len));
    m.call("attention", &s, || cpu::attention(&s, [&q, &k, &v], &mut y));
    m.call("attention_backward", &s, || attention_backward(&s, [&q, &k, &v], &dy, [&mut dq, &mut dk, &mut dv]));
    m.call("fresh::attention", &s, || fresh::attention(&s, [&q, &k, &v]));
    m.call("fresh::attention_backward", &s, || fresh::attention_backward(&s, [&q, &k, &v], &dy));
}

pub(crate) fn self_attentions(m: &impl Memory, fit: SelfAttention, s: SelfAttention) {
    let len = fit.images * fit.heads * fit.tokens * fit.d;
    let (x, dy) = (m.input(1, 3 * len), m.input(2, len));
    let (mut y, mut dx) = (m.output(len), m.output(3 * len));
    m.call("self_attention", &s, || self_attention(&s, &x, &mut y));
    m.call("self_attention_backward", &s, || self_attention_backward(&s, &x, &dy, &mut dx));
    m.call("fresh::self_attention", &s, || fresh::self_attention(&s, &x));
    m.call("fresh::self_attention_backward", &s, || fresh::self_attention_backward(&s, &x, &dy));
}

pub(crate) fn attention_blocks(m: &impl Memory, fit: AttentionBlock, s: AttentionBlock, normed: bool) {
    let inner = fit.heads * fit.d;
    let lens = [inner, inner, inner, fit.c];
    let (x, dy, affine) = (m.input(1, fit.len()), m.input(2, fit.len()), [3, 4].map(|seed| m.input(seed, fit.c)));
    let weight = [5, 6, 7, 8].map(|seed| m.input(seed, inner * fit.c));
    let bias = [0, 1, 2, 3].map(|i| m.input(9 + i as u64, lens[i]));
    let w = AttentionWeights {
        norm: normed.then(|| Affine { scale: &affine[0], offset: &affine[1] }),
        weight: weight.each_ref().map(|w| &w[..]),
        bias: bias.each_ref().map(|b| &b[..]),
    };
    let (mut y, mut dx) = (m.output(fit.len()), m.output(fit.len()));
    let mut qkv = m.output(fit.qkv_len());
    let (mut attended, mut softmax) = (m.output(fit.attended_len()), m.output(fit.softmax_len()));
    m.call("attention_block", &s, || attention_block(&s, &x, &w, None, &mut y));
    m.call("attention_block, saving", &s, || {
        let saved = AttentionSaved { qkv: &mut qkv, attended: &mut attended, softmax: &mut softmax };
        attention_block(&s, &x, &w, Some(saved), &mut y);
    });
    m.call("fresh::attention_block", &s, || fresh::attention_block(&s, &x, &w));
    m.call("fresh::attention_block_saving", &s, || {
        let fresh::AttentionBlockSaved { y, saved: [qkv, attended, softmax] } =
            fresh::attention_block_saving(&s, &x, &w);
        [y, qkv, attended, softmax]
    });
    m.call("fresh::attention_block_backward", &s, || {
        let got = fresh::attention_block_backward(&s, &x, &w, [&qkv, &attended, &softmax], &dy);
        [vec![got.x], got.norm.to_vec(), got.weight.to_vec(), got.bias.to_vec()].concat().concat()
    });
    let mut norm = [(); 2].map(|()| m.output(if normed { fit.c } else { 0 }));
    let mut d_weight = [(); 4].map(|()| m.output(inner * fit.c));
    let mut d_bias = lens.map(|len| m.output(len));
    m.call("attention_block_backward", &s, || {
        let d = AttentionBlockGradients {
            x: &mut dx,
            norm: norm.each_mut().map(|d| &mut d[..]),
            weight: d_weight.each_mut().map(|d| &mut d[..]),
            bias: d_bias.each_mut().map(|d| &mut d[..]),
        };
        attention_block_backward(&s, &x, &w, [&qkv, &attended, &softmax], &dy, d);
    });
}
