//! Precision and recall, density and coverage: Kynkäänniemi et al. (2019), arXiv:1904.06991; Naeem et al. (2020), arXiv:2002.09797.

use std::ops::Range;

use serde::Serialize;

use super::{
    Estimate, Rows, RowsError,
    estimate::mean_and_variance,
    rows::check,
    tiles::{Tile, bands, squared_distance},
};

/// Neighbours that make a neighbourhood: the usual number of the package `prdc`.
pub const NEIGHBOURS: usize = 5;

/// How two sets overlap. A picture's neighbourhood reaches to the 5th nearest picture of its own set, which is no longer inside.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Manifolds {
    /// The share of samples that lie in the neighbourhood of a real picture: how many look real.
    pub precision: Estimate,
    /// The share of real pictures that lie in the neighbourhood of a sample: how much of the data the samples can make.
    pub recall: Estimate,
    /// How many neighbourhoods of real pictures a sample lies in, over 5: as precision, less led astray by outliers. It may pass 1.
    pub density: Estimate,
    /// The share of real pictures with a sample in their neighbourhood: as recall, less led astray by outliers.
    pub coverage: Estimate,
}

/// Precision, recall, density and coverage of `samples` with respect to `real`, with [`NEIGHBOURS`].
///
/// The standard errors have two parts: the spread over the pictures that are counted, and a jackknife over the pictures whose
/// neighbourhoods they are counted in. The radii are held fixed in both.
///
/// # Errors
/// [`RowsError`] if a set has no more than [`NEIGHBOURS`] rows, or the features differ in number.
pub fn manifolds(real: &Rows, samples: &Rows) -> Result<Manifolds, RowsError> {
    check(real, samples, NEIGHBOURS + 1)?;
    let radii = Radii { real: radii(real), samples: radii(samples) };
    let squares = [real.squares(), samples.squares()];
    let counted = bands(
        real,
        samples,
        |rows| Counts::new(rows, samples.len()),
        |counts, tile| counts.add(tile, &squares, &radii),
    );
    Ok(summary(&counted, samples.len()))
}

/// Squared distances from each picture to the k-th nearest other one of its set.
struct Radii {
    real: Vec<f64>,
    samples: Vec<f64>,
}

fn radii(rows: &Rows) -> Vec<f64> {
    let squares = rows.squares();
    let nearest = bands(
        rows,
        rows,
        |rows| vec![[f64::INFINITY; NEIGHBOURS]; rows.len()],
        |nearest, tile| {
            for ((i, products), nearest) in tile.each().zip(nearest) {
                for (j, &product) in tile.columns.clone().zip(products) {
                    let squared = squared_distance(squares[i], squares[j], product);
                    if squared < nearest[NEIGHBOURS - 1] && i != j {
                        insert(nearest, squared);
                    }
                }
            }
        },
    );
    nearest.concat().into_iter().map(|nearest| nearest[NEIGHBOURS - 1]).collect()
}

/// Puts a distance, smaller than the last, in its place.
fn insert(sorted: &mut [f64; NEIGHBOURS], value: f64) {
    let place = sorted.partition_point(|&before| before <= value);
    sorted.copy_within(place..NEIGHBOURS - 1, place + 1);
    sorted[place] = value;
}

/// How often something was met, and where last.
#[derive(Clone, Copy, Default)]
struct Met {
    times: u32,
    last: u32,
}

impl Met {
    fn meet(&mut self, whom: usize) {
        *self = Self { times: self.times + 1, last: whom as u32 };
    }
}

/// Who lies in whose neighbourhood, for some real pictures and all samples.
struct Counts {
    first: usize,
    /// Samples in the neighbourhood of each real picture.
    inside: Vec<Met>,
    /// Samples whose neighbourhood each real picture lies in.
    covered: Vec<Met>,
    /// Real pictures whose neighbourhood each sample lies in.
    by_sample: Vec<Met>,
}

impl Counts {
    fn new(rows: Range<usize>, samples: usize) -> Self {
        let none = |count| vec![Met::default(); count];
        Self { first: rows.start, inside: none(rows.len()), covered: none(rows.len()), by_sample: none(samples) }
    }

    fn add(&mut self, tile: &Tile<'_>, squares: &[Vec<f64>; 2], radii: &Radii) {
        for (i, products) in tile.each() {
            let (inside, covered) = (&mut self.inside[i - self.first], &mut self.covered[i - self.first]);
            for (j, &product) in tile.columns.clone().zip(products) {
                let squared = squared_distance(squares[0][i], squares[1][j], product);
                if squared < radii.real[i] {
                    inside.meet(j);
                    self.by_sample[j].meet(i);
                }
                if squared < radii.samples[j] {
                    covered.meet(j);
                }
            }
        }
    }
}

fn summary(counted: &[Counts], samples: usize) -> Manifolds {
    let mut by_sample = vec![Met::default(); samples];
    for counts in counted {
        for (all, part) in by_sample.iter_mut().zip(&counts.by_sample).filter(|(_, part)| part.times > 0) {
            *all = Met { times: all.times + part.times, last: part.last };
        }
    }
    let joined = |part: fn(&Counts) -> &Vec<Met>| counted.iter().flat_map(|c| part(c).iter().copied()).collect();
    let (inside, covered): (Vec<Met>, Vec<Met>) = (joined(|c| &c.inside), joined(|c| &c.covered));
    let reals = inside.len();
    Manifolds {
        precision: share(&by_sample, reals),
        recall: share(&covered, samples),
        density: density(&by_sample, &inside),
        coverage: share(&inside, samples),
    }
}

/// The share of pictures that were met by any of `others`.
fn share(met: &[Met], others: usize) -> Estimate {
    let n = met.len() as f64;
    let share = met.iter().filter(|met| met.times > 0).count() as f64 / n;
    // Without one of the others, those that only it met would be lost.
    let mut alone = vec![0.0; others];
    met.iter().filter(|met| met.times == 1).for_each(|met| alone[met.last as usize] += 1.0 / n);
    let (_, spread) = mean_and_variance(alone.into_iter());
    let jackknife = (others as f64 - 1.0).powi(2) / others as f64 * spread;
    Estimate::new(share, (share * (1.0 - share) / n + jackknife).sqrt()).within(0.0, 1.0)
}

fn density(by_sample: &[Met], by_real: &[Met]) -> Estimate {
    let times =
        |met: &[Met]| mean_and_variance(met.iter().map(|met| f64::from(met.times)).collect::<Vec<_>>().into_iter());
    let ((mean, over_samples), (_, over_real)) = (times(by_sample), times(by_real));
    let (n, m, k) = (by_sample.len() as f64, by_real.len() as f64, NEIGHBOURS as f64);
    let variance = over_samples / n + (m / n).powi(2) * over_real / m;
    Estimate::new(mean / k, variance.sqrt() / k).within(0.0, f64::INFINITY)
}
