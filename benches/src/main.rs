//! Runs one case with one contender: `silkmill-benches CASE CONTENDER`. It prints a key and a
//! figure with a tab between them; the units are in `xtask/src/bench/executor.rs`, in the table of
//! cases. With the contender `together` all take turns, and the contender stands between the two.

use silkmill_benches::cases;
use silkmill_benches::pools::{
    Blocking, Crossbeam, Pool, Rayon, RustyPool, Silkmill, Threadpool, Tokio,
};
use silkmill_benches::together;
use silkmill_benches::watchdog;

fn main() {
    watchdog::start();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [case, contender] = args.as_slice() else {
        eprintln!("usage: silkmill-benches CASE CONTENDER");
        std::process::exit(2);
    };
    match (case.as_str(), contender.as_str()) {
        (_, "together") => match together::run(case) {
            None => unknown(case, contender),
            Some(contenders) => {
                for (contender, figures) in contenders {
                    figures.iter().for_each(|figure| println!("{case}\t{contender}\t{figure}"));
                }
            }
        },
        ("map", "silkmill") => print(case, cases::map_of_silkmill(8)),
        ("map", "rayon") => print(case, cases::map_of_rayon(8)),
        ("map-short", "silkmill") => print(case, cases::short_map_of_silkmill()),
        ("map-short", "rayon") => print(case, cases::short_map_of_rayon()),
        ("map-short", "ideal") => print(case, cases::short_map_ideal()),
        ("sleepers-warm" | "sleepers-cold", "ideal") => print(case, cases::sleepers_ideal()),
        (_, "silkmill") => run::<Silkmill>(case),
        (_, "rayon-core") => run::<Rayon>(case),
        (_, "threadpool") => run::<Threadpool>(case),
        (_, "rusty_pool") => run::<RustyPool>(case),
        (_, "tokio") => run::<Tokio>(case),
        (_, "blocking") => run::<Blocking>(case),
        (_, "crossbeam-channel") => run::<Crossbeam>(case),
        _ => unknown(case, contender),
    }
}

fn run<P: Pool>(case: &str) {
    let figure = match case {
        "sleepers-warm" => cases::sleepers_warm::<P>(),
        "sleepers-cold" => cases::sleepers_cold::<P>(),
        "burst" => cases::burst::<P>(32),
        "parked" => cases::parked::<P>(),
        "idle-cpu" => cases::idle_cpu::<P>(32),
        "trickle" => {
            let trickle = cases::trickle::<P>(32);
            print("trickle-p50", trickle.p50);
            print("trickle-p999", trickle.p999);
            return print("trickle-cpu", trickle.cpu);
        }
        _ => unknown(case, "that contender"),
    };
    print(case, figure);
}

fn print(key: &str, figure: f64) {
    println!("{key}\t{figure}");
}

fn unknown(case: &str, contender: &str) -> ! {
    eprintln!("there is no case {case:?} for {contender}");
    std::process::exit(2);
}
