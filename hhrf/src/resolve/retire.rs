//! What was replaced leaves when its last request has ended: out of the cache, and shut down.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::Cache;
use crate::catalog::{Catalog, Function, Replaced};

/// How often it is looked whether requests are still at work on old code.
const INTERVAL: Duration = Duration::from_millis(20);

/// Retires functions, for as long as catalogs are replaced.
///
/// An old function is held by old catalogs, which requests in the middle of routing may be reading, and by requests.
/// When nobody but this list holds it any more, no request can load it again, and it may leave the cache.
pub(crate) async fn retire(
    mut replaced: mpsc::UnboundedReceiver<Replaced>,
    current: Arc<ArcSwap<Catalog>>,
    cache: Cache,
) {
    let mut catalogs: Vec<Arc<Catalog>> = Vec::new();
    let mut functions: Vec<Arc<Function>> = Vec::new();
    loop {
        if catalogs.is_empty() && functions.is_empty() {
            let Some(Replaced { catalog }) = replaced.recv().await else { return };
            catalogs.push(catalog);
        }
        while let Ok(Replaced { catalog }) = replaced.try_recv() {
            catalogs.push(catalog);
        }
        // Nobody reads these any more: what only they held is old.
        for catalog in catalogs.extract_if(.., |catalog| Arc::strong_count(catalog) == 1) {
            functions.extend(catalog.functions().iter().map(Arc::clone));
        }
        let live = current.load_full();
        functions.retain(|function| !live.functions().iter().any(|live| Arc::ptr_eq(live, function)));
        functions.sort_by_key(Arc::as_ptr);
        functions.dedup_by(|a, b| Arc::ptr_eq(a, b));
        for function in functions.extract_if(.., |function| Arc::strong_count(function) == 1) {
            let lives_on = live.functions().iter().any(|live| live.key == function.key);
            if !lives_on {
                tracing::debug!(function = function.name(), digest = %function.key.digest, "retired");
                cache.evict(&function.key).await;
            }
        }
        drop(live);
        tokio::time::sleep(INTERVAL).await;
    }
}
