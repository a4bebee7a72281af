//! One thread for each of several things.

use std::panic::resume_unwind;

/// Works on each of `things`, on a thread of its own for all but the first. The results, or the
/// first error; a panic goes on here when all threads have ended.
pub(crate) fn each<T: Send, R: Send, E: Send>(
    things: &mut [T],
    work: impl Fn(&mut T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let [first, others @ ..] = things else { return Ok(Vec::new()) };
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> =
            others.iter_mut().map(|thing| scope.spawn(move || work(thing))).collect();
        let mut results = vec![work(first)];
        for other in others {
            results.push(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results.into_iter().collect()
    })
}
