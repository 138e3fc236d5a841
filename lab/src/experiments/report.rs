//! What an experiment hands back: grids of cells, plain checks, and figures to draw.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::stats::{Estimate, Verdict, judge};

/// A parameter combination, what was simulated there, and what the theory says.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The values of the grid's parameters.
    pub at: Vec<f64>,
    /// What was simulated.
    pub simulated: Estimate,
    /// What the theory says.
    pub theory: f64,
    /// The standard error of the theory, where it was itself simulated; else 0.
    pub theory_error: f64,
    /// Figures to be read beside these, as the grid's `beside` names them.
    pub beside: Vec<Option<f64>>,
    /// Whether the verdict counts it: not where so few events are expected that they say nothing.
    pub judged: bool,
}

impl Cell {
    /// A judged cell with an exact theory and nothing beside it.
    #[must_use]
    pub fn new(at: Vec<f64>, simulated: Estimate, theory: f64) -> Self {
        Self { at, simulated, theory, theory_error: 0.0, beside: Vec::new(), judged: true }
    }

    /// Standard errors between both.
    #[must_use]
    pub fn z(&self) -> f64 {
        let std_error = self.simulated.std_error.hypot(self.theory_error);
        Estimate { std_error, ..self.simulated }.z(self.theory)
    }
}

/// Cells that are judged together.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Its name, of letters and dashes: also the name of its CSV file.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// The parameters.
    pub parameters: Vec<&'static str>,
    /// What was simulated.
    pub simulated: &'static str,
    /// What the theory is.
    pub theory: &'static str,
    /// What stands beside.
    pub beside: Vec<&'static str>,
    /// The cells.
    pub cells: Vec<Cell>,
}

impl Grid {
    /// Whether it agrees.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let z_values: Vec<_> = self.cells.iter().filter(|cell| cell.judged).map(Cell::z).collect();
        judge(&z_values)
    }

    /// The names of its columns.
    #[must_use]
    pub fn columns(&self) -> Vec<&'static str> {
        let mut columns = self.parameters.clone();
        columns.extend([self.simulated, "std_error", self.theory, "z"]);
        columns.extend(&self.beside);
        columns
    }

    /// A cell's values, in the order of the columns; none where there is nothing to say.
    pub fn values<'a>(&self, cell: &'a Cell) -> impl Iterator<Item = Option<f64>> + 'a {
        let z = cell.judged.then(|| cell.z());
        let figures = [Some(cell.simulated.mean), Some(cell.simulated.std_error), Some(cell.theory), z];
        cell.at.iter().copied().map(Some).chain(figures).chain(cell.beside.iter().copied())
    }

    /// A head and a line for each cell.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = self.columns().join(",") + "\n";
        for cell in &self.cells {
            let values =
                self.values(cell).map(|value| value.map_or_else(String::new, |value| value.to_string()));
            writeln!(text, "{}", values.collect::<Vec<_>>().join(",")).expect("a string takes all");
        }
        text
    }

    /// Name, verdict and cells; a cell is an object with a key for each column.
    #[must_use]
    pub fn json(&self) -> Value {
        let cell = |cell| {
            let pairs = self.columns().into_iter().zip(self.values(cell));
            Value::Object(pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>())
        };
        json!({
            "name": self.name,
            "title": self.title,
            "verdict": self.verdict(),
            "cells": self.cells.iter().map(cell).collect::<Vec<_>>(),
        })
    }
}

/// Something that holds or does not, without statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What should hold.
    pub claim: String,
    /// What was found.
    pub found: String,
    /// Whether it holds.
    pub passed: bool,
}

impl Check {
    /// That `claim` holds if `passed`, with what was found.
    pub fn new(claim: impl Into<String>, found: impl Into<String>, passed: bool) -> Self {
        Self { claim: claim.into(), found: found.into(), passed }
    }
}

/// How an axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By powers of ten.
    Log,
}

/// One curve: the theory as a line, the simulation as points with error bars.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What the legend calls it.
    pub name: String,
    /// The theory, by rising x.
    pub line: Vec<(f64, f64)>,
    /// The simulation.
    pub points: Vec<(f64, Estimate)>,
}

/// A figure to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name, of letters and dashes: also the name of its SVG file.
    pub name: &'static str,
    /// Above it.
    pub title: String,
    /// Below it.
    pub x_label: String,
    /// Beside it.
    pub y_label: String,
    /// How x is divided.
    pub x_scale: Scale,
    /// How y is divided.
    pub y_scale: Scale,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// What an experiment came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The command's name.
    pub experiment: &'static str,
    /// What all randomness was drawn from.
    pub seed: u64,
    /// The grids.
    pub grids: Vec<Grid>,
    /// The checks.
    pub checks: Vec<Check>,
    /// The figures.
    pub figures: Vec<Figure>,
}

impl Report {
    /// Nothing yet.
    #[must_use]
    pub fn new(experiment: &'static str, seed: u64) -> Self {
        Self { experiment, seed, grids: Vec::new(), checks: Vec::new(), figures: Vec::new() }
    }

    /// Every grid agrees with its theory and every check holds.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.grids.iter().all(|grid| grid.verdict().passed) && self.checks.iter().all(|check| check.passed)
    }

    /// Everything but the figures.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "experiment": self.experiment,
            "seed": self.seed,
            "passed": self.passed(),
            "grids": self.grids.iter().map(Grid::json).collect::<Vec<_>>(),
            "checks": self.checks,
        })
    }
}
