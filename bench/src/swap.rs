//! Time from the end of a new library's copy to its first answer, with the host's default settings.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::cores::Cores;
use crate::error::BenchError;
use crate::exchange::Exchange;
use crate::figure::Figure;
use crate::server::{Deployed, answering};

/// The number of swaps.
const SWAPS: u32 = 20;
const LIMIT: Duration = Duration::from_secs(10);

/// Swaps a function while it is called without a pause, alternately in place and by rename.
pub(crate) fn measure(cores: Cores) -> Result<Vec<Figure>, BenchError> {
    let deployed = Deployed::new()?;
    let (library, answer) = answering(0)?;
    let file = deployed.add("hello", &library)?;
    cores.be_server()?;
    let host = deployed.start()?;
    cores.be_load()?;
    let mut client = Client::connect(host.address)?;
    let call = Exchange::get("/rpc/hello@latest", answer);
    client.call(&call)?;
    let mut times = Vec::new();
    for number in 1..=SWAPS {
        let (library, answer) = answering(number)?;
        let failed = || BenchError::io(format!("replacing {}", file.display()));
        if number % 2 == 0 {
            std::fs::write(&file, library).map_err(failed())?;
        } else {
            let beside = file.with_extension("new");
            std::fs::write(&beside, library).map_err(failed())?;
            std::fs::rename(beside, &file).map_err(failed())?;
        }
        let copied = Instant::now();
        while client.body(&call.request)? != answer.as_bytes() {
            if copied.elapsed() > LIMIT {
                return Err(BenchError::Answer("the new library never answered".to_owned()));
            }
        }
        times.push(copied.elapsed().as_secs_f64() * 1000.0);
    }
    let swap = Figure::of("swap, from the end of a copy to the new code's answer", "ms", times);
    Ok(swap.map(|figure| figure.at_most(500.0)).into_iter().collect())
}
