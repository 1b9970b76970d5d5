//! Requests to many functions in rotation, against requests to one of them.
//!
//! Two controls tell the cost of many libraries from the host's own: the same libraries without a host, and as many
//! functions of one library.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::Arguments;
use crate::error::BenchError;
use crate::exchange::Exchange;
use crate::figure::Figure;
use crate::load::{Load, Traffic};
use crate::server::{Host, Process};

/// The size of a rotation that fits into the caches.
const FEW: usize = 10;
const CONNECTIONS: usize = 64;

/// A server, and the requests to all its functions.
pub(super) struct Asked<'a> {
    address: SocketAddr,
    process: u32,
    exchanges: &'a [Exchange],
}

impl<'a> Asked<'a> {
    pub(super) fn host(host: &Host, exchanges: &'a [Exchange]) -> Self {
        Self { address: host.address, process: host.process.serving(), exchanges }
    }

    pub(super) fn control(control: &(SocketAddr, Process), exchanges: &'a [Exchange]) -> Self {
        Self { address: control.0, process: control.1.id(), exchanges }
    }

    /// Requests per second to the first `functions` in rotation.
    fn throughput(&self, functions: usize, arguments: &Arguments) -> Result<f64, BenchError> {
        let exchanges = Rc::from(&self.exchanges[..functions]);
        let load = Load {
            address: self.address,
            processes: vec![self.process],
            traffic: Traffic { exchanges, connections: CONNECTIONS },
            beside: None,
            warm_up: Duration::from_millis(500),
            time: Duration::from_secs(arguments.seconds),
            patience: Duration::from_secs(arguments.patience),
        };
        load.run().map(|measured| measured.per_second)
    }
}

/// The servers to compare.
pub(super) struct Rotation<'a> {
    /// The host with all functions.
    pub(super) all: Asked<'a>,
    /// The host with a single one.
    pub(super) single: Asked<'a>,
    /// Bare axum that calls the same libraries.
    pub(super) libraries: Asked<'a>,
    /// The host with as many functions of one library.
    pub(super) one_library: Asked<'a>,
}

impl Rotation<'_> {
    pub(super) fn measure(&self, arguments: &Arguments) -> Result<Vec<Option<Figure>>, BenchError> {
        let (mut looked_up, mut few) = (Vec::new(), Vec::new());
        let [mut all, mut libraries, mut one_library] = [const { Cost::NONE }; 3];
        for _ in 0..arguments.rounds {
            let alone = self.single.throughput(1, arguments)?;
            let one = all.add(&self.all, arguments)?;
            looked_up.push(one / alone);
            few.push(self.all.throughput(FEW, arguments)? / one);
            libraries.add(&self.libraries, arguments)?;
            one_library.add(&self.one_library, arguments)?;
        }
        let name = "500 functions in rotation, against one of them";
        let mut figures = vec![
            Figure::of("one function of 500, against the only one", "×", looked_up)
                .map(|figure| figure.at_least(0.95)),
            Figure::of("10 of 500 functions in rotation, against one of them", "×", few),
        ];
        let [ratio, more] = all.figures(name);
        figures.extend([ratio.map(|figure| figure.at_least(0.95)), more]);
        figures.extend(libraries.figures("control: the same 500 libraries in rotation, called by bare axum"));
        figures.extend(one_library.figures("control: 500 functions of one library in rotation"));
        Ok(figures)
    }
}

/// The cost of requests to all functions in rotation, compared with one of them.
struct Cost {
    ratio: Vec<f64>,
    more_us: Vec<f64>,
}

impl Cost {
    const NONE: Self = Self { ratio: Vec::new(), more_us: Vec::new() };

    /// Measures both; returns the requests per second to one function.
    fn add(&mut self, server: &Asked<'_>, arguments: &Arguments) -> Result<f64, BenchError> {
        let one = server.throughput(1, arguments)?;
        let all = server.throughput(server.exchanges.len(), arguments)?;
        self.ratio.push(all / one);
        self.more_us.push(1e6 / all - 1e6 / one);
        Ok(one)
    }

    fn figures(self, name: &str) -> [Option<Figure>; 2] {
        [
            Figure::of(name, "×", self.ratio),
            Figure::of(&format!("{name}: more time for each request"), "µs", self.more_us),
        ]
    }
}
