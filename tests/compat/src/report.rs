//! The table of applications, and the differences that are not known.

use std::io::{self, Write};

use crate::compare::Difference;
use crate::known::Known;
use crate::server::Mode;

/// What was found of one application.
#[derive(Debug)]
pub(crate) struct Row {
    app: &'static str,
    pub(crate) requests: usize,
    /// For each mode: known differences, and others.
    found: [(usize, usize); 2],
    shown: Vec<String>,
}

impl Row {
    pub(crate) fn new(app: &'static str) -> Self {
        Self { app, requests: 0, found: [(0, 0); 2], shown: Vec::new() }
    }
}

/// The report of a run.
#[derive(Debug)]
pub(crate) struct Report {
    known: Known,
    show: usize,
    apps: usize,
    requests: usize,
    found: [(usize, usize); 2],
    left_out: Vec<String>,
}

impl Report {
    pub(crate) fn new(known: Known, show: usize) -> Self {
        Self { known, show, apps: 0, requests: 0, found: [(0, 0); 2], left_out: Vec::new() }
    }

    /// Notes what cannot be run here. In CI everything has to be.
    pub(crate) fn left_out(&mut self, what: String) {
        self.left_out.push(what);
    }

    /// Counts the differences of a step.
    pub(crate) fn step(&mut self, row: &mut Row, mode: Mode, step: &str, differences: Vec<Difference>) {
        let at = usize::from(mode == Mode::Isolated);
        for difference in differences {
            if self.known.has(row.app, step, mode, &difference) {
                row.found[at].0 += 1;
                continue;
            }
            row.found[at].1 += 1;
            let Difference { field, listener, host } = difference;
            row.shown.push(format!(
                "    {}: {step}: {field}\n      listener: {listener}\n      host:     {host}\n",
                mode.name()
            ));
        }
    }

    /// Prints an application's row, and what differs.
    pub(crate) fn row(&mut self, row: &Row) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.apps == 0 {
            writeln!(
                out,
                "{:<20} {:>8}   {:>22}   {:>22}",
                "application", "requests", "differences in process", "isolated"
            )?;
        }
        let cell = |(known, others): (usize, usize)| format!("{others} ({known} known)");
        writeln!(
            out,
            "{:<20} {:>8}   {:>22}   {:>22}",
            row.app,
            row.requests,
            cell(row.found[0]),
            cell(row.found[1])
        )?;
        for text in row.shown.iter().take(self.show) {
            write!(out, "{text}")?;
        }
        if row.shown.len() > self.show {
            writeln!(out, "    … and {} more", row.shown.len() - self.show)?;
        }
        self.apps += 1;
        self.requests += row.requests;
        for (sum, found) in self.found.iter_mut().zip(row.found) {
            *sum = (sum.0 + found.0, sum.1 + found.1);
        }
        out.flush()
    }

    /// Prints the sums. False if anything is not as it should be.
    pub(crate) fn end(self, complete: bool) -> io::Result<bool> {
        let mut out = io::stdout().lock();
        let [process, isolated] = self.found;
        writeln!(
            out,
            "{} applications, {} requests to each server; differences in process: {} ({} known), isolated: {} ({} known)",
            self.apps, self.requests, process.1, process.0, isolated.1, isolated.0
        )?;
        // A shorter run does not meet all of them.
        let unmet = if complete { self.known.unmet() } else { Vec::new() };
        for entry in &unmet {
            writeln!(out, "known.json: nothing differs any more here, take it out: {entry}")?;
        }
        for what in &self.left_out {
            writeln!(out, "left out: {what}")?;
        }
        let lacking = !self.left_out.is_empty() && std::env::var_os("CI").is_some();
        Ok(!lacking && process.1 + isolated.1 + unmet.len() == 0)
    }
}
