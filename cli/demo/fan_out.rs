use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::task::JoinSet;

/// How many do it at once.
const WIDTH: usize = 16;

/// Does something for every item, several at a time. The results come in no order.
///
/// # Errors
/// The first error; the rest is dropped.
pub(crate) async fn fan_out<I, T, F>(items: Vec<I>, work: impl Fn(I) -> F + Clone + Send + 'static) -> Result<Vec<T>>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send,
{
    let queue = Arc::new(Mutex::new(items.into_iter()));
    let mut hands = JoinSet::new();
    for _ in 0..WIDTH {
        let (queue, work) = (Arc::clone(&queue), work.clone());
        hands.spawn(async move {
            let mut done = Vec::new();
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                match next {
                    Some(item) => done.push(work(item).await?),
                    None => return Ok::<_, anyhow::Error>(done),
                }
            }
        });
    }
    let mut all = Vec::new();
    while let Some(done) = hands.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}
