//! Tasks that borrow: the scope does not end before they have.
//!
//! Run it with `cargo run -p silkmill --example scope`.

use silkmill::ThreadPoolExecutor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(4).build()?;
    let text = "threads are for work that waits".to_owned();
    let words: Vec<&str> = text.split(' ').collect();
    let mut lengths = vec![0; words.len()];

    pool.scope(|scope| {
        for (word, length) in words.iter().zip(&mut lengths) {
            drop(scope.submit(move || *length = word.len()));
        }
    });

    for (word, length) in words.iter().zip(&lengths) {
        println!("{length} {word}");
    }
    Ok(())
}
