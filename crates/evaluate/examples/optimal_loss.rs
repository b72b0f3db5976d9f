//! The lowest loss that a training set allows at each noise level, and what the denoiser that reaches it costs on other examples.
//!
//! `cargo run --release -p sfumato-evaluate --example optimal_loss -- fashion-mnist 1000`

use std::{error::Error, time::Instant};

use sfumato_data::{Dataset, DatasetSpec, LoadOptions, Split, Subset, load};
use sfumato_evaluate::regret::{EmpiricalMixture, LEVELS, Query, levels};
use sfumato_process::noise::{Purpose, fill_normal};
use sfumato_schedule::ScheduleConfig;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let spec: DatasetSpec = args.next().as_deref().unwrap_or("fashion-mnist").parse()?;
    let count: usize = args.next().as_deref().unwrap_or("1000").parse()?;
    let train = load(&spec, &LoadOptions::default())?;
    let test = load(&spec, &LoadOptions { split: Split::Test, ..LoadOptions::default() })?;
    let levels = levels(&ScheduleConfig::default().build()?, LEVELS);
    let dims = train.example_len();
    let start = Instant::now();
    let mixture = EmpiricalMixture::new(&train, None, false)?;
    let mut sums = vec![[0.0; 2]; levels.len()];
    for first in (0..count).step_by(25) {
        let places = first..(first + 25).min(count);
        let (mut x_0, mut epsilon) = (Vec::new(), vec![0.0; places.len() * levels.len() * dims]);
        for data in [&train, &test] {
            let order = Subset::new(0, data.len());
            for place in places.clone() {
                x_0.resize(x_0.len() + dims, 0.0);
                let at = x_0.len() - dims;
                data.write(order.index(place % data.len()), &mut x_0[at..]);
            }
        }
        for (i, row) in epsilon.chunks_exact_mut(dims).enumerate() {
            let (place, level) = (first + i / levels.len(), i % levels.len());
            fill_normal(0, Purpose::Forward, place as u64, levels[level].t as u64 - 1, row);
        }
        let query = |i: usize| {
            let (example, level) = (i / levels.len(), i % levels.len());
            let noise = example % places.len() * levels.len() + level;
            Query { example, noise, snr: levels[level].log_snr.exp() }
        };
        let queries: Vec<Query> = (0..2 * places.len() * levels.len()).map(query).collect();
        for (i, loss) in mixture.losses(&x_0, &epsilon, &queries).into_iter().enumerate() {
            sums[i % levels.len()][usize::from(i / levels.len() >= places.len())] += loss / count as f64;
        }
    }
    println!("{:>6} {:>8} {:>12} {:>12}", "t", "log SNR", "training", "test");
    for (level, [own, other]) in levels.iter().zip(&sums) {
        println!("{:>6} {:>8.2} {own:>12.3e} {other:>12.3e}", level.t, level.log_snr);
    }
    println!(
        "{count} examples of each split, {} training examples: {:.1} s",
        train.len(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
