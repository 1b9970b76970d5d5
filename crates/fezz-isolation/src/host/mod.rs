//! The host's side: a pool of worker processes for each isolated function.

mod call;
mod connection;
mod drive;
mod health;
mod limits;
mod output;
mod pipeline;
mod pipeline_depth;
mod plan;
mod pool;
mod process;
mod spawner;
mod state;
mod status;
mod timer;
mod worker;

pub use call::{CallError, CallHandle, PendingCall, WorkerBody};
pub use drive::StreamBody;
pub use limits::{end_orphans_of, end_orphans_of_the_dead};
pub use plan::{Defaults, HealthOptions, Plan, PoolOptions};
pub use pool::{Observer, Pool, PoolContext, Spec};
pub use process::describe;
pub use spawner::Spawner;
pub use status::{Crash, PoolStatus, WorkerStatus};
