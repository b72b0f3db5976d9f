//! The three-sample test of data-copying: Meehan, Chaudhuri & Dasgupta (2020), arXiv:2004.05675.

use super::Estimate;

/// Samples, and test pictures, that a cell must have to count.
pub const CELL_LEAST: usize = 20;

/// Distance to the nearest training picture, and the cell that a picture lies in.
type Placed = (f64, usize);

/// `C_T`: whether samples are nearer to the training set than test pictures are.
///
/// Space is cut into cells. In each the distances of samples and of test pictures to their nearest training pictures are compared by
/// the Mann-Whitney test, whose normal score is `Z`. `C_T` is the mean of `Z` over cells with at least [`CELL_LEAST`] samples and test
/// pictures, weighted by the test pictures. Far below 0 means copies, far above 0 means samples away from the data.
///
/// Under the hypothesis of no difference every `Z` has variance 1, which gives the standard error. `None` if no cell is large enough.
pub fn data_copying(samples: &[Placed], test: &[Placed]) -> Option<Estimate> {
    let cells = samples.iter().chain(test).map(|&(_, cell)| cell + 1).max().unwrap_or(0);
    let mut split = vec![(Vec::new(), Vec::new()); cells];
    samples.iter().for_each(|&(distance, cell)| split[cell].0.push(distance));
    test.iter().for_each(|&(distance, cell)| split[cell].1.push(distance));
    let large = split.iter().filter(|(samples, test)| samples.len().min(test.len()) >= CELL_LEAST);
    let scores: Vec<[f64; 2]> = large.map(|(samples, test)| [test.len() as f64, mann_whitney(samples, test)]).collect();
    let weight: f64 = scores.iter().map(|[weight, _]| weight).sum();
    let squares: f64 = scores.iter().map(|[weight, _]| weight * weight).sum();
    let value = scores.iter().map(|[weight, z]| weight * z).sum::<f64>() / weight;
    (weight > 0.0).then(|| Estimate::new(value, squares.sqrt() / weight))
}

/// The normal score of the Mann-Whitney statistic of `a`, with ties: below 0 if `a` tends to be smaller.
fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = a.iter().map(|&x| (x, true)).chain(b.iter().map(|&x| (x, false))).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (n, m, count) = (a.len() as f64, b.len() as f64, all.len() as f64);
    let (mut before, mut ranks, mut ties) = (0.0, 0.0, 0.0);
    for group in all.chunk_by(|x, y| x.0 == y.0) {
        let size = group.len() as f64;
        let own = group.iter().filter(|(_, own)| *own).count() as f64;
        ranks += own * (before + (size + 1.0) / 2.0);
        ties += size.powi(3) - size;
        before += size;
    }
    let u = ranks - n * (n + 1.0) / 2.0;
    let variance = n * m / 12.0 * (count + 1.0 - ties / (count * (count - 1.0)));
    // All distances are the same: nothing tells the sets apart.
    if variance > 0.0 { (u - n * m / 2.0) / variance.sqrt() } else { 0.0 }
}
