//! Evicting functions that a deploy has replaced, when their last request has ended.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::Cache;
use crate::catalog::Catalog;
use crate::function::FunctionKey;

/// Evicts the functions whose keys arrive, for as long as the registry lives.
///
/// A key arrives when its function is dropped: neither a catalog nor a request holds it any more, so that nothing loads
/// it again. If the catalog has another function with the same key, that one owns the cache's entry.
pub(crate) async fn retire(
    mut dropped: mpsc::UnboundedReceiver<Arc<FunctionKey>>,
    current: Arc<ArcSwap<Catalog>>,
    cache: Cache,
) {
    while let Some(key) = dropped.recv().await {
        let lives_on = current.load().functions().iter().any(|live| live.key == key);
        if !lives_on {
            tracing::debug!(function = key.name, digest = %key.digest, "retired");
            cache.evict(&key).await;
        }
    }
}
