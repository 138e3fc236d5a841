//! The curves of `tine bench growth` as a picture.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::growth::{Growth, Point};

/// The picture's width and height, in pixels.
const SIZE: (u32, u32) = (1_000, 700);

/// Draws time and memory over the size of the chain (above) and of the coin set (below).
///
/// # Errors
/// The file can't be written.
pub(super) fn draw(path: &Path, blocks: &Growth, coins: &Growth) -> Result<(), Box<dyn Error>> {
    let picture = SVGBackend::new(path, SIZE).into_drawing_area();
    picture.fill(&WHITE)?;
    let panels = picture.split_evenly((2, 2));
    let time = |point: &Point| point.block_ms;
    let memory = |point: &Point| point.memory_mb;
    panel(&panels[0], "time for an empty block, ms", "blocks of the chain", blocks, time)?;
    panel(&panels[1], "memory, MB", "blocks of the chain", blocks, memory)?;
    panel(&panels[2], "time for 2,000 payments, ms", "coins of the set", coins, time)?;
    panel(&panels[3], "memory, MB", "coins of the set", coins, memory)?;
    picture.present()?;
    Ok(())
}

/// One curve over a logarithmic axis: what grows with the logarithm is a straight line.
fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    caption: &str,
    size: &str,
    growth: &Growth,
    value: impl Fn(&Point) -> f64,
) -> Result<(), Box<dyn Error>> {
    let points: Vec<_> = growth.points.iter().map(|point| (point.size, value(point))).collect();
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else { return Ok(()) };
    let highest = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d((*first..*last).log_scale(), 0.0..highest * 1.1)?;
    chart.configure_mesh().x_desc(size).light_line_style(WHITE).draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), &BLUE))?;
    chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, BLUE.filled())))?;
    Ok(())
}
