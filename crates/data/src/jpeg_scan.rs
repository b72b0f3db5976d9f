//! The entropy-coded data of a JPEG's scan, walked without computing a pixel: ITU-T T.81, Annexes F and G.

use super::jpeg_bits::{Bits, Huffman};
use super::jpeg_segment::{Fault, Segment};

/// One component of a frame, and what has been scanned of it.
pub(super) struct Component {
    pub(super) id: u8,
    h: usize,
    v: usize,
    /// Which of the 64 coefficients have come in full precision.
    finished: u64,
    /// For each block, which coefficients are not zero: what refining scans depend on.
    nonzero: Vec<u64>,
}

impl Component {
    pub(super) fn new(id: u8, h: usize, v: usize) -> Component {
        Component { id, h, v, finished: 0, nonzero: Vec::new() }
    }
}

/// What the frame header says.
pub(super) struct Frame {
    width: usize,
    height: usize,
    pub(super) progressive: bool,
    pub(super) components: Vec<Component>,
}

impl Frame {
    pub(super) fn new(width: usize, height: usize, progressive: bool, components: Vec<Component>) -> Frame {
        Frame { width, height, progressive, components }
    }

    /// Whether there is all of every component.
    pub(super) fn complete(&self) -> bool {
        self.components.iter().all(|component| component.finished == u64::MAX)
    }

    fn largest(&self) -> (usize, usize) {
        let largest = |of: fn(&Component) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        (largest(|component| component.h), largest(|component| component.v))
    }

    /// Units of interleaved components, horizontally and vertically.
    fn units(&self) -> (usize, usize) {
        let (h, v) = self.largest();
        (self.width.div_ceil(8 * h), self.height.div_ceil(8 * v))
    }

    /// Blocks of a component that is scanned alone.
    fn own_blocks(&self, component: &Component) -> (usize, usize) {
        let (h, v) = self.largest();
        ((self.width * component.h).div_ceil(8 * h), (self.height * component.v).div_ceil(8 * v))
    }
}

/// What a scan header says.
pub(super) struct Scan {
    /// Index in the frame, table for the mean, table for the waves.
    pub(super) components: Vec<(usize, usize, usize)>,
    /// First and last coefficient of a progressive scan.
    pub(super) first: usize,
    pub(super) last: usize,
    /// Bits known before and after a progressive scan.
    pub(super) high: u8,
    pub(super) low: u8,
}

/// The tables that are in force.
#[derive(Default)]
pub(super) struct Tables {
    means: [Option<Huffman>; 4],
    waves: [Option<Huffman>; 4],
    pub(super) restart_interval: usize,
}

impl Tables {
    /// Reads a segment of definitions.
    pub(super) fn define(&mut self, mut segment: Segment<'_>) -> Result<(), Fault> {
        while !segment.0.is_empty() {
            let place = segment.u8()?;
            let counts = segment.take(16)?;
            let symbols = segment.take(counts.iter().map(|&n| usize::from(n)).sum())?;
            let table = Huffman::new(counts, symbols)?;
            let tables = if place >> 4 == 0 { &mut self.means } else { &mut self.waves };
            let slot = tables.get_mut(usize::from(place & 15));
            *slot.ok_or(Fault::Damaged("it has more than four tables of a kind"))? = Some(table);
        }
        Ok(())
    }

    /// Whether all tables are there that a scan asks for.
    pub(super) fn serve(&self, frame: &Frame, scan: &Scan) -> bool {
        scan.components.iter().all(|&(_, mean, wave)| {
            let mean_needed = !frame.progressive || (scan.first == 0 && scan.high == 0);
            let wave_needed = !frame.progressive || scan.first > 0;
            (!mean_needed || self.means[mean].is_some()) && (!wave_needed || self.waves[wave].is_some())
        })
    }
}

/// Walks the data of a scan at the start of `bytes`, and says how many of them it used.
pub(super) fn walk(bytes: &[u8], tables: &Tables, frame: &mut Frame, scan: &Scan) -> Result<usize, Fault> {
    let mut bits = Bits::new(bytes);
    let (units, sizes) = layout(frame, scan);
    if frame.progressive {
        for (&(index, ..), size) in scan.components.iter().zip(&sizes) {
            let blocks = &mut frame.components[index].nonzero;
            if blocks.is_empty() {
                blocks.resize(size.columns * size.rows, 0);
            }
        }
    }
    let mut run = 0u32;
    for unit in 0..units.0 * units.1 {
        if tables.restart_interval > 0 && unit > 0 && unit % tables.restart_interval == 0 {
            bits.restart()?;
            run = 0;
        }
        for (&(index, mean, wave), &Blocks { h, v, columns, .. }) in scan.components.iter().zip(&sizes) {
            for block in 0..h * v {
                if !frame.progressive {
                    sequential(&mut bits, tables, mean, wave)?;
                    continue;
                }
                let (x, y) = (unit % units.0 * h + block % h, unit / units.0 * v + block / h);
                let nonzero = &mut frame.components[index].nonzero[y * columns + x];
                progressive(&mut bits, tables, (mean, wave), scan, nonzero, &mut run)?;
            }
        }
    }
    for &(index, ..) in &scan.components {
        let component = &mut frame.components[index];
        if !frame.progressive {
            component.finished = u64::MAX;
        } else if scan.low == 0 {
            component.finished |= (scan.first..=scan.last).fold(0, |mask, k| mask | 1 << k);
        }
    }
    // What is still in the buffer belongs to the next marker's padding at most.
    Ok(bits.at)
}

