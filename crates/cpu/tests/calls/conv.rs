//! Calls of the convolutions.

use super::{Memory, optional};
use sfumato_cpu::winograd::{self, Conv3x3, Filters, TileSize, UpsampleConv3x3};
use sfumato_cpu::{self as cpu, *};

pub(crate) fn convolutions(m: &impl Memory, fit: Conv2d, s: Conv2d) {
    let (x, w) = (m.input(1, fit.input_len()), m.input(2, fit.weight_len()));
    let (dy, bias) = (m.input(3, fit.output_len()), m.input(4, fit.k));
    let (residual, add) = (m.input(5, fit.output_len()), m.input(6, fit.input_len()));
    let (mut y, mut dx) = (m.output(fit.output_len()), m.output(fit.input_len()));
    let (mut dw, mut db) = (m.output(fit.weight_len()), m.output(fit.k));
    for given in [true, false] {
        let (bias, residual) = (optional(given, &bias), optional(given, &residual));
        m.call("conv2d", &s, || cpu::conv2d(&s, &x, &w, bias, residual, &mut y));
        m.call("fresh::conv2d", &s, || fresh::conv2d(&s, &x, &w, bias, residual));
        let add = optional(given, &add);
        m.call("conv2d_backward_input", &s, || conv2d_backward_input(&s, &dy, &w, add, &mut dx));
        m.call("fresh::conv2d_backward_input", &s, || fresh::conv2d_backward_input(&s, &dy, &w, add));
        m.call("conv2d_backward", &s, || {
            conv2d_backward(&s, &x, &dy, &w, add, &mut dx, &mut dw, given.then(|| &mut db[..]));
        });
        m.call("fresh::conv2d_backward", &s, || {
            fresh::conv2d_backward(&s, &x, &dy, &w, add, given.then(|| &mut db[..]))
        });
        m.call("fresh::conv2d_backward_weight", &s, || {
            fresh::conv2d_backward_weight(&s, &x, &dy, given.then(|| &mut db[..]))
        });
    }
    m.call("conv2d_backward_weight", &s, || conv2d_backward_weight(&s, &x, &dy, Some(&mut dw), Some(&mut db)));
    m.call("conv2d_backward_weight, weight alone", &s, || conv2d_backward_weight(&s, &x, &dy, Some(&mut dw), None));
    m.call("conv2d_backward_weight, bias alone", &s, || conv2d_backward_weight(&s, &x, &dy, None, Some(&mut db)));
}

pub(crate) fn joined_convolutions(m: &impl Memory, fit: JoinedConv1x1, s: JoinedConv1x1) {
    let [x, skip] = [0, 1].map(|i| m.input(1 + i as u64, fit.input_len(i)));
    let [add, add_skip] = [0, 1].map(|i| m.input(3 + i as u64, fit.input_len(i)));
    let (w, bias, dy) = (m.input(5, fit.weight_len()), m.input(6, fit.k), m.input(7, fit.output_len()));
    let [mut dx, mut d_skip] = [0, 1].map(|i| m.output(fit.input_len(i)));
    let (mut y, mut dw, mut db) = (m.output(fit.output_len()), m.output(fit.weight_len()), m.output(fit.k));
    for given in [true, false] {
        m.call("conv1x1_joined", &s, || conv1x1_joined(&s, [&x, &skip], &w, optional(given, &bias), &mut y));
        m.call("fresh::conv1x1_joined", &s, || fresh::conv1x1_joined(&s, [&x, &skip], &w, optional(given, &bias)));
        let add = [optional(given, &add), optional(given, &add_skip)];
        m.call("fresh::conv1x1_joined_backward_input", &s, || fresh::conv1x1_joined_backward_input(&s, &dy, &w, add));
        m.call("fresh::conv1x1_joined_backward", &s, || {
            let db = given.then(|| &mut db[..]);
            let ([first, second], dw) = fresh::conv1x1_joined_backward(&s, [&x, &skip], &dy, &w, add, db);
            [first, second, dw]
        });
        m.call("fresh::conv1x1_joined_backward_weight", &s, || {
            fresh::conv1x1_joined_backward_weight(&s, [&x, &skip], &dy, Some(&mut db))
        });
        m.call("conv1x1_joined_backward_input", &s, || {
            conv1x1_joined_backward_input(&s, &dy, &w, add, [&mut dx, &mut d_skip]);
        });
        m.call("conv1x1_joined_backward", &s, || {
            let db = given.then(|| &mut db[..]);
            conv1x1_joined_backward(&s, [&x, &skip], &dy, &w, add, [&mut dx, &mut d_skip], &mut dw, db);
        });
        m.call("conv1x1_joined_backward_weight", &s, || {
            conv1x1_joined_backward_weight(&s, [&x, &skip], &dy, given.then(|| &mut dw[..]), Some(&mut db));
        });
    }
}

