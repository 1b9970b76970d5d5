//! The host's side of process isolation: a pool of worker processes for each isolated function.

mod body;
mod budget;
mod call;
mod connection;
mod driver;
mod file_identities;
mod frame_reader;
mod health;
mod limits;
mod output;
mod pipeline;
mod pipeline_depth;
mod plan;
mod pool;
mod process;
mod remove_tree;
mod spawner;
mod spec;
mod state;
mod status;
mod temporary;
mod timer;
mod worker;

pub use body::{StreamBody, WorkerBody};
pub use budget::{Budget, Reservation};
pub use call::{CallError, CallHandle, PendingCall};
pub use limits::{kill_orphans_of_host, remove_groups_of_dead_hosts};
pub use plan::{Defaults, HealthOptions, Plan, PoolOptions};
pub use pool::Pool;
pub use process::describe;
pub use remove_tree::remove_tree;
pub use spawner::Spawner;
pub use spec::{Observer, PoolContext, Spec};
pub use status::{Crash, PoolStatus, WorkerStatus};
pub use temporary::{TemporaryFolder, TemporaryFolders};

pub use crate::protocol::Abilities;
