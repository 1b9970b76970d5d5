//! Loggers, subscribers and panic hooks as applications install them.

use std::error::Error;
use std::panic;

/// Installs what these words ask for. Each of them panics or fails if that has been done before, by whomever.
pub(crate) fn install(wanted: &str) -> Result<(), Box<dyn Error>> {
    for word in wanted.split_whitespace() {
        match word {
            "host" => fezz_sdk::log_to_host(),
            "fmt" => tracing_subscriber::fmt().with_ansi(false).init(),
            "global" => {
                let subscriber = tracing_subscriber::fmt().with_ansi(false).finish();
                tracing::subscriber::set_global_default(subscriber)?;
            }
            "env_logger" => env_logger::init(),
            "simple_logger" => simple_logger::init_with_level(log::Level::Info)?,
            "color_eyre" => color_eyre::install()?,
            "hook" => panic::set_hook(Box::new(|info| println!("the application's hook: {info}"))),
            "chained_hook" => {
                let previous = panic::take_hook();
                panic::set_hook(Box::new(move |info| {
                    println!("the application's hook: {info}");
                    previous(info);
                }));
            }
            other => return Err(format!("there is no logger {other}").into()),
        }
    }
    Ok(())
}