/// The blocks of one component in a scan.
struct Blocks {
    /// In a unit, horizontally and vertically.
    h: usize,
    v: usize,
    /// In the whole frame, with what fills up the last units.
    columns: usize,
    rows: usize,
}

/// Units of a scan, horizontally and vertically, and for each component its blocks.
fn layout(frame: &Frame, scan: &Scan) -> ((usize, usize), Vec<Blocks>) {
    let units = frame.units();
    let blocks =
        |component: &Component, h, v| Blocks { h, v, columns: units.0 * component.h, rows: units.1 * component.v };
    if let [(index, ..)] = scan.components[..] {
        let component = &frame.components[index];
        return (frame.own_blocks(component), vec![blocks(component, 1, 1)]);
    }
    let components = scan.components.iter().map(|&(index, ..)| &frame.components[index]);
    (units, components.map(|component| blocks(component, component.h, component.v)).collect())
}

const MISSING: Fault = Fault::Damaged("a table is missing");

/// One block of a sequential scan: T.81, F.2.2.
fn sequential(bits: &mut Bits<'_>, tables: &Tables, mean: usize, wave: usize) -> Result<(), Fault> {
    let (mean, wave) = (tables.means[mean].as_ref().ok_or(MISSING)?, tables.waves[wave].as_ref().ok_or(MISSING)?);
    let size = bits.symbol(mean)?;
    bits.drop(u32::from(size).min(16))?;
    let mut k = 1;
    while k < 64 {
        let symbol = bits.symbol(wave)?;
        let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (zeros, size) {
            (15, 0) => k += 16,
            (_, 0) => break,
            _ => {
                bits.drop(size)?;
                k += zeros + 1;
            }
        }
    }
    Ok(())
}

/// One block of a progressive scan: T.81, G.1.2.
fn progressive(
    bits: &mut Bits<'_>,
    tables: &Tables,
    (mean, wave): (usize, usize),
    scan: &Scan,
    nonzero: &mut u64,
    run: &mut u32,
) -> Result<(), Fault> {
    match (scan.first, scan.high) {
        (0, 0) => {
            let size = bits.symbol(tables.means[mean].as_ref().ok_or(MISSING)?)?;
            bits.drop(u32::from(size).min(16))
        }
        (0, _) => bits.drop(1),
        (_, 0) => first_waves(bits, tables.waves[wave].as_ref().ok_or(MISSING)?, scan, nonzero, run),
        _ => refined_waves(bits, tables.waves[wave].as_ref().ok_or(MISSING)?, scan, nonzero, run),
    }
}

fn first_waves(
    bits: &mut Bits<'_>,
    table: &Huffman,
    scan: &Scan,
    nonzero: &mut u64,
    run: &mut u32,
) -> Result<(), Fault> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let mut k = scan.first;
    while k <= scan.last {
        let symbol = bits.symbol(table)?;
        let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        match (zeros, size) {
            (15, 0) => k += 16,
            (_, 0) => {
                *run = (1 << zeros) - 1 + bits.take(zeros)? as u32;
                break;
            }
            _ => {
                bits.drop(size)?;
                k += zeros as usize;
                *nonzero |= 1 << k.min(63);
                k += 1;
            }
        }
    }
    Ok(())
}

fn refined_waves(
    bits: &mut Bits<'_>,
    table: &Huffman,
    scan: &Scan,
    nonzero: &mut u64,
    run: &mut u32,
) -> Result<(), Fault> {
    let mut k = scan.first;
    if *run == 0 {
        while k <= scan.last {
            let symbol = bits.symbol(table)?;
            let (zeros, size) = (u32::from(symbol >> 4), symbol & 15);
            if size == 0 && zeros < 15 {
                *run = (1 << zeros) + bits.take(zeros)? as u32;
                break;
            }
            if size > 0 {
                bits.drop(1)?; // the sign of the new coefficient
            }
            // Past as many zeros as the run says; every coefficient that is known already has a bit of its own.
            let mut left = zeros;
            while k <= scan.last {
                if *nonzero >> k & 1 == 1 {
                    bits.drop(1)?;
                } else if left == 0 {
                    break;
                } else {
                    left -= 1;
                }
                k += 1;
            }
            if size > 0 && k <= scan.last {
                *nonzero |= 1 << k;
            }
            k += 1;
        }
    }
    if *run > 0 {
        let known = (k..=scan.last).filter(|&k| *nonzero >> k & 1 == 1).count() as u32;
        for _ in 0..known {
            bits.drop(1)?;
        }
        *run -= 1;
    }
    Ok(())
}
