//! Cases in which all pools are alive and take turns in one process, so that what else the machine
//! does meanwhile falls on each of them alike.

use crate::cases;
use crate::pools::{Blocking, Crossbeam, Pool, Rayon, RustyPool, Silkmill, Threadpool, Tokio};

/// How often each pool has its turn; the first is not counted.
const TURNS: usize = 4;

/// A case for a pool that has warmed up.
type Turn = Box<dyn Fn() -> f64>;

/// Runs a case with all pools. Returns each contender's figures.
pub fn run(case: &str) -> Option<Vec<(&'static str, Vec<f64>)>> {
    let workers = match case {
        "batch-2" => 2,
        "batch-32" => 32,
        "batch-8" | "producers-4" | "producers-16" | "round-trip" | "round-trip-alone" => 8,
        _ => return None,
    };
    let mut contenders: Vec<(&'static str, Turn, Vec<f64>)> = vec![
        ("silkmill", turn::<Silkmill>(case, workers), Vec::new()),
        ("rayon-core", turn::<Rayon>(case, workers), Vec::new()),
        ("threadpool", turn::<Threadpool>(case, workers), Vec::new()),
        ("rusty_pool", turn::<RustyPool>(case, workers), Vec::new()),
        ("tokio", turn::<Tokio>(case, workers), Vec::new()),
        ("blocking", turn::<Blocking>(case, workers), Vec::new()),
        ("crossbeam-channel", turn::<Crossbeam>(case, workers), Vec::new()),
    ];
    for _ in 0..TURNS {
        for (_, turn, figures) in &mut contenders {
            figures.push(turn());
        }
        // Each is the first at some time.
        contenders.rotate_left(1);
    }
    let counted = |(name, _, figures): (_, _, Vec<f64>)| (name, figures[1..].to_vec());
    Some(contenders.into_iter().map(counted).collect())
}

fn turn<P: Pool + 'static>(case: &str, workers: usize) -> Turn {
    let pool = P::new(workers);
    cases::warm_up(&pool, workers);
    match case {
        "producers-4" => Box::new(move || cases::batch(&pool, 4)),
        "producers-16" => Box::new(move || cases::batch(&pool, 16)),
        "round-trip" => Box::new(move || cases::round_trip(&pool)),
        "round-trip-alone" => Box::new(move || cases::round_trip_alone(&pool)),
        _ => Box::new(move || cases::batch(&pool, 1)),
    }
}
