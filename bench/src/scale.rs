//! 500 functions: start-up time, memory, first calls, and throughput in rotation.
//!
//! Each function is a library of its own, with its own digest and answer: 500 mappings of equal size, and 500 copies of
//! the code that compete for a core's caches.

mod rotation;

use std::time::{Duration, Instant};

use rotation::{Asked, Rotation};

use crate::Arguments;
use crate::client::Client;
use crate::cores::Cores;
use crate::error::BenchError;
use crate::exchange::Exchange;
use crate::figure::Figure;
use crate::server::{Deployed, Host, answering, start_libraries};

/// The number of functions.
const FUNCTIONS: u32 = 500;
/// Time-to-idle of loaded functions, for the measurement of evicted ones.
const IDLE_MS: u64 = 1000;
const EVICTION_LIMIT: Duration = Duration::from_secs(30);

/// Measures all of them.
pub(crate) fn measure(cores: Cores, arguments: &Arguments) -> Result<Vec<Figure>, BenchError> {
    let (deployed, exchanges) = deploy(FUNCTIONS, |number| number)?;
    cores.be_server()?;
    // Fills the store, so that later starts are warm.
    let cold = deployed.start()?.ready_after;
    let start = |_| deployed.start().map(|host| host.ready_after);
    let warm = (0..arguments.rounds).map(start).collect::<Result<Vec<_>, _>>()?;
    let host = deployed.start()?;
    let (few_deployed, few_exchanges) = deploy(1, |number| number)?;
    let few = few_deployed.start()?;
    let libraries = start_libraries(&deployed.functions())?;
    let (same, same_exchanges) = deploy(FUNCTIONS, |_| 0)?;
    // Fills the store with a copy for each function; the copies are then linked.
    drop(same.start()?);
    same.link_copies()?;
    let one_library = same.start()?;
    cores.be_load()?;

    let seconds = |times: &[Duration]| times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
    let mut figures = vec![
        Figure::of("500 functions, start-up to ready, empty store", "s", seconds(&[cold])),
        Figure::of("500 functions, start-up to ready, warm store", "s", seconds(&warm))
            .map(|figure| figure.at_most(3.0)),
    ];
    figures.extend(first_calls(&host, &exchanges)?);
    let rotation = Rotation {
        all: Asked::host(&host, &exchanges),
        single: Asked::host(&few, &few_exchanges),
        libraries: Asked::control(&libraries, &exchanges),
        one_library: Asked::host(&one_library, &same_exchanges),
    };
    figures.extend(rotation.measure(arguments)?);
    drop((host, few, libraries, one_library));
    figures.push(evicted(cores, deployed, &exchanges)?);
    Ok(figures.into_iter().flatten().collect())
}

/// Deploys functions; `which` numbers the answer of each one's library.
fn deploy(functions: u32, which: impl Fn(u32) -> u32) -> Result<(Deployed, Vec<Exchange>), BenchError> {
    let deployed = Deployed::new()?;
    let exchanges = (0..functions).map(|number| {
        let (library, answer) = answering(which(number))?;
        let id = format!("hello-{number}");
        deployed.add(&id, &library)?;
        Ok(Exchange::get(&format!("/rpc/{id}@latest"), answer))
    });
    let exchanges = exchanges.collect::<Result<_, BenchError>>()?;
    Ok((deployed, exchanges))
}

/// Memory of each function after its first call, and how much longer that call takes than a second one.
fn first_calls(host: &Host, exchanges: &[Exchange]) -> Result<[Option<Figure>; 3], BenchError> {
    let mut client = Client::connect(host.address)?;
    // So that memory of the host's own first answer is not counted as a function's.
    client.body(b"GET /nothing HTTP/1.1\r\nhost: bench.local\r\n\r\n")?;
    let before = host.process.resident_kib()?;
    let first = calls(&mut client, exchanges)?;
    let after = host.process.resident_kib()?;
    let warm = calls(&mut client, exchanges)?;
    let each = (after - before) / exchanges.len() as f64;
    let [first, warm] = [first, warm].map(|times| Figure::of("", "ms", times));
    let more =
        first.as_ref().zip(warm.as_ref()).map(|(first, warm)| first.spread.median - warm.spread.median);
    let named =
        |figure: Option<Figure>, name: &str| figure.map(|figure| Figure { name: name.into(), ..figure });
    Ok([
        Figure::of("500 functions, resident memory for each loaded one", "KiB", [each])
            .map(|figure| figure.at_most(1024.0)),
        named(first, "first call of a function, its library in the store"),
        Figure::of("first call's p50 beyond a warm call's", "ms", more).map(|figure| figure.at_most(1.0)),
    ])
}

/// Each exchange once, in turn; milliseconds.
fn calls(client: &mut Client, exchanges: &[Exchange]) -> Result<Vec<f64>, BenchError> {
    exchanges.iter().map(|exchange| Ok(client.call(exchange)?.as_secs_f64() * 1000.0)).collect()
}

/// First calls of functions that were loaded before and evicted from the cache.
fn evicted(
    cores: Cores,
    mut deployed: Deployed,
    exchanges: &[Exchange],
) -> Result<Option<Figure>, BenchError> {
    deployed.set("HHRF_CACHE_IDLE_MS", IDLE_MS.to_string());
    cores.be_server()?;
    let host = deployed.start()?;
    cores.be_load()?;
    let mut client = Client::connect(host.address)?;
    calls(&mut client, exchanges)?;
    await_eviction(&host)?;
    let again = Figure::of("", "ms", calls(&mut client, exchanges)?);
    let warm = Figure::of("", "ms", calls(&mut client, exchanges)?);
    let more = again.zip(warm).map(|(again, warm)| again.spread.median - warm.spread.median);
    Ok(Figure::of("the same after it was evicted", "ms", more).map(|figure| figure.at_most(1.0)))
}

/// Polls the admin listener until no function is loaded.
fn await_eviction(host: &Host) -> Result<(), BenchError> {
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", host.admin).into_bytes();
    let mut client = Client::connect(host.admin)?;
    let limit = Instant::now() + EVICTION_LIMIT;
    while Instant::now() < limit {
        let text = String::from_utf8_lossy(client.body(&request)?).into_owned();
        if text.lines().any(|line| line == "fezz_functions_loaded 0") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(BenchError::Answer("the host did not evict all idle functions".to_owned()))
}