pub(crate) fn winograd_convolutions(m: &impl Memory, fit: Conv3x3, s: Conv3x3) {
    let (x, w) = (m.input(1, fit.input_len()), m.input(2, fit.weight_len()));
    let (dy, bias) = (m.input(3, fit.output_len()), m.input(4, fit.k));
    let (residual, add) = (m.input(5, fit.output_len()), m.input(6, fit.input_len()));
    let (mut y, mut dx) = (m.output(fit.output_len()), m.output(fit.input_len()));
    let (mut dw, mut db) = (m.output(fit.weight_len()), m.output(fit.k));
    for tile in [TileSize::Two, TileSize::Four] {
        let sizes = (tile, s);
        for given in [true, false] {
            let (bias, residual) = (optional(given, &bias), optional(given, &residual));
            m.call("conv3x3", &sizes, || winograd::conv3x3(&s, tile, &x, &w, bias, residual, &mut y));
            m.call("conv3x3_filtered", &sizes, || {
                let filters = Filters::new(tile, s.k, s.c, &w);
                winograd::conv3x3_filtered(&s, &x, &filters, bias, residual, &mut y);
            });
            m.call("fresh::conv3x3_filtered", &sizes, || {
                fresh::conv3x3_filtered(&s, &x, &Filters::new(tile, s.k, s.c, &w), bias, residual)
            });
            m.call("Filters::new", &sizes, || drop(Filters::new(tile, s.k, s.c, &w)));
            m.call("Filters::with", &sizes, || {
                Filters::with(tile, s.k, s.c, &w, |filters| {
                    winograd::conv3x3_filtered(&s, &x, filters, bias, residual, &mut y);
                });
            });
            let add = optional(given, &add);
            m.call("conv3x3_backward_input", &sizes, || {
                winograd::conv3x3_backward_input(&s, tile, &dy, &w, add, &mut dx);
            });
        }
        m.call("conv3x3_backward_weight", &sizes, || {
            winograd::conv3x3_backward_weight(&s, tile, &x, &dy, &mut dw, &mut db);
        });
    }
}

pub(crate) fn upsampled_convolutions(m: &impl Memory, fit: UpsampleConv3x3, s: UpsampleConv3x3) {
    let (x, w, dy) = (m.input(1, fit.input_len()), m.input(2, fit.weight_len()), m.input(3, fit.output_len()));
    let (bias, add) = (m.input(4, fit.k), m.input(5, fit.input_len()));
    let (mut y, mut dx) = (m.output(fit.output_len()), m.output(fit.input_len()));
    let (mut dw, mut db) = (m.output(fit.weight_len()), m.output(fit.k));
    for given in [true, false] {
        m.call("upsample_conv3x3", &s, || {
            winograd::upsample_conv3x3(&s, &x, &w, optional(given, &bias), &mut y);
        });
        m.call("upsample_conv3x3_backward", &s, || {
            let add = optional(given, &add);
            winograd::upsample_conv3x3_backward(&s, &x, &dy, &w, add, &mut dx, &mut dw, &mut db);
        });
        m.call("fresh::upsample_conv3x3", &s, || fresh::upsample_conv3x3(&s, &x, &w, optional(given, &bias)));
        m.call("fresh::upsample_conv3x3_backward", &s, || {
            fresh::upsample_conv3x3_backward(&s, &x, &dy, &w, optional(given, &add))
        });
    }
}
