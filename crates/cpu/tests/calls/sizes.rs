//! Sizes of the calls: multiples of nothing, the same in every run.

use super::Kind;
use sfumato_cpu::Conv2d;

struct Sizes(u64);

impl Sizes {
    fn up_to(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        1 + (self.0 >> 33) as usize % most
    }
}

/// Kinds and sizes that take every way through every kernel.
pub(crate) fn every_case() -> Vec<(Kind, Vec<usize>)> {
    let (mut sizes, mut cases) = (Sizes(1), Vec::new());
    let mut case = |kind: Kind, sizes: &[usize]| cases.push((kind, sizes.to_vec()));
    for Conv2d { n, c, k, h, w, side, stride, padding: [top, left, bottom, right] } in convolutions(&mut sizes) {
        case(Kind::Conv, &[n, c, k, h, w, side, stride, top, left, bottom, right]);
    }
    for most in [[3, 40, 40, 40, 90]; 20].into_iter().chain([[20, 60, 60, 60, 300]; 5]) {
        let [n, a, b, k, pixels] = most.map(|most| sizes.up_to(most));
        case(Kind::Joined, &[n, a, b, k, pixels]);
    }
    for _ in 0..25 {
        let [n, c, k] = [4, 50, 50].map(|most| sizes.up_to(most));
        case(Kind::Winograd, &[n, c, k, sizes.up_to(18), sizes.up_to(34)]);
    }
    // The two ways of the weight gradient.
    case(Kind::Winograd, &[3, 64, 64, 15, 17]);
    case(Kind::Winograd, &[4, 160, 130, 9, 6]);
    for _ in 0..25 {
        let [n, c, k, h, w] = [4, 50, 50, 9, 17].map(|most| sizes.up_to(most));
        case(Kind::Upsampled, &[n, c, k, h, w]);
    }
    case(Kind::Upsampled, &[4, 160, 130, 5, 3]);
    for i in 0..30 {
        let groups = sizes.up_to(4);
        let (n, c, hw) = (sizes.up_to(3), groups * sizes.up_to(4), 1 + sizes.up_to(90));
        let silu = usize::from(i % 2 == 0);
        case(Kind::NormConv, &[n, c, groups, 1 + 7 * i % 19, 1, hw, i % c, silu]);
        case(Kind::Norm, &[n, c, hw, groups, i % c, silu + 2 * usize::from(i % 3 == 0)]);
    }
    for _ in 0..25 {
        let [heads, n, m] = [3, 120, 70].map(|most| sizes.up_to(most));
        case(Kind::Attention, &[heads, n, m, sizes.up_to(40), sizes.up_to(40)]);
        case(Kind::SelfAttention, &[sizes.up_to(2), heads, m, sizes.up_to(40)]);
    }
    for i in 0..25 {
        let groups = sizes.up_to(4);
        let [n, c, pixels] = [sizes.up_to(3), groups * sizes.up_to(9), sizes.up_to(110)];
        let (heads, d) = (sizes.up_to(3), sizes.up_to(40));
        case(Kind::Block, &[n, c, pixels, heads, d, groups, usize::from(i % 3 > 0)]);
    }
    for sizes in [[7, 1300, 45], [1100, 20, 33], [1, 1, 1]] {
        case(Kind::Linear, &sizes);
    }
    for _ in 0..25 {
        case(Kind::Linear, &[150, 90, 90].map(|most| sizes.up_to(most)));
        case(Kind::Product, &[70, 70, 70].map(|most| sizes.up_to(most)));
    }
    for n in (1..70).chain([16 * 1024 + 37]) {
        case(Kind::Elementwise, &[n]);
    }
    for _ in 0..25 {
        case(Kind::Moves, &[3, 5, 17, 37].map(|most| sizes.up_to(most)));
    }
    cases
}

/// Convolutions of every kind.
fn convolutions(sizes: &mut Sizes) -> Vec<Conv2d> {
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
    all
}
