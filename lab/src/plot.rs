//! Figures as SVG: theory as a line, simulation as points with error bars.

use std::fmt::Display;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::experiments::report::{Curve, Figure, Scale};

/// Width and height in pixels.
const SIZE: (u32, u32) = (760, 480);
/// Okabe and Ito's colours, which colour-blind readers tell apart, without the yellow that white swallows.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
/// Error bars show so many standard errors either way.
pub const BAR: f64 = 2.0;

/// A figure that could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the figure {name} can't be drawn: {reason}")]
pub struct PlotError {
    name: &'static str,
    reason: String,
}

/// Draws the figure as an SVG document; the same figure gives the same bytes.
///
/// # Errors
/// When there is nothing in it, or the library can't draw it.
pub fn svg(figure: &Figure) -> Result<String, PlotError> {
    let error = |reason: String| PlotError { name: figure.name, reason };
    let (x, y) = ranges(figure).ok_or_else(|| error("it has no points".into()))?;
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        let drawn = match (figure.x_scale, figure.y_scale) {
            (Scale::Linear, Scale::Linear) => draw(figure, &area, x, y),
            (Scale::Linear, Scale::Log) => draw(figure, &area, x, y.log_scale()),
            (Scale::Log, Scale::Linear) => draw(figure, &area, x.log_scale(), y),
            (Scale::Log, Scale::Log) => draw(figure, &area, x.log_scale(), y.log_scale()),
        };
        drawn.map_err(|reason| error(reason.to_string()))?;
        area.present().map_err(|reason| error(reason.to_string()))?;
    }
    Ok(text)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw<X, Y>(
    figure: &Figure,
    area: &Area<'_>,
    x: impl plotters::coord::ranged1d::AsRangedCoord<CoordDescType = X, Value = f64>,
    y: impl plotters::coord::ranged1d::AsRangedCoord<CoordDescType = Y, Value = f64>,
) -> Result<(), Box<dyn std::error::Error>>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(&figure.title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc(&figure.x_label)
        .y_desc(&figure.y_label)
        .x_label_formatter(&|value| tick(*value))
        .y_label_formatter(&|value| tick(*value))
        .light_line_style(RGBColor(240, 240, 240))
        .axis_desc_style(("sans-serif", 15))
        .label_style(("sans-serif", 13))
        .draw()?;
    let (_, y_range) = ranges(figure).ok_or("it has no points")?;
    for (curve, color) in figure.curves.iter().zip(COLORS.iter().cycle()) {
        let legend = move |(x, y): (i32, i32)| {
            let line = PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2));
            EmptyElement::at((0, 0)) + line
        };
        chart
            .draw_series(LineSeries::new(visible(curve, &y_range), color.stroke_width(2)))?
            .label(curve.name.as_str())
            .legend(legend);
        chart.draw_series(bars(curve, &y_range).map(|bar| PathElement::new(bar, color.stroke_width(1))))?;
        let shown = curve.points.iter().filter(|(_, point)| y_range.contains(&point.mean));
        chart.draw_series(shown.map(|(x, point)| Circle::new((*x, point.mean), 3, color.filled())))?;
    }
    let corner = match figure.y_scale {
        Scale::Linear => SeriesLabelPosition::UpperLeft,
        Scale::Log if figure.x_scale == Scale::Log => SeriesLabelPosition::UpperLeft,
        Scale::Log => SeriesLabelPosition::LowerLeft,
    };
    chart
        .configure_series_labels()
        .position(corner)
        .margin(10)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 14))
        .draw()?;
    Ok(())
}

fn visible<'a>(curve: &'a Curve, y: &'a Range<f64>) -> impl Iterator<Item = (f64, f64)> + 'a {
    curve.line.iter().copied().filter(|(_, value)| (y.start..=y.end).contains(value))
}

/// From [`BAR`] standard errors below each point to as many above, cut at the figure's edge.
fn bars<'a>(curve: &'a Curve, y: &'a Range<f64>) -> impl Iterator<Item = Vec<(f64, f64)>> + 'a {
    curve.points.iter().map(|(x, point)| {
        let reach = BAR * point.std_error;
        vec![
            (*x, (point.mean - reach).clamp(y.start, y.end)),
            (*x, (point.mean + reach).clamp(y.start, y.end)),
        ]
    })
}

/// Ticks as people write them: powers of ten when they are small.
fn tick(value: f64) -> String {
    fn short(value: impl Display) -> String {
        value.to_string()
    }
    if value != 0.0 && value.abs() < 1e-3 {
        format!("{value:.0e}")
    } else {
        short((value * 1e6).round() / 1e6)
    }
}

/// What must be seen: all of it, and a little more; on a logarithmic scale down to whole powers of ten.
fn ranges(figure: &Figure) -> Option<(Range<f64>, Range<f64>)> {
    let line = figure.curves.iter().flat_map(|curve| curve.line.iter().copied());
    let points =
        figure.curves.iter().flat_map(|curve| curve.points.iter().map(|(x, point)| (*x, point.mean)));
    let (x, y): (Vec<f64>, Vec<f64>) = line.chain(points).unzip();
    Some((range(&x, figure.x_scale)?, range(&y, figure.y_scale)?))
}

fn range(values: &[f64], scale: Scale) -> Option<Range<f64>> {
    let shown = values.iter().copied().filter(|value| match scale {
        Scale::Linear => true,
        Scale::Log => *value > 0.0,
    });
    let (low, high) =
        shown.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return None;
    }
    let power = |exponent: f64| libm::pow(10.0, exponent);
    match scale {
        Scale::Linear => {
            let space = ((high - low) * 0.04).max(1e-9);
            Some(low - space..high + space)
        }
        Scale::Log => {
            Some(power(libm::log10(low).floor().max(-8.0))..power(libm::log10(high).ceil().max(-7.0)))
        }
    }
}
