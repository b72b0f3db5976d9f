//! `bound-convergence`: the bound of a perfect denoiser.

use super::super::figures::Figures;
use super::super::printed;
use super::super::work::Work;

pub(super) fn run(work: &Work, figures: &mut Figures) -> anyhow::Result<()> {
    let text = work.run(work.example("bound_convergence", "sfumato-process")?)?;
    let entropy = printed::number(printed::between(&text, "= ", " nats")?)?;
    figures.at("entropy", "-E log q(x_0)").tolerance("by quadrature", "nats", entropy, 1e-6);
    let table = printed::table(&text)?;
    for row in &table.rows {
        let name = format!("T = {}", row[0]);
        let mut place = figures.at("gaps", &name);
        for (column, cell) in table.head.iter().zip(row).skip(1) {
            if cell.contains('±') {
                place.interval(column, "nats", printed::estimate(cell)?);
            } else {
                let value = printed::number(cell)?;
                place.tolerance(column, "nats", value, value.abs() / 10.0);
            }
        }
    }
    Ok(())
}
