//! Requests to many functions in turn, against requests to one: of the host, and of two controls that tell what the
//! libraries' copies cost from what the host costs.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::Arguments;
use crate::error::BenchError;
use crate::exchange::Exchange;
use crate::figure::Figure;
use crate::load::{Load, Traffic};
use crate::server::{Host, Process};

/// How many are called in rotation to see what caches make of it.
const FEW: usize = 10;
const CONNECTIONS: usize = 64;

/// A server, and what it is asked for.
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

    /// Requests for the first functions that it answers in a second.
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

/// What is held against each other.
pub(super) struct Rotation<'a> {
    /// The host with all functions.
    pub(super) all: Asked<'a>,
    /// The host with a single one.
    pub(super) single: Asked<'a>,
    /// The same libraries without a host.
    pub(super) libraries: Asked<'a>,
    /// The host with as many functions, and one library for all of them.
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

/// What it costs a server to be asked for all its functions in turn, and not for one of them.
struct Cost {
    ratio: Vec<f64>,
    more_us: Vec<f64>,
}

impl Cost {
    const NONE: Self = Self { ratio: Vec::new(), more_us: Vec::new() };

    /// Measures both; answers with the requests for one function.
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
